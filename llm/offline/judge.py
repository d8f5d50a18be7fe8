"""Grading by words: how much of a draft the material supports, and how much of the question it meets."""

from collections.abc import Iterable, Sequence

from llm.offline.answer import NOT_SAID
from llm.offline.extract import READ_CHARS
from llm.offline.reading import Reading
from llm.offline.sentences import Source, sentences
from llm.offline.words import bag, spoken, stems

SUPPORTED = 0.6  # share of a sentence's words that must stand close together in the material
UNKNOWN = 0.5  # the score where there is nothing to judge
UNCHECKED = 0.8  # of a draft in which no fault could be found because there is nothing to compare it with
_RECALL = bag("recall completeness complete coverage covered")
_PRECISION = bag("precision groundedness grounded faithfulness faithful support supported hallucination")
_ON_TOPIC = bag("relevance relevant")
_TIE = bag("tie equal both neither draw")
_HONEST = 0.9  # for a draft that says that the material does not say, where it does not


def grade(name: str, reading: Reading) -> tuple[float, str]:
    """Return a grade from 0 to 1 for the draft among the inputs, and the reason.

    The field's name says what is graded: recall or completeness (how much of the reference the draft
    holds), precision or groundedness (how much of the draft the material holds), relevance (how much of
    the question it speaks of); anything else weighs all of these.
    """
    words = set(spoken(name).split())
    draft, checked_against = reading.draft, base(reading)
    on_topic = covered(reading.question, [draft])
    if not draft.strip():
        score, reason = _own_confidence(reading)
    elif words & _ON_TOPIC:
        score, reason = on_topic, f"The draft speaks of {on_topic:.0%} of the question's words."
    elif not checked_against:
        score, reason = UNCHECKED, "There is nothing to check the draft against, so no fault was found."
    elif words & _RECALL:
        score = covered("\n".join(checked_against), [draft])
        reason = f"The draft holds {score:.0%} of the words that it should cover."
    elif words & _PRECISION:
        score = support(draft, checked_against)
        reason = f"{score:.0%} of the draft's words stand together in the material."
    else:
        score, reason = _overall(reading, checked_against, on_topic)
    return score, reason


def verdict(name: str, reading: Reading) -> tuple[bool, str]:
    """Say whether the draft holds: it is graded at least as supported."""
    score, reason = grade(name, reading)
    return score >= SUPPORTED, reason


def better_of(options: Sequence[str], reading: Reading) -> tuple[str, str] | None:
    """Return the option that names the better of several drafts (`A` of `answer_a`, `answer_b`), and why.

    A draft may also have the option's very name (`first` and `second`).
    """
    named = reading.prompt.inputs.items()
    inputs = {_last_word(name): text for name, text in named if "_" in name or name in options}
    rivals = {option: inputs[_last_word(option)] for option in options if _last_word(option) in inputs}
    if len(rivals) < 2:  # noqa: PLR2004  a comparison needs two
        return None
    against = [source.text for source in reading.material if source.text not in rivals.values()]
    against += [reading.reference] if reading.reference else []
    marks = {
        option: round(covered(reading.question, [text]) + (support(text, against) if against else 0.0), 6)
        for option, text in rivals.items()
    }
    best = max(rivals, key=lambda option: marks[option])
    tie = [option for option in options if option.lower() in _TIE]
    if tie and len(set(marks.values())) == 1:
        return tie[0], "All are supported equally."
    shown = ", ".join(f"{option} {mark:.2f}" for option, mark in marks.items())
    return best, f"Support by the material and the question: {shown}."


def support(text: str, against: Sequence[str]) -> float:
    """Return how much of a text's words stand together in others, sentence by sentence, 0 to 1."""
    read = windows(against)
    shares = [
        held_by(words, read)
        for one in sentences(Source("", "", text[:READ_CHARS]))
        if (words := stems(one.text))
    ]
    return sum(shares) / len(shares) if shares else 0.0


def covered(text: str, by: Iterable[str]) -> float:
    """Return which share of a text's words the others hold, 0 to 1; 1 when it has no words."""
    wanted = list(dict.fromkeys(stems(text[:READ_CHARS])))
    known = {word for other in by for word in stems(other[:READ_CHARS])}
    return sum(word in known for word in wanted) / len(wanted) if wanted else 1.0


def base(reading: Reading) -> list[str]:
    """What a draft is judged against: the reference, or else the material and what was said before."""
    if reading.reference:
        return [reading.reference]
    found: list[str] = []
    left = READ_CHARS * 5
    for source in (*reading.material, *reading.said):
        found.append(source.text[:left])
        left -= len(found[-1])
        if left <= 0:
            break
    return found


def _overall(reading: Reading, checked_against: Sequence[str], on_topic: float) -> tuple[float, str]:
    """Grade a draft on the whole: against its reference, or by support and by how it meets the question."""
    draft = reading.draft
    held = support(draft, checked_against)
    if reading.reference:
        holds = covered(reading.reference, [draft])
        score = 2 * held * holds / (held + holds) if held + holds else 0.0
        return score, f"The draft shares {score:.0%} of its words with the reference (F1)."
    if NOT_SAID.lower() in draft.lower() and covered(reading.question, checked_against) < UNKNOWN:
        return (
            _HONEST,
            "The draft says that the material does not say, and it shares little with the question.",
        )
    score = 0.75 * held + 0.25 * on_topic if reading.question else held
    return (
        score,
        f"The material supports {held:.0%} of the draft; it speaks of {on_topic:.0%} of the question.",
    )


def windows(texts: Sequence[str]) -> list[set[str]]:
    """Return the words of every two neighbouring sentences: what they say together supports a claim too."""
    read = [set(stems(one.text)) for text in texts for one in sentences(Source("", "", text))]
    return [left | right for left, right in zip(read, [*read[1:], set()], strict=False)]


def held_by(words: Sequence[str], windows: Sequence[set[str]]) -> float:
    """Return the largest share of these words that one window holds, 0 to 1."""
    wanted = set(words)
    if not wanted:
        return 1.0
    return max((len(wanted & window) for window in windows), default=0) / len(wanted)


def _last_word(name: str) -> str:
    return (spoken(name).split() or [""])[-1]


def _own_confidence(reading: Reading) -> tuple[float, str]:
    """Grade an answer of our own by how much of the question the best sentence speaks of."""
    best = reading.ranked(reading.question)[:1]
    if reading.is_about_all or not best:
        return UNKNOWN, "There is no draft to judge and no question to measure against."
    score = 0.05 + 0.9 * best[0].overlap
    return score, f"The best sentence speaks of {best[0].overlap:.0%} of the question."
