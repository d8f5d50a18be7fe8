"""A short text that a regular expression accepts, for fields that must match one."""

import re
from collections.abc import Callable
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

_CATEGORIES = {sre.CATEGORY_DIGIT: "0", sre.CATEGORY_WORD: "a", sre.CATEGORY_SPACE: " "}
_ANYTHING = "a0 -_.AZ"
_MOST_REPEATS = 1_000


def matching(pattern: str, text: str) -> str:
    """Return a piece of the text that matches a pattern, or else the plainest text that does.

    Falls back to an empty text for patterns that Python cannot read (pydantic's are Rust's).
    """
    try:
        found = re.search(pattern.removeprefix("^").removesuffix("$"), text)
        if found and found[0] and re.search(pattern, found[0]):
            return found[0]
        return _plainest(_parser.parse(pattern), {})
    except (re.error, KeyError, ValueError, RecursionError, OverflowError):
        return ""


def _plainest(parts: Any, groups: dict[int, str]) -> str:
    return "".join(_piece(op, value, groups) for op, value in parts)


def _piece(op: Any, value: Any, groups: dict[int, str]) -> str:
    """Return the plainest text for one part of a pattern, as `re` parsed it; places take no text."""
    if op in {sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT}:
        return "".join(_plainest(value[2], groups) for _ in range(min(value[0], _MOST_REPEATS)))
    if op is sre.SUBPATTERN:
        groups[value[0]] = _plainest(value[-1], groups)
        return groups[value[0]]
    write = _WRITERS.get(op)
    return write(value, groups) if write else ""


def _one_of(choices: Any) -> str:
    negated = bool(choices) and choices[0][0] is sre.NEGATE
    if negated:
        return next((char for char in _ANYTHING if not _accepts(choices[1:], char)), "\u00a7")
    op, value = choices[0]
    if op is sre.RANGE:
        return chr(value[0])
    return _CATEGORIES.get(value, "a") if op is sre.CATEGORY else chr(value)


def _accepts(choices: Any, char: str) -> bool:
    for op, value in choices:
        if op is sre.LITERAL and value == ord(char):
            return True
        if op is sre.RANGE and value[0] <= ord(char) <= value[1]:
            return True
        if op is sre.CATEGORY and re.match(
            {"0": r"\d", "a": r"\w", " ": r"\s"}.get(_CATEGORIES.get(value, ""), "."), char
        ):
            return True
    return False


_WRITERS: dict[Any, Callable[[Any, dict[int, str]], str]] = {
    sre.LITERAL: lambda value, _: chr(value),
    sre.NOT_LITERAL: lambda value, _: "b" if value == ord("a") else "a",
    sre.ANY: lambda _, __: "a",
    sre.IN: lambda value, _: _one_of(value),
    sre.BRANCH: lambda value, groups: _plainest(value[1][0], groups),
    sre.ATOMIC_GROUP: _plainest,
    sre.GROUPREF: lambda value, groups: groups.get(value, ""),
}
