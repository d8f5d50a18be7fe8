"""Lists for fields: distinct sentences, one object per sentence, options, terms, faults, numbers of notes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from llm.offline import critique
from llm.offline.classify import choose
from llm.offline.fields import Schema
from llm.offline.length import items
from llm.offline.numbers import fitted, note
from llm.offline.reading import Reading
from llm.offline.slots import Slot
from llm.offline.texts import several, terms
from llm.offline.words import spoken

_USUAL_ITEMS = 5
_CHOSEN_SHARE = 0.3  # of the evidence from which on an option joins a list of several
_ANY_TEXT = {"type": "string"}
_NARROWER = {"format", "pattern", "const", "anyOf", "oneOf", "minLength", "maxLength", "contentMediaType"}
_FAULTS = {"problem": critique.problems, "gap": critique.gaps, "conflict": critique.disagreements}

Value = Callable[..., Any]


def fill(slot: Slot, reading: Reading, value: Value) -> list[Any]:
    """Return a list that fits a slot.

    Args:
        slot: the list's place.
        reading: the prompt.
        value: fills a slot of any type, `value(slot, needed=...)`.
    """
    schema = slot.schema
    fixed = schema.get("prefixItems", ())
    least = _limit(schema, "minItems", "minLength", 0)
    most = _limit(schema, "maxItems", "maxLength", max(least, items(slot.about) or _USUAL_ITEMS))
    inner = slot.within(slot.name, schema.get("items") or _ANY_TEXT, in_list=True).resolved()
    if fixed:
        found = [value(slot.within(slot.name, part, in_list=True)) for part in fixed]
    elif slot.too_deep:
        found = []
    else:
        found = _numbers_of_notes(slot, inner, reading) or _several(slot, inner, reading, most, value)
    found += [value(inner) for _ in range(least - len(found))]
    return found[: max(most, least)]


def _several(slot: Slot, inner: Slot, reading: Reading, most: int, value: Value) -> list[Any]:
    kind = inner.schema.get("type")
    if inner.schema.get("enum"):
        return _options(slot, inner, reading)
    if kind in {"string", None} and not _NARROWER & set(inner.schema):
        return _texts(slot, reading, most)
    if kind in {"string", "object"} or "properties" in inner.schema:
        chosen = [inner.focus] if inner.focus is not None else several(slot, reading, most)
        _tell(slot, reading, len(chosen))
        return [value(replace(inner, focus=one)) for one in chosen]
    one = value(inner, needed=False)
    return [] if one is None else [one]


def _texts(slot: Slot, reading: Reading, most: int) -> list[Any]:
    for kind, faults in _FAULTS.items():
        if kind in slot.kinds:
            return list(faults(reading)[:most])
    if "terms" in slot.kinds:
        return list(terms(reading, most))
    chosen = [slot.focus] if slot.focus is not None else several(slot, reading, most)
    if slot.focus is None:
        reading.used += chosen
        _tell(slot, reading, len(chosen))
    return [one.sentence.text if "quote" in slot.kinds else one.sentence.prose for one in chosen]


def _options(slot: Slot, inner: Slot, reading: Reading) -> list[Any]:
    choice = choose(slot.name, inner.schema["enum"], reading, (), slot.about)
    note(choice, reading)
    enough = [one for one in inner.schema["enum"] if choice.shares[str(one)] >= _CHOSEN_SHARE]
    return enough or [choice.option]


def _numbers_of_notes(slot: Slot, inner: Slot, reading: Reading) -> list[Any]:
    """Return the numbers that stand under the slot's name in the records of the sentences that were used."""
    whole = inner.schema.get("type") == "integer"
    if not whole and inner.schema.get("type") != "number":
        return []
    behind = [slot.focus] if slot.focus is not None else reading.used
    held = [one.sentence.source.record.get(slot.name) for one in behind]
    numbers = dict.fromkeys(number for values in held if isinstance(values, list) for number in values)
    return [fitted(number, inner, whole=whole) for number in numbers if isinstance(number, int | float)]


def _limit(schema: Schema, key: str, other: str, usual: int) -> int:
    """Return a limit on a list: DSPy tells that of a whole field as the length of a text."""
    return next((int(schema[name]) for name in (key, other) if name in schema), usual)


def _tell(slot: Slot, reading: Reading, found: int) -> None:
    reading.reasons.append(f"Found {found} distinct sentences for {spoken(slot.name)}.")
