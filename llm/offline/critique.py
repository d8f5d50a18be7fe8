"""Finding fault by words: claims without support, questions left open, texts that contradict each other."""

import re
from itertools import combinations

from llm.offline.answer import NOT_SAID
from llm.offline.extract import READ_CHARS
from llm.offline.judge import SUPPORTED, base, held_by, windows
from llm.offline.ranking import GENERAL
from llm.offline.reading import Reading
from llm.offline.sentences import Sentence, Source, sentences
from llm.offline.words import stems

_NEGATION = re.compile(r"\b(?:not?|never|none|without|cannot|\w+n't)\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_COMPARED = 150  # sentences; disagreement is looked for among the most telling ones only
_SAME_MATTER = 0.6  # share of common words from which on two sentences speak of the same thing
_FEWEST_WORDS = 3


def problems(reading: Reading) -> list[str]:
    """Return what is wrong with the draft: sentences that nothing supports, questions that it passes over."""
    checked_against = base(reading)
    if not reading.draft.strip():
        return ["The draft is empty."]
    if not checked_against:
        return []
    read = windows(checked_against)
    found = [
        f"Not supported by the material: \u201c{sentence.prose}\u201d"
        for sentence in sentences(Source("draft", "draft", reading.draft))
        if NOT_SAID not in sentence.text and held_by(stems(sentence.text), read) < SUPPORTED
    ]
    known = {word for text in checked_against for word in stems(text[:READ_CHARS])}
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


def _contradict(left: str, right: str) -> bool:
    numbers, others = set(_NUMBER.findall(left)), set(_NUMBER.findall(right))
    if numbers and others:
        return numbers.isdisjoint(others)
    return bool(_NEGATION.search(left)) != bool(_NEGATION.search(right))


def _quoted(sentence: Sentence) -> str:
    return f"{sentence.source.name}: \u201c{sentence.prose}\u201d"
