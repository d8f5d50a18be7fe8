"""Values in demos: whether one fits the field that it stands in.

A signature has the JSON Schema of each field as Pydantic writes it.
"""

import json
from collections.abc import Iterable
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry

from contracts.programs import FieldShape

# How DSPy writes images and the like, of which it sends parts of their own.
_DSPY_PART = "<<CUSTOM-TYPE-START-IDENTIFIER>>"
_KINDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
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
        problem = _wrong(value, field.type, at)
        if problem is None or not isinstance(value, str):
            return problem
        if _has_parts(field.type, definitions) and (field.side == "input" or value.startswith(_DSPY_PART)):
            return None
        meant = _read(value)
        fitting = not isinstance(meant, str) and _wrong(meant, field.type, at) is None
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


def _wrong(value: Any, schema: dict[str, Any], at: str) -> str | None:
    # An empty registry: nothing is fetched, whatever a schema refers to.
    error = best_match(Draft202012Validator(schema, registry=Registry()).iter_errors(value))
    if error is None:
        return None
    place = ".".join([at, *map(str, error.absolute_path)])
    return f"{place}: {_told(str(error.validator), error.validator_value)}"


def _told(rule: str, wanted: Any) -> str:
    """Return what a rule of a schema wants, without the value that did not fit: it may be a prompt."""
    if rule == "type":
        kinds = [wanted] if isinstance(wanted, str) else wanted
        return f"must be {' or '.join(_KINDS[kind] for kind in kinds)}"
    if rule in {"enum", "const"}:
        return f"must be one of {', '.join(map(str, wanted if rule == 'enum' else [wanted]))}"
    if rule == "required":
        return f"must have {', '.join(wanted)}"
    return f"must fit {rule}: {json.dumps(wanted, ensure_ascii=False)[:200]}"
