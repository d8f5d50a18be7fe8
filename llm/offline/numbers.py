"""Numbers and truth values: learned from demos, graded, or found in the text; always within bounds."""

import re
from math import ceil, floor, inf, isfinite, nextafter
from typing import Any

from llm.offline.classify import Choice, choose, current, learned
from llm.offline.extract import labelled, number_near
from llm.offline.judge import grade, verdict
from llm.offline.reading import Reading
from llm.offline.similarity import cosine, vectors
from llm.offline.slots import Slot
from llm.offline.words import bag, spoken

_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\s*(?:to|-|\u2013|and|\.\.)\s*(-?\d+(?:\.\d+)?)")
_OUT_OF = re.compile(r"out of (\d+(?:\.\d+)?)|/\s?(\d+)\b")
_JUDGING = bag(
    "supported faithful correct grounded entailed valid accurate holds true sufficient good acceptable"
)
_TRUE = ("true", "yes", "1")
_FEWEST_TAUGHT = 2


def number(slot: Slot, reading: Reading, *, needed: bool) -> float | int | None:
    """Return a number for a slot, within its bounds; None only when it is not needed and nothing tells it."""
    whole = slot.schema.get("type") == "integer"
    low, high = _bounds(slot)
    value = _taught(slot, reading)
    if value is None and slot.focus is not None and slot.kinds & {"start", "end"}:
        value = float(slot.focus.sentence.end if "end" in slot.kinds else slot.focus.sentence.start)
    if value is None and "score" in slot.kinds:
        value = _graded(slot, reading, low, high)
    if value is None:
        value = _found(slot, reading, low, high)
    if value is None and not needed:
        return None
    return fitted(0.0 if value is None else value, slot, whole=whole)


def truth(slot: Slot, reading: Reading) -> bool:
    """Say yes or no: by the demos, by judging a draft, or by whether the input speaks of the field's name."""
    taught = learned(reading, slot.path)
    words = set(slot.wish.lower().split())
    if not taught and reading.draft and (words & _JUDGING or "score" in slot.kinds):
        value, reason = verdict(slot.name, reading)
        reading.reasons.append(reason)
        return value
    choice = choose(slot.name, [False, True], reading, slot.path, f"True: {slot.wish}".replace("\n", " "))
    note(choice, reading)
    return bool(choice.option)


def note(choice: Choice, reading: Reading) -> None:
    """Remember a choice: its reason, and its confidence for a field that asks for one."""
    reading.reasons.append(choice.because)
    reading.notes["choice"] = choice


def fitted(value: float, slot: Slot, *, whole: bool) -> float | int:
    """Return the nearest number that the schema allows."""
    schema, value = slot.schema, value if isfinite(value) else 0.0
    step = schema.get("multipleOf") or (1 if whole else 0)
    lows = [schema["minimum"]] if "minimum" in schema else []
    highs = [schema["maximum"]] if "maximum" in schema else []
    if "exclusiveMinimum" in schema:
        bound = schema["exclusiveMinimum"]
        lows.append(bound + step if step else nextafter(bound, inf))
    if "exclusiveMaximum" in schema:
        bound = schema["exclusiveMaximum"]
        highs.append(bound - step if step else nextafter(bound, -inf))
    low, high = max(lows, default=-inf), min(highs, default=inf)
    value = min(max(value, low), high)
    if step:
        least, most = low / step, high / step
        value = (
            min(max(round(value / step), ceil(least) if lows else least), floor(most) if highs else most)
            * step
        )
    if whole:
        return int(value)
    return rounded if low <= (rounded := round(float(value), 6)) <= high else float(value)


def _taught(slot: Slot, reading: Reading) -> float | None:
    """Return the demos' numbers, each weighing as much as its demo is like the input."""
    pairs = [
        (said, known) for said, value in learned(reading, slot.path) if (known := _parsed(value)) is not None
    ]
    if len(pairs) < _FEWEST_TAUGHT:
        return None
    *shown, asked = vectors([*(said for said, _ in pairs), current(reading)])
    weights = [cosine(one, asked) ** 2 for one in shown]
    whole = sum(weights)
    if not whole:
        return None
    reading.reasons.append(f"Weighed the numbers of {len(pairs)} examples by how alike their inputs are.")
    return sum(weight * value for weight, (_, value) in zip(weights, pairs, strict=True)) / whole


def _graded(slot: Slot, reading: Reading, low: float | None, high: float | None) -> float:
    choice = reading.notes.get("choice")
    if slot.focus is not None:
        share = min(1.0, 0.5 + slot.focus.score) if reading.is_about_all else slot.focus.overlap
    elif "confidence" in spoken(slot.name).split() and choice is not None and not reading.draft:
        share = choice.confidence
    else:
        share, reason = grade(slot.name, reading)
        reading.reasons.append(reason)
    bottom = 0.0 if low is None else low
    top = high if high is not None else bottom + (10.0 if slot.schema.get("type") == "integer" else 1.0)
    return round(bottom + share * (top - bottom), 4)


def _found(slot: Slot, reading: Reading, low: float | None, high: float | None) -> float | None:
    text = slot.focus.sentence.text if slot.focus is not None else reading.nearby
    named = labelled(slot.name, text)
    value = number_near(slot.wish, named, low, high) if named else None
    if value is None:
        value = number_near(f"{slot.wish} {reading.question}", text, low, high)
    if value is not None:
        reading.reasons.append(f"Took the number nearest to the words of {spoken(slot.name)}.")
    return value


def _bounds(slot: Slot) -> tuple[float | None, float | None]:
    """Return the bounds of the schema, or the range that the description names."""
    schema = slot.schema
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None and high is None and "score" in slot.kinds:
        named = _RANGE.search(slot.about)
        if named and float(named[1]) < float(named[2]):
            return float(named[1]), float(named[2])
        out_of = _OUT_OF.search(slot.about)
        if out_of:
            return 0.0, float(out_of[1] or out_of[2])
        if "stars" in slot.wish or "rating" in slot.wish:
            return 1.0, 5.0
    return low, high


def _parsed(value: Any) -> float | None:
    try:
        parsed = float(str(value))
    except ValueError:
        return None
    return parsed if isfinite(parsed) and str(value).lower() not in _TRUE[:2] else None
