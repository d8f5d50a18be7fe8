"""Texts in a format: dates, addresses, identifiers; found in the input, or plainly a placeholder."""

from llm.offline.extract import clock_in, moment_near, shaped

_PLACEHOLDERS = {
    "date": "1970-01-01",
    "date-time": "1970-01-01T00:00:00Z",
    "time": "00:00:00",
    "duration": "PT0S",
    "email": "nobody@example.com",
    "uri": "https://example.com/",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "ipv4network": "127.0.0.0/8",
    "ipv6network": "::1/128",
    "ipv4interface": "127.0.0.1/8",
    "ipv6interface": "::1/128",
    "path": "unknown",
    "regex": ".*",
    "hostname": "example.com",
    "base64": "",
    "base64url": "",
    "json-string": "null",
}


def formatted(kind: str, about: str, near: str) -> str | None:
    """Return the value of a JSON Schema format that a text holds nearest to what it is about, if it does."""
    if kind in {"date", "date-time"}:
        moment = moment_near(about, near)
        if moment is None:
            return None
        return moment.date().isoformat() if kind == "date" else f"{moment.isoformat()}Z"
    if kind == "time":
        return clock_in(near)
    if kind.startswith("uuid"):
        found = shaped("uuid", near)
        return found if found and kind in {"uuid", f"uuid{found[14]}"} else None
    return shaped(kind, near)


def placeholder(kind: str) -> str | None:
    """Return a valid value of a format that says nothing; none for formats without a form (`password`)."""
    if kind.startswith("uuid"):
        return f"00000000-0000-{kind.removeprefix('uuid') or 4}000-8000-000000000000"
    return _PLACEHOLDERS.get(kind)
