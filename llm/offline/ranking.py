"""The most telling sentences for a question: by shared words, rare ones counting more, and by place."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log, sqrt

from llm.offline.sentences import Sentence
from llm.offline.words import stems

# Questions of such words only ask for the material as a whole.
GENERAL = frozenset(
    stems(
        "summarize summarise summary main key important point document text content context overview gist"
        " part describe mention report topic theme section file list find everything learn sentence word"
        " brief short concise detail paragraph bullet two three four five 1 2 3 4 5 article material message"
        " following"
    )
)
_GENERAL_WEIGHT = 0.25
_FULLY_READ = 6_000  # sentences; of longer texts those that share the most asked words, and a sample
_SAMPLED = 1_000  # of these, to know which words are rare
_SHORT = 4  # words; shorter sentences are headings and remains
_NEIGHBOUR = 0.15  # of its predecessor's overlap counts for a sentence ("She was born in 1815.")
_REPEATS = 0.7  # of the words of the shorter of two sentences; from there on one repeats the other


@dataclass(frozen=True, slots=True)
class Ranked:
    """A sentence with how telling it is.

    Args:
        sentence: the sentence.
        score: for putting sentences in order; only comparable inside one ranking.
        overlap: the share of the question's words (rare ones counting more) that it contains, 0 to 1.
        shared: those words' stems.
    """

    sentence: Sentence
    score: float
    overlap: float
    shared: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """Sentences read for one query: their stems, how often each occurs, and how rare the asked ones are."""

    sentences: Sequence[Sentence]
    read: list[dict[str, None]]
    seen_in: Counter[str]
    rarity: dict[str, float]


def index(found: Sequence[Sentence], query: str) -> Index:
    """Read sentences for a query, words of which count by their rarity."""
    asked = list(dict.fromkeys(stems(query)))
    found = _worth_reading(found, asked)
    read = [dict.fromkeys(stems(sentence.text)) for sentence in found]
    seen_in = Counter(word for words in read for word in words)
    # Words like "document" and "point" only tell that something is asked.
    weight = {word: _GENERAL_WEIGHT if word in GENERAL else 1.0 for word in asked}
    rarity = {word: weight[word] * (1 + log(1 + len(found) / (0.5 + seen_in[word]))) for word in asked}
    return Index(found, read, seen_in, rarity)


def rank(asked: Index, hint: str = "") -> list[Ranked]:
    """Return sentences, the most telling first; ties in the order of the text.

    Args:
        asked: the sentences to choose from, read for what is asked.
        hint: what else is known of the wish (a field's description): it counts a little, where it occurs.
    """
    seen_in, rarity = asked.seen_in, asked.rarity
    hinted = {word for word in stems(hint) if word in seen_in and word not in rarity}
    whole = sum(rarity.values())
    ranked, before = [], 0.0
    for i, (sentence, words) in enumerate(zip(asked.sentences, asked.read, strict=True)):
        shared = tuple(word for word in rarity if word in words)
        overlap = min(1.0, sum(rarity[word] for word in shared) / whole) if whole else 0.0
        central = sum(log(seen_in[word]) for word in words if seen_in[word] > 1) / sqrt(1 + len(words))
        early = 1 / (1 + 10 * i / len(asked.sentences))
        wished = sum(word in hinted for word in words)
        telling = 0.12 * min(1.0, central / 4) + 0.12 * early + 0.02 * min(5, wished)
        good = 1.0 if len(words) >= _SHORT and _is_prose(sentence) else 0.4
        ranked.append(Ranked(sentence, (overlap + _NEIGHBOUR * before + telling) * good, overlap, shared))
        before = overlap
    return sorted(ranked, key=lambda one: -one.score)


def distinct(ranked: Iterable[Ranked], most: int) -> list[Ranked]:
    """Return the first sentences that do not mostly repeat one before them."""
    chosen: list[Ranked] = []
    taken: list[set[str]] = []
    for one in ranked:
        words = set(stems(one.sentence.text)) or {one.sentence.prose}
        if all(len(words & other) <= _REPEATS * min(len(words), len(other)) for other in taken):
            chosen.append(one)
            taken.append(words)
        if len(chosen) >= most:
            break
    return chosen


def _worth_reading(found: Sequence[Sentence], asked: Sequence[str]) -> Sequence[Sentence]:
    """Return all sentences, or of very many a sample, and those that share the most asked words."""
    if len(found) <= _FULLY_READ:
        return found
    every = len(found) // _SAMPLED
    hits = [sum(word in text for word in asked) for text in (sentence.text.lower() for sentence in found)]
    by_hits = Counter(hits)
    least = max(by_hits)
    while least > 1 and sum(n for hit, n in by_hits.items() if hit >= least - 1) <= _FULLY_READ:
        least -= 1
    wanted = [one for i, one in enumerate(found) if i % every == 0 or 0 < least <= hits[i]]
    return wanted[: 2 * _FULLY_READ]


def _is_prose(sentence: Sentence) -> bool:
    """Whether a sentence is mostly letters, not a table or code, and no heading."""
    text = sentence.text
    letters = sum(char.isalpha() or char.isspace() for char in text)
    return letters >= 0.7 * len(text) and not text.lstrip().startswith(("#", "|"))
