"""Texts for fields: quotations, sources, labels, key terms, values that the input names, and answers."""

from collections import Counter

from llm.offline import answer, propose
from llm.offline.classify import choose, learned
from llm.offline.extract import READ_CHARS, asks_for_name, labelled, proper_name
from llm.offline.formats import formatted, placeholder
from llm.offline.length import wished
from llm.offline.lessons import is_label, named_options
from llm.offline.numbers import note
from llm.offline.patterns import matching
from llm.offline.ranking import Ranked, distinct
from llm.offline.reading import Reading
from llm.offline.roles import asks
from llm.offline.slots import Slot
from llm.offline.words import STOP_WORDS, WORD, plain, spoken, stem, stems

_USUAL_SENTENCES = 3
_TERMS = 4
_LONGEST_VALUE = 200  # characters of a value that is named in the text; longer lines are prose


def text(slot: Slot, reading: Reading, *, needed: bool) -> str | None:
    """Return a text for a slot; None only when it is not needed and nothing tells it."""
    schema = slot.schema
    near = slot.focus.sentence.text if slot.focus is not None else reading.nearby
    value = None
    if "format" in schema:
        value = formatted(str(schema["format"]), slot.wish, near)
        if value is None:
            value = placeholder(str(schema["format"])) if needed else None
        if value is None and not needed:
            return None
    if value is None and "pattern" in schema:
        value = matching(str(schema["pattern"]), near[:READ_CHARS])
    value = _worded(slot, reading, near, needed=needed) if value is None else value
    return None if value is None else _sized(value, schema.get("minLength", 0), schema.get("maxLength"))


def terms(reading: Reading, most: int) -> list[str]:
    """Return the words of the question and material that say most: asked ones first, then frequent ones."""
    asked = {stem(plain(word)): word for word in WORD.findall(reading.question) if stems(word)}
    counted: Counter[str] = Counter()
    spelled: dict[str, str] = {}
    for word in WORD.findall(reading.everything[:READ_CHARS]):
        lower = plain(word)
        if lower not in STOP_WORDS and len(lower) > 1:
            counted[stem(lower)] += 1
            spelled.setdefault(stem(lower), word)
    frequent = [spelled[root] for root, _ in counted.most_common() if root not in asked]
    return [*asked.values(), *frequent][:most]


def several(slot: Slot, reading: Reading, most: int) -> list[Ranked]:
    """Return distinct sentences for a list: those that speak of the question, or the most telling ones.

    A question of which the material says nothing gets none, unless it asks for the text as a whole.
    """
    ranked = reading.ranked(reading.question, slot.wish)
    if reading.is_about_all:
        return distinct(ranked, most)
    fitting = [one for one in ranked if one.overlap >= answer.LEAST_OVERLAP]
    fitting += [one for one in reading.remembered if one.overlap >= answer.REMEMBERED]
    return distinct(fitting, most)


def _worded(slot: Slot, reading: Reading, near: str, *, needed: bool) -> str | None:
    value = _pointed(slot, reading)
    if value is None and not slot.focus and propose.proposes(slot.name, reading):
        found = propose.write(slot.name, reading)
        reading.reasons.append(found.because)
        return str(found.value)
    if value is None:
        value = _label(slot, reading)
    if value is None:
        value = _stated(slot, reading, near)
    if value is not None:
        return value
    if slot.focus is not None:
        return None if not needed and "default" in slot.schema else slot.focus.sentence.prose
    if slot.depth and not needed:
        return None
    length = wished(reading, slot.path, slot.about, _USUAL_SENTENCES)
    sums_up = "summary" in slot.kinds and not reading.question
    found = (
        answer.summary(reading, length) if sums_up else answer.reply(reading, slot.path, length, slot.wish)
    )
    reading.reasons.append(found.because)
    return str(found.value)


def _pointed(slot: Slot, reading: Reading) -> str | None:
    """Return a verbatim quotation, the name of its source, or key terms, when the name asks for one."""
    ranked = reading.ranked(reading.question, slot.wish)
    best = slot.focus or (ranked[0] if ranked else None)
    if "quote" in slot.kinds:
        return best.sentence.text if best else ""
    if "source" in slot.kinds and best and (slot.focus or slot.depth):
        return best.sentence.source.section if "section" in slot.name.lower() else best.sentence.source.name
    if "question" in slot.kinds and reading.question:
        return " ".join(reading.question.split())
    if "reason" in slot.kinds and slot.depth and reading.reasons:
        return reading.reasons[-1]
    if "terms" in slot.kinds:
        reading.reasons.append("Took the words that say most.")
        return " ".join(terms(reading, _TERMS)) or None
    return None


def _label(slot: Slot, reading: Reading) -> str | None:
    """Return one of the labels that the demos or the instructions know, when the field holds labels."""
    shown = [str(value) for _, value in learned(reading, slot.path)]
    repeated = len(set(shown)) < len(shown) or "label" in slot.kinds
    known = shown if shown and repeated and all(map(is_label, shown)) else []
    if "label" in slot.kinds:
        known = [*known, *named_options(f"{slot.about}\n{reading.prompt.instructions}")]
    if not known:
        return None
    choice = choose(slot.name, list(dict.fromkeys(known)), reading, slot.path, slot.about)
    note(choice, reading)
    return str(choice.option)


def _stated(slot: Slot, reading: Reading, near: str) -> str | None:
    """Return a value that the text names (`City: Paris`), or somebody's name."""
    named = labelled(slot.name, near)
    if named and len(named) <= _LONGEST_VALUE:
        reading.reasons.append(f"The text names {spoken(slot.name)}.")
        return named
    if asks_for_name(slot.name):
        return proper_name(near, without=stems(reading.question) if asks(reading.question) else ())
    return None


def _sized(value: str, least: int, most: int | None) -> str:
    if most is not None and len(value) > most:
        cut = value[:most].rstrip()
        value = cut if len(cut) >= least else value[:most]
    return value.ljust(int(least), ".")
