"""Judging by words: how much of a draft the material supports, what it leaves out, where texts disagree."""

import re
from collections.abc import Iterable, Sequence
from itertools import combinations

from llm.offline.answer import NOT_SAID
from llm.offline.extract import READ_CHARS
from llm.offline.reading import Reading
from llm.offline.sentences import GENERAL, Sentence, Source, sentences
from llm.offline.words import spoken, stems

SUPPORTED = 0.6  # share of a sentence's words that must stand close together in the material
UNKNOWN = 0.5  # the score where there is nothing to judge
UNCHECKED = 0.8  # of a draft in which no fault could be found because there is nothing to compare it with
_NEGATION = re.compile(r"\b(?:not?|never|none|without|cannot|\w+n't)\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_COMPARED = 150  # sentences; disagreement is looked for among the most telling ones only
_SAME_MATTER = 0.6  # share of common words from which on two sentences speak of the same thing
_FEWEST_WORDS = 3
_RECALL = frozenset("recall completeness complete coverage covered".split())
_PRECISION = frozenset(
    "precision groundedness grounded faithfulness faithful support supported hallucination".split()
)
_ON_TOPIC = frozenset("relevance relevant".split())


def grade(name: str, reading: Reading) -> tuple[float, str]:
    """Return a grade from 0 to 1 for the draft among the inputs, and the reason.

    The field's name says what is graded: recall or completeness (how much of the reference the draft
    holds), precision or groundedness (how much of the draft the material holds), relevance (how much of
    the question it speaks of); anything else weighs support against relevance.
    """
    words = set(spoken(name).split())
    draft, base = reading.draft, _base(reading)
    if not draft.strip():
        return _own_confidence(reading)
    on_topic = covered(reading.question, [draft])
    if not base:
        return (
            on_topic if words & _ON_TOPIC else UNCHECKED
        ), "There is nothing that the draft could be checked against, so no fault was found."
    held, holds = support(draft, base), covered("\n".join(base), [draft])
    if words & _RECALL:
        return holds, f"The draft holds {holds:.0%} of the words that it should cover."
    if words & _PRECISION:
        return held, f"{held:.0%} of the draft's words are in the material."
    if words & _ON_TOPIC:
        return on_topic, f"The draft speaks of {on_topic:.0%} of the question's words."
    if reading.reference:
        score = 2 * held * holds / (held + holds) if held + holds else 0.0
        return score, f"The draft shares {score:.0%} of its words with the reference (F1)."
    if NOT_SAID.lower() in draft.lower() and covered(reading.question, base) < UNKNOWN:
        return (
            0.9,
            "The draft says that the material does not say, and the material shares little with the question.",
        )
    score = 0.75 * held + 0.25 * on_topic if reading.question else held
    return (
        score,
        f"The material supports {held:.0%} of the draft, which speaks of {on_topic:.0%} of the question.",
    )


def verdict(name: str, reading: Reading) -> tuple[bool, str]:
    """Say whether the draft holds: it is graded at least as supported."""
    score, reason = grade(name, reading)
    return score >= SUPPORTED, reason


def better_of(options: Sequence[str], reading: Reading) -> tuple[str, str] | None:
    """Return the option that names the better of several drafts (`A` of `answer_a` and `answer_b`), if any does."""
    rivals: dict[str, str] = {}
    for option in options:
        for name, text in reading.prompt.inputs.items():
            if spoken(option).split()[-1:] == spoken(name).split()[-1:] and len(spoken(name).split()) > 1:
                rivals[option] = text
    if len(rivals) < 2:  # noqa: PLR2004  a comparison needs two
        return None
    base = [source.text for source in reading.material if source.text not in rivals.values()]
    base += [reading.reference] if reading.reference else []
    marks = {}
    for option, text in rivals.items():
        held = support(text, base) if base else 0.0
        marks[option] = held + covered(reading.question, [text])
    best = max(rivals, key=lambda option: marks[option])
    tie = [option for option in options if option.lower() in {"tie", "equal", "both", "neither"}]
    if tie and max(marks.values()) - min(marks.values()) < 1e-9:  # noqa: PLR2004  rounding
        return tie[0], "Both are supported equally."
    listed_marks = ", ".join(f"{option} {mark:.2f}" for option, mark in marks.items())
    return best, f"Support by the material and the question: {listed_marks}."


def problems(reading: Reading) -> list[str]:
    """Return what is wrong with the draft: sentences that nothing supports, questions that it passes over."""
    base = _base(reading)
    if not reading.draft.strip():
        return ["The draft is empty."]
    if not base:
        return []
    found = []
    index = _windows(base)
    for sentence in sentences(Source("draft", "draft", reading.draft)):
        if NOT_SAID not in sentence.text and _held(stems(sentence.text), index) < SUPPORTED:
            found.append(f"Not supported by the material: \u201c{sentence.prose}\u201d")
    known = {word for text in base for word in stems(text[:READ_CHARS])}
    said = set(stems(reading.draft))
    passed_over = [
        word for word in dict.fromkeys(stems(reading.question)) if word in known and word not in said
    ]
    if passed_over:
        found.append(f"Says nothing about: {', '.join(passed_over)}.")
    return found


def gaps(reading: Reading) -> list[str]:
    """Return what the question asks for and the material never mentions."""
    texts = [source.text.lower() for source in reading.material] if reading.question else []
    asked = [
        word for word in re.findall(r"[^\W_][\w'-]*", reading.question) if not GENERAL.issuperset(stems(word))
    ]
    missing = [word for word in asked if not any(stems(word)[0] in text for text in texts)]
    return [f"The material does not mention \u201c{word}\u201d." for word in dict.fromkeys(missing)]


def disagreements(reading: Reading) -> list[str]:
    """Return pairs of sentences on the same matter with other numbers, or one of them negated."""
    found = []
    most_telling = [one.sentence for one in reading.ranked(reading.question)[:_COMPARED]]
    read = [(one, {word for word in stems(one.text) if not word.isdigit()}) for one in most_telling]
    for (left, words), (right, others) in combinations(read, 2):
        common = len(words & others)
        if common < _FEWEST_WORDS or common < _SAME_MATTER * max(len(words), len(others)):
            continue
        if left.source.name != right.source.name and _contradict(left.text, right.text):
            found.append(f"{_quoted(left)} against {_quoted(right)}")
    return list(dict.fromkeys(found))


def support(text: str, base: Sequence[str]) -> float:
    """Return how much of a text's words stand together in the base, sentence by sentence, 0 to 1."""
    index = _windows(base)
    shares = [
        _held(words, index)
        for one in sentences(Source("", "", text[:READ_CHARS]))
        if (words := stems(one.text))
    ]
    return sum(shares) / len(shares) if shares else 0.0


def covered(text: str, by: Iterable[str]) -> float:
    """Return which share of a text's words the others hold, 0 to 1; 1 when it has no words."""
    wanted = list(dict.fromkeys(stems(text[:READ_CHARS])))
    known = {word for other in by for word in stems(other[:READ_CHARS])}
    return sum(word in known for word in wanted) / len(wanted) if wanted else 1.0


def _base(reading: Reading) -> list[str]:
    """What a draft is judged against: the reference, or else the material and what was said before."""
    if reading.reference:
        return [reading.reference]
    base, left = [], READ_CHARS * 5
    for source in (*reading.material, *reading.said):
        base.append(source.text[:left])
        left -= len(base[-1])
        if left <= 0:
            break
    return base


def _windows(base: Sequence[str]) -> list[set[str]]:
    """Return the words of every two neighbouring sentences: what they say together supports a claim too."""
    read = [set(stems(one.text)) for text in base for one in sentences(Source("", "", text))]
    return [left | right for left, right in zip(read, [*read[1:], set()], strict=False)]


def _held(words: Sequence[str], windows: Sequence[set[str]]) -> float:
    wanted = set(words)
    if not wanted:
        return 1.0
    return max((len(wanted & window) for window in windows), default=0) / len(wanted)


def _own_confidence(reading: Reading) -> tuple[float, str]:
    """Grade an answer of our own by how much of the question the best sentence speaks of."""
    best = reading.ranked(reading.question)[:1]
    if reading.is_about_all or not best:
        return UNKNOWN, "There is no draft to judge and no question to measure against."
    score = 0.05 + 0.9 * best[0].overlap
    return score, f"The best sentence speaks of {best[0].overlap:.0%} of the question."


def _contradict(left: str, right: str) -> bool:
    numbers, others = set(_NUMBER.findall(left)), set(_NUMBER.findall(right))
    if numbers and others:
        return numbers.isdisjoint(others)
    return bool(_NEGATION.search(left)) != bool(_NEGATION.search(right))


def _quoted(sentence: Sentence) -> str:
    return f"{sentence.source.name}: \u201c{sentence.prose}\u201d"
