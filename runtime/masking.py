"""Secrets that this process has read are taken out of what leaves it: logs, errors, events, ledger, Prefect.

Whoever reads a secret says so with `remember`. Errors, log lines, events and the ledger's rows pass `masked`.
"""

from typing import Any

GONE = "[redacted]"
# Shorter ones are parts of ordinary words: taking those out would garble texts and protect nothing.
SHORTEST = 8
# A secret that was rotated stays one. The oldest is forgotten after so many.
MOST = 1000

_known: dict[str, None] = {}


def remember(secret: str) -> None:
    """Take this value out of everything that is written from now on."""
    if len(secret) < SHORTEST or secret in _known:
        return
    _known[secret] = None
    while len(_known) > MOST:
        del _known[next(iter(_known))]


def masked(value: Any) -> Any:
    """Return JSON-ready data or a text without known secrets; the same object when there is none in it."""
    if not _known:
        return value
    if isinstance(value, str):
        # The longest first: one secret may begin with another one.
        for secret in sorted((each for each in tuple(_known) if each in value), key=len, reverse=True):
            value = value.replace(secret, GONE)
        return value
    if isinstance(value, dict):
        clean = {masked(name): masked(inner) for name, inner in value.items()}
        return value if clean == value else clean
    if isinstance(value, list | tuple):
        cleaned = [masked(inner) for inner in value]
        return value if all(a is b for a, b in zip(cleaned, value, strict=True)) else type(value)(cleaned)
    return value


def uncertain_from(text: str) -> int:
    """Return the place from which a text that goes on may hold a secret that is not whole yet.

    It is the text's length when no end of the text is the beginning of a known secret.
    """
    known = tuple(_known)
    start = max(0, len(text) - max(map(len, known), default=0) + 1)
    at = next(
        (
            place
            for place in range(start, len(text))
            if any(len(each) > len(text) - place and each.startswith(text[place:]) for each in known)
        ),
        len(text),
    )
    # A whole secret that ends behind this place must not be cut in two.
    while whole := [
        found
        for each in known
        if (found := text.find(each, max(0, at - len(each) + 1))) != -1 and found < at < found + len(each)
    ]:
        at = min(whole)
    return at
