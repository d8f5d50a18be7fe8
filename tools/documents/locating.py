"""Find the words that a model quotes, or say that they are not there."""

import re
from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from contracts.analysis import Evidence
from tools.documents.document import Part
from tools.documents.splitting import label

if TYPE_CHECKING:
    from collections.abc import Iterator

# What models change when they copy: typographic quotes and dashes become plain ones, and the other way round.
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4`", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        "İ": "i",  # the one letter that grows when it is lowered
    }
)
# Words between blanks; quotation marks, emphasis of Markdown, soft hyphens and invisible characters
# belong to none.
_RUNS = re.compile("[^\\s*'\"\u00ad\u200b-\u200d\u2060\ufeff]+")
_ELLIPSIS = re.compile(r"\s*(?:\[?\.{3,}\]?|\[?…\]?)\s*")
_AROUND = "\"' \u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"
_MIN_PIECE = 20
_TRIES = 200


def locate(part: Part, quote: str) -> tuple[int, int] | None:
    """Return where a quote stands in the document: the offsets of its first and behind its last character.

    Blanks, case, typographic quotes and dashes, emphasis, quotation marks around it and a dot at its end do
    not count; of a quote with an ellipsis the longest piece is found. Offsets count in the document's text.
    """
    wanted = quote.strip()
    span = _exact(part.text, wanted) or _tolerant(part.text, wanted)
    if span is None:
        pieces = [piece for piece in _ELLIPSIS.split(wanted) if len(piece) >= _MIN_PIECE]
        for piece in sorted(pieces, key=len, reverse=True):
            span = span or _exact(part.text, piece) or _tolerant(part.text, piece)
    return (part.start + span[0], part.start + span[1]) if span else None


def evidence(part: Part, quote: str) -> Evidence | None:
    """Return a quote as it really stands in the part, with its section and offsets; none when it does not."""
    span = locate(part, quote)
    if span is None:
        return None
    start, end = span
    begun = bisect_right([section.start for section in part.sections], start)
    return Evidence(
        document=part.document,
        section=label(part.sections[begun - 1 : begun]),
        quote=part.text[start - part.start : end - part.start],
        start=start,
        end=end,
    )


def _exact(text: str, wanted: str) -> tuple[int, int] | None:
    """Return the first place of `wanted` that is no mere piece of a longer word, or the first at all."""
    if not any(char.isalnum() for char in wanted):
        return None
    spans = list(islice(_occurrences(text, wanted), _TRIES))
    for start, end in spans:
        if not _inside_word(text, start, wanted[0]) and not _inside_word(text, end, wanted[-1], before=False):
            return start, end
    return spans[0] if spans else None


def _occurrences(text: str, wanted: str) -> "Iterator[tuple[int, int]]":
    at = text.find(wanted)
    while at >= 0:
        yield at, at + len(wanted)
        at = text.find(wanted, at + 1)


def _inside_word(text: str, at: int, edge: str, *, before: bool = True) -> bool:
    neighbour = text[at - 1 : at] if before else text[at : at + 1]
    return edge.isalnum() and neighbour.isalnum()


def _tolerant(text: str, wanted: str) -> tuple[int, int] | None:
    folded = _Folded.of(text)
    for candidate in dict.fromkeys((wanted, wanted.strip(_AROUND), wanted.rstrip(_AROUND + ".,;:"))):
        span = _exact(folded.text, _Folded.of(candidate).text)
        if span:
            return folded.origin(span[0]), folded.origin(span[1] - 1) + 1
    return None


class _Folded(NamedTuple):
    """Text as it is compared, and where each of its runs stood in the original."""

    text: str
    starts: list[int]
    origins: list[int]

    @classmethod
    def of(cls, original: str) -> "_Folded":
        plain = original.translate(_PLAIN).lower()
        pieces: list[str] = []
        starts: list[int] = []
        origins: list[int] = []
        length = end = 0
        for run in _RUNS.finditer(plain):
            words = run[0]
            if pieces and any(char.isspace() for char in plain[end : run.start()]):
                words = " " + words
            pieces.append(words)
            starts.append(length)
            origins.append(run.start() - len(words) + len(run[0]))  # the one before the run, for a blank
            length += len(words)
            end = run.end()
        return cls("".join(pieces), starts, origins)

    def origin(self, position: int) -> int:
        """Return where the character at `position` stood in the original; never asked for a blank."""
        run = bisect_right(self.starts, position) - 1
        return self.origins[run] + position - self.starts[run]
