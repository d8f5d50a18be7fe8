"""The output fields that a prompt asks for, each with its type as a JSON Schema."""

import ast
import json
import re
from dataclasses import dataclass, field
from typing import Any

Schema = dict[str, Any]

_SIMPLE: dict[str, Schema] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "NoneType": {"type": "null"},
    "list": {"type": "array"},
    "dict": {"type": "object", "additionalProperties": True},
}
# What DSPy writes behind `# note: the value you produce ` for each type (dspy/adapters/utils.py).
_ONE_OF = re.compile(r"must (?:exactly match \(no extra characters\) |be )one of: (.*)", re.DOTALL)
_SCHEMA = re.compile(r"must adhere to the JSON schema: (.*)", re.DOTALL)
_SINGLE = re.compile(r"must be a single (int|float) value")
_BOUNDS = {
    "greater than or equal to": "minimum",
    "less than or equal to": "maximum",
    "greater than": "exclusiveMinimum",
    "less than": "exclusiveMaximum",
    "minimum length": "minLength",
    "maximum length": "maxLength",
    "a multiple of the given number": "multipleOf",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a prompt.

    Args:
        name: as the prompt spells it.
        schema: its type as JSON Schema, with `$defs` inside when it needs any.
        description: what the prompt says about it.
        type_name: its Python type as the prompt spells it; empty when it does not.
        as_json: whether a text must be written as a JSON string, because the reader will parse it.
    """

    name: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    description: str = ""
    type_name: str = "str"
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A value for a field and, in one true sentence, how it was found."""

    value: Any
    because: str


def field_list(text: str) -> list[Field]:
    """Read a numbered list of fields: ``1. `name` (type): description``, constraints on a line below."""
    found: list[Field] = []
    rest: list[str] = []
    for line in text.strip().splitlines():
        start = re.match(rf"{len(found) + 1}\. `(\w+)` \(", line)
        if start:
            _close(found, rest)
            end = _closing(line, start.end())
            rest = [line[end + 1 :].removeprefix(":").strip()]
            type_name = line[start.end() : end]
            found.append(Field(start[1], _named(type_name), type_name=type_name))
        elif found:
            rest.append(line)
    _close(found, rest)
    return found


def noted(field: Field, note: str, *, in_json: bool) -> Field:
    """Return the field with the type that a note of the prompt tells, where it tells more than the name.

    Notes spell the values of an enum without quotes; in JSON whole numbers among them are numbers.
    """
    schema = _from_note(note, field.schema)
    if (
        in_json
        and "enum" not in field.schema
        and all(re.fullmatch(r"-?\d+", str(option)) for option in schema.get("enum", [""]))
    ):
        schema = {"enum": [int(option) for option in schema["enum"]]}
    bounds = {key: value for key, value in field.schema.items() if key in _BOUNDS.values()}
    return Field(field.name, {**schema, **bounds}, field.description, field.type_name, field.as_json)


def _from_note(note: str, known: Schema) -> Schema:
    single, one_of, schema = _SINGLE.match(note), _ONE_OF.match(note), _SCHEMA.match(note)
    if single:
        return _SIMPLE[single[1]]
    if note.startswith("must be True or False"):
        return _SIMPLE["bool"]
    if one_of:
        return known if "enum" in known else {"enum": one_of[1].split("; ")}
    if schema:
        try:
            read = json.JSONDecoder().raw_decode(schema[1])[0]
        except ValueError:
            return known
        return read if isinstance(read, dict) else known
    return known


def _named(type_name: str) -> Schema:
    """Return the schema of a type by its Python name, as far as a name can tell it."""
    if type_name in _SIMPLE:
        return _SIMPLE[type_name]
    if type_name.startswith("Literal["):
        try:
            return {"enum": list(ast.literal_eval(type_name.removeprefix("Literal")))}
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return {"type": "string"}
    outer, _, inner = type_name.removesuffix("]").partition("[")
    if outer == "list":
        return {"type": "array", "items": _named(inner)}
    if outer in {"Optional", "Union"}:
        return {"anyOf": [_named(part.strip()) for part in inner.split(",")]} if "[" not in inner else {}
    return {"type": "string"}


def _close(found: list[Field], lines: list[str]) -> None:
    """Give the last field of a list the lines that followed its name."""
    if not found:
        return
    last, schema = found[-1], dict(found[-1].schema)
    described = []
    for line in lines:
        if line.startswith("Constraints: "):
            schema |= _constraints(line.removeprefix("Constraints: "))
        else:
            described.append(line)
    found[-1] = Field(last.name, schema, "\n".join(described).strip(), last.type_name)


def _constraints(line: str) -> Schema:
    bounds: Schema = {}
    for part in line.split(", "):
        words, _, value = part.rpartition(": ")
        if words in _BOUNDS:
            number = float(value) if re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", value) else None
            if number is not None:
                bounds[_BOUNDS[words]] = int(number) if number.is_integer() else number
    return bounds


def _closing(line: str, start: int) -> int:
    """Return where the bracket closes that opened just before `start`, quoted text left aside."""
    depth, quote, i = 1, "", start
    while i < len(line):
        char = line[i]
        if quote:
            i += char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        else:
            depth += (char in "([") - (char in ")]")
            if not depth:
                return i
        i += 1
    return len(line)
