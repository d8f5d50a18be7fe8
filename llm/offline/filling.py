"""Filling a field: walks its JSON Schema and finds each value in turn, so that the result always fits."""

from dataclasses import replace
from functools import partial
from typing import Any

from llm.offline import agent, lists, mappings
from llm.offline.classify import choose, learned
from llm.offline.fields import Field, Schema
from llm.offline.judge import better_of
from llm.offline.notation import json_text
from llm.offline.numbers import note, number, truth
from llm.offline.reading import Reading
from llm.offline.slots import Slot
from llm.offline.texts import text


def fill(field: Field, reading: Reading) -> Any:
    """Return a value for a field that fits its type, JSON-ready."""
    defs = {**field.schema.get("$defs", {}), **field.schema.get("definitions", {})}
    slot = Slot(
        field.name, field.schema, field.description, (field.name,), defs=defs, type_name=field.type_name
    )
    return value(slot, reading)


def value(slot: Slot, reading: Reading, *, needed: bool = True) -> Any:
    """Return a value for a slot. When it is not needed and nothing tells it, None."""
    slot = slot.resolved()
    schema = slot.schema
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return _option(slot, reading)
    branches = schema.get("anyOf") or schema.get("oneOf")
    kind = schema.get("type")
    if isinstance(kind, list):
        branches = [{**schema, "type": one} for one in kind]
    if branches:
        return _branch(slot, branches, reading, needed=needed)
    if schema.get("contentMediaType") == "application/json":
        return json_text(value(replace(slot, schema=schema.get("contentSchema", {})), reading))
    return _of_type("object" if "properties" in schema else kind, slot, reading, needed=needed)


def _of_type(kind: str | None, slot: Slot, reading: Reading, *, needed: bool) -> Any:
    match kind:
        case "object":
            return _object(slot, reading)
        case "array":
            return lists.fill(slot, reading, partial(value, reading=reading))
        case "boolean":
            return truth(slot, reading)
        case "integer" | "number":
            return number(slot, reading, needed=needed)
        case "null":
            return None
        case _:
            return text(slot, reading, needed=needed)


def _option(slot: Slot, reading: Reading) -> Any:
    """Choose among options: the next tool for an agent, the better of two drafts for a judge, or a label."""
    options = slot.schema["enum"]
    names = [str(option) for option in options]
    picked, reason = None, ""
    if slot.name == agent.NEXT_TOOL:
        tool, reason = agent.next_tool(reading)
        reading.notes["tool"] = tool
        picked = tool.name if tool else None
    elif not learned(reading, slot.path):
        picked, reason = better_of(names, reading) or (None, "")
    if picked in names:
        reading.reasons.append(reason)
        return options[names.index(picked)]
    choice = choose(slot.name, options, reading, slot.path, slot.about)
    note(choice, reading)
    return choice.option


def _branch(slot: Slot, branches: list[Schema], reading: Reading, *, needed: bool) -> Any:
    """Fill a value of several possible types with the one that says most and is surely valid."""
    real = [branch for branch in branches if branch.get("type") != "null"]
    nullable = len(real) < len(branches)
    if not real or (nullable and slot.too_deep):
        return None
    texts = [branch for branch in real if branch.get("type") == "string"]
    numbers = [branch for branch in real if branch.get("type") in {"number", "integer"}]
    # pydantic writes a decimal as "number or text": a text that is no number would be refused.
    is_decimal = numbers and (real[0].get("type") == "number" or any("pattern" in text for text in texts))
    chosen = numbers[0] if is_decimal else (texts or real)[0]
    if slot.too_deep:
        simple = [branch for branch in real if "$ref" not in branch and branch.get("type") != "object"]
        chosen = (simple or [chosen])[0]
    return value(replace(slot, schema=chosen), reading, needed=needed and not nullable)


def _object(slot: Slot, reading: Reading) -> dict[str, Any]:
    """Fill an object: about one sentence when it holds a quotation, else each property by itself."""
    if slot.schema.get("title") == "ToolCalls":
        found = agent.calls(reading, lambda name, schema: value(Slot(name, schema), reading))
        reading.reasons.append(found.because)
        return dict(found.value)
    properties = slot.schema.get("properties")
    if not properties:
        return mappings.fill(slot, reading, partial(value, reading=reading))
    if slot.focus is None and any("quote" in Slot(name, {}).kinds for name in properties):
        ranked = reading.ranked(reading.question, slot.wish)
        slot = replace(slot, focus=ranked[0] if ranked else None)
    shares = mappings.distribution(slot, properties, reading)
    required = set(slot.schema.get("required", ()))
    filled: dict[str, Any] = dict(shares)
    for name, schema in properties.items():
        if name in shares or (slot.too_deep and name not in required):
            continue
        one = value(slot.within(name, schema), reading, needed=name in required)
        if one is not None or name in required or _allows_null(schema):
            filled[name] = one
    return filled


def _allows_null(schema: Schema) -> bool:
    return any(one.get("type") == "null" for one in schema.get("anyOf", ()) if isinstance(one, dict))
