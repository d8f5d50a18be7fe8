"""Values in demos: whether one fits the field that it stands in.

A signature has the JSON Schema of each field as Pydantic writes it. What it says of types, choices, bounds
and parts is checked here; patterns and formats are not. No library does it: each API process would load one,
and libraries follow the addresses and try the expressions that a schema names.
"""

import json
import operator
from collections.abc import Iterable
from typing import Any

from contracts.programs import FieldShape

# How DSPy writes images and the like, of which it sends parts of their own.
_DSPY_PART = "<<CUSTOM-TYPE-START-IDENTIFIER>>"
_KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "string": (str, "a text"),
    "integer": (int, "a whole number"),
    "number": ((int, float), "a number"),
    "boolean": (bool, "true or false"),
    "array": (list, "a list"),
    "object": (dict, "an object"),
    "null": (type(None), "null"),
}
_BOUNDS = {
    "minimum": (operator.ge, "at least"),
    "maximum": (operator.le, "at most"),
    "exclusiveMinimum": (operator.gt, "more than"),
    "exclusiveMaximum": (operator.lt, "less than"),
}
_SIZES: dict[type, tuple[str, str, str]] = {
    str: ("minLength", "maxLength", "characters"),
    list: ("minItems", "maxItems", "items"),
    dict: ("minProperties", "maxProperties", "entries"),
}


def fits(demo: dict[str, Any], fields: Iterable[FieldShape]) -> bool:
    """Return whether all values of a demo fit their fields; it may lack some."""
    return all(misfit(demo.get(field.name), field, field.name) is None for field in fields)


def misfit(value: Any, field: FieldShape, at: str) -> str | None:
    """Return what is wrong with a value in a demo, and where; none when a predictor may be shown it.

    What DSPy's optimizers write fits: null, which it takes as not supplied; a text in the place of an input
    with parts, as an example gave it or cut to a length (SIMBA); and the text that a table of examples has of
    a value. A field whose type has no schema takes anything.
    """
    if value is None or not isinstance(field.type, dict):
        return None
    definitions = field.type.get("$defs", {})
    try:
        problem = _wrong(value, field.type, definitions, at)
        if problem is None or not isinstance(value, str):
            return problem
        if _has_parts(field.type, definitions) and (field.side == "input" or value.startswith(_DSPY_PART)):
            return None
        meant = _read(value)
        fitting = not isinstance(meant, str) and _wrong(meant, field.type, definitions, at) is None
    except RecursionError:
        return f"{at}: is nested too deeply"
    return None if fitting else problem


def _read(text: str) -> Any:
    """Return what a text stands for: JSON, or one of Python's words for truth; else the text itself."""
    try:
        return json.loads({"True": "true", "False": "false"}.get(text, text))
    except ValueError:
        return text


def _has_parts(schema: Any, definitions: dict[str, Any]) -> bool:
    if not isinstance(schema, dict):
        return False
    ways = [*schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("allOf", [])]
    if (target := _target(schema, definitions)) is not None:
        ways.append(target)
    return schema.get("type") in {"array", "object"} or any(_has_parts(way, definitions) for way in ways)


def _target(schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    return definitions.get(schema.get("$ref", "").removeprefix("#/$defs/"))


def _wrong(value: Any, schema: Any, definitions: dict[str, Any], at: str) -> str | None:
    if not isinstance(schema, dict):
        return f"{at}: may not be there" if schema is False else None
    for check in (_kind, _choice, _bounds):
        if problem := check(value, schema):
            return f"{at}: must be {problem}"
    return (
        _elsewhere(value, schema, definitions, at)
        or (isinstance(value, list) and _items(value, schema, definitions, at))
        or (isinstance(value, dict) and _entries(value, schema, definitions, at))
        or None
    )


def _kind(value: Any, schema: dict[str, Any]) -> str | None:
    wanted = schema.get("type", [])
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if not wanted or any(_is(value, kind) for kind in wanted):
        return None
    return " or ".join(_KINDS[kind][1] for kind in wanted)


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _KINDS[kind][0]) or (
        kind == "integer" and isinstance(value, float) and value.is_integer()
    )


def _choice(value: Any, schema: dict[str, Any]) -> str | None:
    allowed = schema.get("enum", [schema["const"]] if "const" in schema else None)
    # 1 is not true, though Python says so.
    if allowed is None or any(
        value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed
    ):
        return None
    return f"one of {', '.join(map(str, allowed))}"


def _bounds(value: Any, schema: dict[str, Any]) -> str | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        for name, (holds, told) in _BOUNDS.items():
            if name in schema and not holds(value, schema[name]):
                return f"{told} {schema[name]}"
    if sizes := _SIZES.get(type(value)):
        fewest, most, of_what = sizes
        if len(value) < schema.get(fewest, 0):
            return f"of at least {schema[fewest]} {of_what}"
        if most in schema and len(value) > schema[most]:
            return f"of at most {schema[most]} {of_what}"
    return None


def _elsewhere(value: Any, schema: dict[str, Any], definitions: dict[str, Any], at: str) -> str | None:
    """Check what a schema says by others: those that it refers to, all of some, and any of some."""
    for one in (_target(schema, definitions), *schema.get("allOf", [])):
        if problem := _wrong(value, one, definitions, at):
            return problem
    # One alternative at a time also for `oneOf`: Pydantic tells those apart by a field.
    for ways in (schema.get("anyOf"), schema.get("oneOf")):
        problems = [_wrong(value, way, definitions, at) for way in ways or []]
        if problems and None not in problems:
            told = dict.fromkeys(problem.removeprefix(f"{at}: ") for problem in problems if problem)
            return f"{at}: {', or '.join(told)}"
    return None


def _items(value: list[Any], schema: dict[str, Any], definitions: dict[str, Any], at: str) -> str | None:
    first = schema.get("prefixItems", [])
    for number, one in enumerate(value):
        expected = first[number] if number < len(first) else schema.get("items")
        if problem := _wrong(one, expected, definitions, f"{at}.{number}"):
            return problem
    return None


def _entries(
    value: dict[str, Any], schema: dict[str, Any], definitions: dict[str, Any], at: str
) -> str | None:
    if missing := [name for name in schema.get("required", []) if name not in value]:
        return f"{at}: {', '.join(missing)} is missing"
    known = schema.get("properties", {})
    others = None if "patternProperties" in schema else schema.get("additionalProperties")
    for name, one in value.items():
        if problem := _wrong(one, known.get(name, others), definitions, f"{at}.{name}"):
            return problem
    return None
