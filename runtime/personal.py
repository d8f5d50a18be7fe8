"""Personal data and secrets taken out of texts before they are stored to be learned from."""

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

from runtime.errors import ConfigurationProblem

_PATTERNS = (
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "[email]"),
    (
        re.compile(
            r"\b(?:sk|pk|gsk|xai|ghp|mlr)[-_][\w-]{8,}|(?i:\bbearer)\s+[\w.~+/=-]{8,}|\bAKIA[0-9A-Z]{16}\b"
        ),
        "[key]",
    ),
    (re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"), "[iban]"),
    (re.compile(r"\b(?:\d[ -]?){12,18}\d\b"), "[number]"),
    (
        re.compile(
            r"(?<![\w.])\+?\d{1,3}?[ (/-]{0,2}\d{2,5}[ )/-]{1,2}\d{2,4}[ /-]?\d{2,6}(?![\w.])|\+\d{8,15}\b"
        ),
        "[phone]",
    ),
)
Mask = Callable[[str], str]


def masked(text: str) -> str:
    """Return a text with e-mail addresses, phone and card numbers, IBANs and keys taken out."""
    for pattern, name in _PATTERNS:
        text = pattern.sub(name, text)
    return text


def unmasked(text: str) -> str:
    """Return a text as it is, for those who may keep what people wrote."""
    return text


def mask_named(path: str) -> Mask:
    """Return the function at a dotted path, `package.module:function`; it takes a text and returns one.

    Raises:
        ConfigurationProblem: `bad_setting`, there is no such function.
    """
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        found = None
    if not callable(found):
        raise ConfigurationProblem(
            f"EXAMPLES_MASK: there is no function {path!r}; write `package.module:function`.", "bad_setting"
        )
    return found  # type: ignore[no-any-return]


def mask_all(value: Any, mask: Mask) -> Any:
    """Return JSON with every text in it masked; names of fields stay."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list):
        return [mask_all(item, mask) for item in value]
    if isinstance(value, dict):
        return {name: mask_all(item, mask) for name, item in value.items()}
    return value
