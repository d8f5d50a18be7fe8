"""Short answers: the name, number or date in a sentence that a question asks for."""

import re

from llm.offline.extract import moment_near, number_near, proper_name
from llm.offline.length import Length
from llm.offline.words import stems

_HOW_MANY = re.compile(r"\bhow (?:many|much|old|long|far|tall)\b")
_WHEN = re.compile(r"\b(?:when|what year|which year|what date)\b")
_YEAR = re.compile(r"\b(?:1\d|20)\d\d\b")


def cut(text: str, question: str, length: Length) -> str:
    """Return a text within its wished length; where only a few words are wanted, those that are asked for."""
    if not length.is_span:
        return shortened(text, length.words)
    asked = question.lower()
    found = None
    if _HOW_MANY.search(asked):
        number = number_near(asked, text, None, None)
        found = None if number is None else f"{number:g}"
    elif _WHEN.search(asked):
        found = _moment(asked, text)
    return found or proper_name(text, without=stems(question)) or shortened(text, length.words)


def shortened(text: str, words: int | None) -> str:
    """Return at most so many words of a text."""
    parts = text.split()
    return text if words is None or len(parts) <= words else " ".join(parts[:words]).rstrip(",;:")


def _moment(asked: str, text: str) -> str | None:
    year = _YEAR.search(text)
    moment = None if year and "year" in asked else moment_near(asked, text)
    if moment:
        return moment.date().isoformat()
    return year[0] if year else None
