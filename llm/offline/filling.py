"""Filling a field: walks its JSON Schema and asks for each value in turn, so that the result always fits."""

from dataclasses import replace
from typing import Any

from llm.offline import agent, judge, propose
from llm.offline.classify import choose, learned
from llm.offline.fields import Field, Schema
from llm.offline.judge import better_of
from llm.offline.length import items
from llm.offline.notation import json_text
from llm.offline.numbers import fitted, note, number, truth
from llm.offline.reading import Reading
from llm.offline.slots import Slot
from llm.offline.texts import several, terms, text
from llm.offline.words import spoken

_USUAL_ITEMS = 5
_USUAL_ENTRIES = 3
_CHOSEN_SHARE = 0.3  # of the evidence from which on an option joins a list of several
_NARROWER = {
    "format",
    "pattern",
    "enum",
    "const",
    "anyOf",
    "oneOf",
    "minLength",
    "maxLength",
    "contentMediaType",
}
_JUDGEMENTS = {"problem": judge.problems, "gap": judge.gaps, "conflict": judge.disagreements}


def fill(field: Field, reading: Reading) -> Any:
    """Return a value for a field that fits its type, JSON-ready."""
    defs = {**field.schema.get("$defs", {}), **field.schema.get("definitions", {})}
    slot = Slot(field.name, field.schema, field.description, (field.name,), None, defs, 0, field.type_name)
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
    if branches:
        return _branch(slot, branches, reading, needed=needed)
    if schema.get("contentMediaType") == "application/json":
        return json_text(value(replace(slot, schema=schema.get("contentSchema", {})), reading))
    kind = schema.get("type")
    if isinstance(kind, list):
        return _branch(slot, [{**schema, "type": one} for one in kind], reading, needed=needed)
    if kind == "object" or "properties" in schema:
        return _object(slot, reading)
    if kind == "array":
        return _array(slot, reading)
    if kind == "boolean":
        return truth(slot, reading)
    if kind in {"integer", "number"}:
        return number(slot, reading, needed=needed)
    return None if kind == "null" else text(slot, reading, needed=needed)


def _option(slot: Slot, reading: Reading) -> Any:
    options = slot.schema["enum"]
    tool, reason = agent.next_tool(reading) if slot.name == "next_tool_name" else (None, "")
    if tool and tool.name in options:
        reading.notes["tool"] = tool
        reading.reasons.append(reason)
        return tool.name
    better = None if learned(reading, slot.path) else better_of([str(option) for option in options], reading)
    if better:
        reading.reasons.append(better[1])
        return next(option for option in options if str(option) == better[0])
    choice = choose(slot.name, options, reading, slot.path, slot.about)
    note(choice, reading)
    return choice.option


def _branch(slot: Slot, branches: list[Schema], reading: Reading, *, needed: bool) -> Any:
    nullable = any(branch.get("type") == "null" for branch in branches)
    real = [branch for branch in branches if branch.get("type") != "null"]
    if not real or (nullable and slot.too_deep):
        return None
    kinds = [branch.get("type") for branch in real]
    # pydantic writes a decimal as "number or text": a text that is no number would be refused.
    numeric = next((b for b in real if b.get("type") in {"number", "integer"}), None)
    decimal = numeric is not None and (kinds[0] == "number" or any("pattern" in branch for branch in real))
    texts = next((branch for branch in real if branch.get("type") == "string"), None)
    chosen = numeric if decimal and numeric is not None else texts or real[0]
    if slot.too_deep:
        chosen = next(
            (branch for branch in real if "$ref" not in branch and branch.get("type") != "object"), chosen
        )
    return value(replace(slot, schema=chosen), reading, needed=needed and not nullable)


def _object(slot: Slot, reading: Reading) -> dict[str, Any]:
    if slot.schema.get("title") == "ToolCalls":
        found = agent.calls(reading, lambda name, schema, about: value(Slot(name, schema, about), reading))
        reading.reasons.append(found.because)
        return dict(found.value)
    properties = slot.schema.get("properties")
    if not properties:
        return _mapping(slot, reading)
    required = set(slot.schema.get("required", ()))
    if slot.focus is None and any("quote" in Slot(name, {}).kinds for name in properties):
        ranked = reading.ranked(reading.question, slot.wish)
        slot = replace(slot, focus=ranked[0] if ranked else None)
    shares = _distribution(slot, properties, reading)
    filled: dict[str, Any] = {}
    for name, schema in properties.items():
        if shares and name in shares:
            filled[name] = shares[name]
        elif name in required or not slot.too_deep:
            one = value(slot.within(name, schema), reading, needed=name in required)
            if one is not None or name in required or _allows_null(schema):
                filled[name] = one
    return filled


def _array(slot: Slot, reading: Reading) -> list[Any]:
    schema = slot.schema
    fixed = schema.get("prefixItems", ())
    least = _limit(schema, "minItems", "minLength", 0)
    most = _limit(schema, "maxItems", "maxLength", max(least, items(slot.about) or _USUAL_ITEMS))
    copied = _recorded(slot, reading)
    if copied and not fixed:
        return copied[:most] if len(copied) >= least else copied
    values = [value(slot.within(slot.name, part, in_list=True), reading) for part in fixed]
    if not fixed and not (slot.too_deep and not least):
        values = _items(slot, schema.get("items") or {"type": "string"}, reading, most)
    filler = slot.within(slot.name, schema.get("items") or {"type": "string"}, in_list=True)
    while len(values) < least:
        values.append(value(filler, reading))
    return values[: max(most, least)]


