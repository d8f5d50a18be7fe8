"""JSON as people read it: one member per line, strings unescaped, members of the first levels marked."""

import json
from typing import Any

from runtime.errors import BadInput
from tools.documents.document import Document, Draft
from tools.documents.encoding import cleaned
from tools.documents.limits import Limits

MARKED_LEVELS = 3
MAX_BLOCKS = 5_000


def read_json(name: str, text: str, limits: Limits) -> Document:
    """Return the members of a JSON file, in order; numbers keep the digits that they were written with.

    Raises:
        BadInput: `unreadable_document`: no JSON, or nested too deeply.
    """
    try:
        value = json.loads(text, parse_int=_Literal, parse_float=_Literal, parse_constant=_Literal)
    except RecursionError:
        raise _too_deep(name, limits) from None
    except json.JSONDecodeError as problem:
        raise BadInput(
            f"{name} is no valid JSON: {problem.msg} in line {problem.lineno}, column {problem.colno}.",
            code="unreadable_document",
            detail={"document": name, "line": problem.lineno, "column": problem.colno},
        ) from None
    draft = Draft()
    _write(draft, value, 0, name, limits)
    return draft.finish(name)


class _Literal(str):
    """A number as it was written: `1.10` stays `1.10`, and a million digits cost no arithmetic."""

    __slots__ = ()


def _write(draft: Draft, value: Any, depth: int, name: str, limits: Limits) -> None:
    """Append a value; the line that it begins on is already indented."""
    if depth > limits.nesting:
        raise _too_deep(name, limits)
    if draft.length > limits.text_chars:
        raise BadInput(
            f"{name} unpacks to more than {limits.text_chars:,} characters.",
            code="document_too_large",
            detail={"document": name, "limit_chars": limits.text_chars},
        )
    members = _members(value)
    if members is None:
        draft.add(_scalar(value) + "\n")
        return
    if depth:
        draft.add("\n")
    # Marks are dear: of a long list, blocks of items are marked.
    block = -(-len(members) // MAX_BLOCKS) if isinstance(value, list) else 1
    for number, (label, member) in enumerate(members):
        if depth < MARKED_LEVELS and number % block == 0:
            last = members[min(number + block, len(members)) - 1][0]
            draft.mark(depth + 1, label if last == label else f"{label}-{last}")
        inner = _members(member) is not None
        draft.add("  " * depth + label + (":" if inner else ": "))
        _write(draft, member, depth + 1, name, limits)


def _members(value: Any) -> list[tuple[str, Any]] | None:
    """Return the named members of a container that has any."""
    if isinstance(value, dict) and value:
        return [(cleaned(key) or '""', member) for key, member in value.items()]
    if isinstance(value, list) and value:
        return [(f"[{index}]", member) for index, member in enumerate(value)]
    return None


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return cleaned(value)
    return json.dumps(value)  # true, false, null, {} and []


def _too_deep(name: str, limits: Limits) -> BadInput:
    return BadInput(
        f"{name} is nested deeper than {limits.nesting} levels.",
        code="unreadable_document",
        detail={"document": name, "limit_levels": limits.nesting},
    )
