"""Objects whose keys the schema leaves open: a tool's arguments, advice by module, options, telling words."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from llm.offline import agent, propose
from llm.offline.classify import choose
from llm.offline.fields import Schema
from llm.offline.numbers import fitted
from llm.offline.reading import Reading
from llm.offline.slots import Slot
from llm.offline.texts import terms

_USUAL_ENTRIES = 3
_TEXT_KEYS = ("dict[str", "dict")

Value = Callable[..., Any]


def fill(slot: Slot, reading: Reading, value: Value) -> dict[str, Any]:
    """Return an object that fits a slot; `value(slot)` fills a slot of any type."""
    tool = reading.notes.get("tool")
    if slot.name == agent.TOOL_ARGUMENTS and isinstance(tool, agent.Tool):
        return agent.arguments(tool, reading, lambda name, schema: value(Slot(name, schema)))
    modules = reading.prompt.inputs.get("module_names")
    if modules and propose.proposes(slot.name, reading):
        return {name: propose.advice(name, reading) for name in _names(modules)}
    inner = slot.schema.get("additionalProperties")
    inner = inner if isinstance(inner, dict) else {"type": "string"}
    least = int(slot.schema.get("minProperties", 0))
    if "propertyNames" in slot.schema:
        keys = Slot("key", slot.schema["propertyNames"], slot.about, defs=slot.defs).resolved()
        names = [str(one) for one in keys.schema.get("enum", ())] or [str(value(keys))]
        return {name: value(slot.within(name, inner)) for name in names}
    # Only a type by name says that the keys are texts; where it is not known, keys of digits fit everything.
    if slot.type_name.startswith(_TEXT_KEYS[0]) or slot.type_name == _TEXT_KEYS[1]:
        found = terms(reading, max(least, _USUAL_ENTRIES))
        return {term: _entry(term, slot.within(term, inner, in_list=True), reading, value) for term in found}
    return {str(i): value(slot.within(str(i), inner)) for i in range(least)}


def distribution(slot: Slot, properties: Schema, reading: Reading) -> dict[str, float]:
    """Return the share of each option, for an object that asks for the probability of each; else nothing."""
    numeric = all(isinstance(one, dict) and one.get("type") == "number" for one in properties.values())
    if not numeric or "probabilit" not in slot.name:
        return {}
    return choose(slot.name, list(properties), reading, ()).shares


def _entry(term: str, slot: Slot, reading: Reading, value: Value) -> Any:
    """Return what stands behind a term: how often it occurs, or what the sentence that speaks of it gives."""
    slot = slot.resolved()
    kind = slot.schema.get("type")
    if kind in {"integer", "number"} and "score" not in slot.kinds:
        return fitted(reading.everything.lower().count(term.lower()), slot, whole=kind == "integer")
    ranked = reading.ranked(term)
    return value(replace(slot, focus=ranked[0] if ranked else None))


def _names(text: str) -> list[str]:
    return [part for part in (piece.strip(" \"'[]\u00ab\u00bb\n") for piece in text.split(",")) if part]