def _items(slot: Slot, schema: Schema, reading: Reading, most: int) -> list[Any]:
    inner = slot.within(slot.name, schema, in_list=True).resolved()
    kind = inner.schema.get("type")
    plain_text = kind in {"string", None} and not _NARROWER & set(inner.schema)
    judged = next((_JUDGEMENTS[name] for name in _JUDGEMENTS if name in slot.kinds), None)
    if plain_text and judged:
        return list(judged(reading)[:most])
    if plain_text and "terms" in slot.kinds:
        return list(terms(reading, most))
    if inner.schema.get("enum"):
        choice = choose(slot.name, inner.schema["enum"], reading, (), slot.about)
        note(choice, reading)
        enough = [one for one in inner.schema["enum"] if choice.shares[str(one)] >= _CHOSEN_SHARE]
        return enough[:most] or [choice.option]
    if kind in {"string", "object"} or plain_text or "properties" in inner.schema:
        if inner.focus is not None:
            chosen = [inner.focus]
        else:
            chosen = several(slot, reading, most)
            reading.used += chosen
        reading.reasons.append(f"Found {len(chosen)} distinct sentences for {spoken(slot.name)}.")
        if plain_text:
            return [one.sentence.text if "quote" in slot.kinds else one.sentence.prose for one in chosen]
        return [value(replace(inner, focus=one), reading) for one in chosen]
    one = value(inner, reading, needed=False)
    return [] if one is None else [one]


def _recorded(slot: Slot, reading: Reading) -> list[Any]:
    """Return what the records of the sentences behind an answer hold under the same name (numbers of notes)."""
    kind = slot.schema.get("items", {}).get("type")
    python = {"integer": int, "number": (int, float)}.get(kind)
    if python is None:
        return []
    behind = [slot.focus] if slot.focus else reading.used
    held = [one.sentence.source.record.get(slot.name) for one in behind]
    numbers = [number for values in held if isinstance(values, list) for number in values]
    return [number for number in dict.fromkeys(numbers) if isinstance(number, python)]


def _mapping(slot: Slot, reading: Reading) -> dict[str, Any]:
    """Fill an object with free keys: by module for advice, by argument for a tool, else by the telling words."""
    tool = reading.notes.get("tool")
    if slot.name == "next_tool_args" and isinstance(tool, agent.Tool):
        return agent.arguments(
            tool, reading, lambda name, schema, about: value(Slot(name, schema, about), reading)
        )
    keys = slot.schema.get("propertyNames")
    inner = slot.schema.get("additionalProperties")
    inner = inner if isinstance(inner, dict) else {"type": "string"}
    least = int(slot.schema.get("minProperties", 0))
    modules = reading.prompt.inputs.get("module_names")
    if modules and propose.proposes(slot.name, reading):
        return {name: propose.advice(name, reading) for name in _strings(modules)}
    if keys:
        named = Slot("key", keys, slot.about, defs=slot.defs).resolved()
        names = [str(one) for one in named.schema.get("enum", ())] or [str(value(named, reading))]
        return {name: value(slot.within(name, inner), reading) for name in names}
    # Only a type by name says that the keys are texts; where it is not known, keys of digits fit everything.
    if slot.type_name.startswith("dict[str") or slot.type_name == "dict":
        names = terms(reading, max(least, _USUAL_ENTRIES))
        return {name: _entry(name, slot.within(name, inner, in_list=True), reading) for name in names}
    return {str(i): value(slot.within(str(i), inner), reading) for i in range(least)}


def _entry(term: str, slot: Slot, reading: Reading) -> Any:
    """Return what stands behind a term: how often it occurs, or the sentence that speaks of it."""
    slot = slot.resolved()
    kind = slot.schema.get("type")
    if kind in {"integer", "number"} and "score" not in slot.kinds:
        return fitted(reading.everything.lower().count(term.lower()), slot, whole=kind == "integer")
    ranked = reading.ranked(term)
    return value(replace(slot, focus=ranked[0] if ranked else None), reading)


def _distribution(slot: Slot, properties: Schema, reading: Reading) -> dict[str, float]:
    """Return the shares of each option for an object that asks for the probability of each."""
    numeric = all(isinstance(one, dict) and one.get("type") == "number" for one in properties.values())
    if not numeric or "probabilit" not in slot.name:
        return {}
    return choose(slot.name, list(properties), reading, ()).shares


def _limit(schema: Schema, key: str, other: str, usual: int) -> int:
    """Return a limit on a list: DSPy tells that of a whole field as the length of a text."""
    return next((int(schema[name]) for name in (key, other) if name in schema), usual)


def _allows_null(schema: Schema) -> bool:
    return any(one.get("type") == "null" for one in schema.get("anyOf", ()) if isinstance(one, dict))


def _strings(text: str) -> list[str]:
    return [part for part in (piece.strip(" \"'[]\u00ab\u00bb\n") for piece in text.split(",")) if part]
