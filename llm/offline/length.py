"""How long an answer should be: what the instructions say, and how long the answers in the demos are."""

import re
from dataclasses import dataclass
from statistics import median

from llm.offline.classify import learned
from llm.offline.reading import Reading
from llm.offline.words import word_count

_COUNTS = {"one": 1, "a single": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "ten": 10}
_LIMIT = re.compile(
    r"\b(?P<n>\d{1,3}|one|a single|two|three|four|five|six|ten)"
    r"(?:(?: to |-| or )(?P<m>\d{1,3}|two|three|four|five|six|ten))?"
    r"[ -]+(?:\w+ ){0,2}?(?P<unit>sentence|word|item|point|bullet|finding|entr|quote|line)",
    re.IGNORECASE,
)
_SHORT = re.compile(r"\b(?:short|brief(?:ly)?|concise(?:ly)?|few words|headline|tweet)\b", re.IGNORECASE)
_LONG = re.compile(
    r"\b(?:detail(?:ed|s)?|thorough(?:ly)?|comprehensive|in depth|long|essay)\b", re.IGNORECASE
)
_SPAN_WORDS = 5  # demos with answers this short want a name or a number, not a sentence
_WORDS_PER_SENTENCE = 18


@dataclass(frozen=True, slots=True)
class Length:
    """The wished length: at most so many sentences (or items), and so many words when that is limited."""

    sentences: int
    words: int | None = None

    @property
    def is_span(self) -> bool:
        """Whether a name, a number or a few words are wanted instead of a sentence."""
        return self.words is not None and self.words <= _SPAN_WORDS


def wished(reading: Reading, path: tuple[str, ...], about: str, usual: int) -> Length:
    """Return how long a text should be.

    Args:
        reading: the prompt.
        path: where the demos' answers hold this text.
        about: the field's description; it goes before the instructions.
        usual: sentences when nothing is said.
    """
    told = (about, reading.question, reading.prompt.instructions)
    counted = next((length for text in told if (length := _counted(text))), None)
    return counted or _shown(reading, path) or _described(" ".join(told), usual)


def items(text: str) -> int | None:
    """Return how many items a description asks for at most, if it does."""
    found = [
        match for match in _LIMIT.finditer(text) if match["unit"].lower() not in {"word", "sentence", "line"}
    ]
    return _number(found[0]["m"] or found[0]["n"]) if found else None


def _counted(text: str) -> Length | None:
    """Return a length that is told as a number of words or sentences."""
    for match in _LIMIT.finditer(text):
        number = _number(match["m"] or match["n"])
        if match["unit"].lower() == "word":
            return Length(max(1, number // _WORDS_PER_SENTENCE), number)
        if match["unit"].lower() == "sentence":
            return Length(number)
    return None


def _shown(reading: Reading, path: tuple[str, ...]) -> Length | None:
    """Return how long the demos' texts are."""
    texts = [value for _, value in learned(reading, path) if isinstance(value, str)]
    if not texts:
        return None
    words = int(median(word_count(text) for text in texts))
    if words <= _SPAN_WORDS:
        return Length(1, max(1, words))
    return Length(max(1, round(words / _WORDS_PER_SENTENCE)))


def _described(text: str, usual: int) -> Length:
    if _SHORT.search(text):
        return Length(min(usual, 2))
    return Length(usual + 3 if _LONG.search(text) else usual)


def _number(text: str) -> int:
    return max(1, int(text)) if text.isdigit() else _COUNTS[text.lower()]
