"""What a document is once it has been read: its text, and marks that tell how the text is built."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

# More marks than this cost more memory than they tell: a 5 MB table can have a million rows.
MAX_MARKS = 20_000
MAX_LABEL_CHARS = 120


class Mark(NamedTuple):
    """Something begins here: a heading, a page, a row, a JSON member. A lower level encloses a higher one."""

    start: int
    level: int
    label: str


class Section(NamedTuple):
    """Where a section begins, and its labels from the outermost to the innermost."""

    start: int
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A document as text.

    Args:
        name: as its owner calls it; shown beside every quote.
        text: what it says; every offset in this package counts characters of it, from 0.
        marks: how it is built, in the order of their offsets.
    """

    name: str
    text: str
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a document that fits into one prompt.

    Args:
        document: the document's name.
        section: the labels that it stands under, e.g. `Guide > Install` or `page 2 … page 3`.
        text: its words; always `document.text[start:end]`.
        start: offset of its first character in the document's text.
        end: offset just behind its last character.
        sections: where sections begin inside it; the first is the one that it begins in.
    """

    document: str
    section: str
    text: str
    start: int
    end: int
    sections: tuple[Section, ...] = ()


@dataclass(slots=True)
class Draft:
    """A document while it is being read: pieces of text, and marks where the next piece begins."""

    pieces: list[str] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    length: int = 0

    def mark(self, level: int, label: str) -> None:
        """Note that something begins at the current end of the text."""
        self.marks.append(Mark(self.length, level, shortened(label)))

    def add(self, text: str) -> None:
        """Append text."""
        self.pieces.append(text)
        self.length += len(text)

    def finish(self, name: str) -> Document:
        """Return the document, without the marks that would be too many."""
        text = "".join(self.pieces).rstrip()
        marks = [mark for mark in self.marks if mark.start < len(text)]
        while len(marks) > MAX_MARKS:
            deepest = max(mark.level for mark in marks)
            marks = [mark for mark in marks if mark.level < deepest]
        return Document(name, text, tuple(marks))


def sections_of(document: Document) -> Iterator[Section]:
    """Yield each place where the section changes, with the labels in force from there on."""
    path: list[Mark] = []
    for mark in document.marks:
        while path and path[-1].level >= mark.level:
            path.pop()
        path.append(mark)
        yield Section(mark.start, tuple(outer.label for outer in path))


def shortened(label: str) -> str:
    """Return a label on one line, cut where it is too long to stand beside a quote."""
    line = " ".join(label.split())
    return line if len(line) <= MAX_LABEL_CHARS else line[: MAX_LABEL_CHARS - 1] + "…"
