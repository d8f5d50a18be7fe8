"""Cut a document into parts that fit a prompt, where its structure allows it best."""

import re
import unicodedata
from bisect import bisect_left, bisect_right

from tools.documents.document import Document, Mark, Part, Section, sections_of

MAX_PART_CHARS = 12_000

_SENTENCE_END = re.compile("[.!?\u2026][\"'\u201d\u2019)\\]]?\\s|[\u3002\uff01\uff1f]")


def split(document: Document, max_chars: int = MAX_PART_CHARS) -> list[Part]:
    """Return the document's parts in order: together they are its text, nothing lost, nothing twice.

    A part ends before a heading (page, row, member) where one is near, else behind a paragraph, a sentence,
    a line, a word; inside a word only when nothing else is left. Small sections share a part. The time is
    linear in the length of the text.

    Args:
        document: what to cut.
        max_chars: the most characters that a part may have, at least 1.
    """
    if max_chars < 1:
        raise ValueError("max_chars must be at least 1")
    sections = list(sections_of(document))
    starts = [section.start for section in sections]
    parts: list[Part] = []
    start = 0
    while start < len(document.text):
        end = _cut(document.text, document.marks, starts, start, max_chars)
        here = _sections_between(sections, starts, start, end)
        parts.append(Part(document.name, label(here), document.text[start:end], start, end, here))
        start = end
    return parts


def label(sections: tuple[Section, ...]) -> str:
    """Return what to call a stretch of text: its section, or the first and the last of several."""
    paths = [section.path for section in sections if section.path]
    if not paths:
        return ""
    first, last = paths[0], paths[-1]
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    ends = dict.fromkeys(" > ".join(path[shared:]) for path in (first, last))
    return " > ".join(filter(None, [*first[:shared], " \u2026 ".join(filter(None, ends))]))


def _cut(text: str, marks: tuple[Mark, ...], starts: list[int], start: int, max_chars: int) -> int:
    """Return where the part that begins at `start` ends."""
    left = len(text) - start
    if left <= max_chars:
        return len(text)
    # Two halves read better than a full part and a crumb.
    high = start + (min(max_chars, left // 2 + max_chars // 8) if left < 2 * max_chars else max_chars)
    low = start + max(1, (high - start) // 4)
    near = marks[bisect_left(starts, low) : bisect_right(starts, high)]
    if near:
        # The outermost boundary of the second half, or of the second quarter when there is none.
        late = [mark for mark in near if mark.start >= (start + high) // 2] or near
        return min(late, key=lambda mark: (mark.level, -mark.start)).start
    paragraph = text.rfind("\n\n", low, high)
    if paragraph >= 0:
        return paragraph + 2
    sentence = 0
    for found in _SENTENCE_END.finditer(text, low, high):
        sentence = found.end()
    if sentence:
        return sentence
    for blank in ("\n", " "):
        found_at = text.rfind(blank, low, high)
        if found_at >= 0:
            return found_at + 1
    return _between_letters(text, low, high)


def _between_letters(text: str, low: int, high: int) -> int:
    """Return a cut that parts no letter from its accents, within a few characters."""
    for cut in range(high, max(low, high - 16), -1):
        if not unicodedata.combining(text[cut]) and text[cut] not in "\u200d\ufe0f":
            return cut
    return high


def _sections_between(
    sections: list[Section], starts: list[int], start: int, end: int
) -> tuple[Section, ...]:
    """Return the section in force at `start`, moved there, and those that begin before `end`."""
    first = bisect_right(starts, start) - 1
    force = Section(start, sections[first].path if first >= 0 else ())
    return (force, *sections[first + 1 : bisect_left(starts, end)])
