"""Texts cut into sentences, and the most telling of them for a question."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import log, sqrt
from typing import Any

from llm.offline.words import stems

# A sentence ends at its mark and a space, at an empty line, or before the next item of a list. The pattern
# begins with one set of characters because `re` then jumps from one to the next: 5 MB in 0.1 s, not 2 s.
_BREAK = re.compile(
    r"[.!?:\n\u3002\uff01\uff1f](?:"
    r"(?<=[.!?])[\"'\u201d\u2019)\]]*+\s++(?![a-z])"
    r"|(?<=[\u3002\uff01\uff1f])"
    r"|(?<=:)\n"
    r"|(?<=\n)[ \t\r]*+\n\s*+"
    r"|(?<=\n)(?=[ \t]{0,20}(?:[-*+\u2022>|#]|\d{1,3}[.)])[ \t])"
    r"|(?<=\n)(?=[A-Z][\w ]{0,30}:[ \t])"
    r")"
)
_NO_END = ("Mr", "Mrs", "Ms", "Dr", "St", "No", "vs", "e.g", "i.e", "cf", "approx", "Prof", "Inc")
# Questions of such words only ask for the material as a whole.
GENERAL = frozenset(
    stems(
        "summarize summarise summary main key important point document text content context overview gist part"
        " describe mention report topic theme section file list find everything learn sentence word brief short"
        " concise detail paragraph bullet two three four five 1 2 3 4 5 article material message following"
    )
)
_LEAD = re.compile(r"^(?:[#>*+\-\u2022|\s]|\d{1,3}[.)]\s)+")
_LONGEST = 300  # characters; a longer run without an end is cut between words
_FULLY_READ = 6_000  # sentences; of longer texts only those that share a word with the question, and a sample
_SAMPLED = 1_000  # of these, to know which words are rare
_GENERAL_WEIGHT = 0.25
_SHORT = 4  # words; shorter sentences are headings and remains
_NEIGHBOUR = 0.15  # of its predecessor's overlap counts for a sentence ("She was born in 1815.")


@dataclass(frozen=True, slots=True)
class Source:
    """A piece of material: the input it came in, the document it belongs to, and its words.

    `record` is the JSON object that it stood in, if it did.
    """

    origin: str
    name: str
    text: str
    section: str = ""
    record: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as it stands in its source: `source.text[start:end]`."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        """Its words, verbatim."""
        return self.source.text[self.start : self.end]

    @property
    def prose(self) -> str:
        """Its words on one line, without the marks of lists, headings and quotations."""
        return _LEAD.sub("", " ".join(self.text.split()))


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


def sentences(source: Source, least: int = 2) -> Iterator[Sentence]:
    """Yield the sentences of a source in their order; what is shorter than `least` joins the next one."""
    text, start = source.text, 0
    match = _BREAK.search(text, least)
    while match:
        at, end = match.start(), match.end()
        if text[at] == "." and text.endswith(_NO_END, max(start, at - 6), at):
            match = _BREAK.search(text, end)
            continue
        yield from _cut(source, start, end)
        start = end
        match = _BREAK.search(text, start + least)
    yield from _cut(source, start, len(text))


@dataclass(frozen=True, slots=True)
class Index:
    """Sentences read for one query: their stems, in how many each stem occurs, and how rare the asked ones are."""

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
    rarity = {word: weight[word] * log(1 + len(found) / (0.5 + seen_in[word])) for word in asked}
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
        telling = 0.12 * min(1.0, central / 4) + 0.08 * early + 0.02 * min(5, wished)
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
        if all(len(words & other) <= 0.7 * min(len(words), len(other)) for other in taken):
            chosen.append(one)
            taken.append(words)
        if len(chosen) >= most:
            break
    return chosen


def _worth_reading(found: Sequence[Sentence], asked: Sequence[str]) -> Sequence[Sentence]:
    """Return all sentences, or of very many the first, a sample, and those that share the most asked words."""
    if len(found) <= _FULLY_READ:
        return found
    every = len(found) // _SAMPLED
    hits = [sum(word in text for word in asked) for text in (sentence.text.lower() for sentence in found)]
    by_hits = Counter(hits)
    least = max(by_hits)
    while least > 1 and sum(n for hit, n in by_hits.items() if hit >= least - 1) <= _FULLY_READ:
        least -= 1
    return [one for i, one in enumerate(found) if i % every == 0 or 0 < least <= hits[i]][: 2 * _FULLY_READ]


def _is_prose(sentence: Sentence) -> bool:
    """Whether a sentence is mostly letters, not a table or code, and no heading."""
    text = sentence.text
    letters = sum(char.isalpha() or char.isspace() for char in text)
    return letters >= 0.7 * len(text) and not text.lstrip().startswith(("#", "|"))


def _cut(source: Source, start: int, end: int) -> Iterator[Sentence]:
    """Yield what stands between two places, without the space around it, in pieces that can be quoted."""
    chunk = source.text[start:end]
    stop = start + len(chunk.rstrip())
    start += len(chunk) - len(chunk.lstrip())
    while stop - start > _LONGEST:
        space = source.text.rfind(" ", start + _LONGEST // 2, start + _LONGEST)
        middle = space if space > 0 else start + _LONGEST
        yield Sentence(source, start, middle)
        start = middle + (space > 0)
    if stop > start:
        yield Sentence(source, start, stop)
