"""Notes on findings: what a report is written from, kept within the size of a prompt.

Hundreds of parts give thousands of findings. They are reduced in levels: notes are put into batches, each
batch is condensed to a quarter of its size at most, and so on until one batch is left, from which the report
is written.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pydantic import BaseModel, Field

from contracts.analysis import Evidence, Finding, Report


@dataclass(frozen=True, slots=True)
class NoteSizes:
    """Bounds of the reduction, in characters.

    Args:
        batch_chars: notes in one prompt; 24,000 are about 6,000 tokens.
        claim_chars: one claim.
        quote_chars: the quote beside it.
        shrink: how many condensed batches fit one batch again; the reduction ends because it is above 1.
        min_relevance: findings under it are not worth a reader's time.
        max_findings: findings in a result; the cited ones and the most relevant.
    """

    batch_chars: int = 24_000
    claim_chars: int = 500
    quote_chars: int = 300
    shrink: int = 4
    min_relevance: float = 0.2
    max_findings: int = 200


NOTES = NoteSizes()
_JSON_CHARS = 80  # names and marks around one note's values
_WORD = re.compile(r"\w{3,}")


class Note(BaseModel):
    """One claim, what shows it, and the findings behind it."""

    claim: str
    quote: str = ""
    document: str = Field("", description="The document's name, or several.")
    findings: list[int] = Field(
        default_factory=list, description="Numbers of the findings behind it, from 0."
    )


def grounded(
    found: Iterable[tuple[str, float, list[str]]],
    evidence: Callable[[str], Evidence | None],
    sizes: NoteSizes = NOTES,
) -> list[Finding]:
    """Return the findings whose quotes really stand in the part, with their places; the others are dropped.

    Args:
        found: claim, relevance and quotes of each finding of one part.
        evidence: looks a quote up in the part and returns it as it stands there, or none.
        sizes: how relevant a finding has to be.
    """
    findings = []
    for claim, relevance, quotes in found:
        places = [place for place in map(evidence, quotes) if place is not None]
        unique = {(place.start, place.end): place for place in places}
        if unique and relevance >= sizes.min_relevance:
            findings.append(Finding(claim=claim, relevance=relevance, evidence=list(unique.values())))
    return findings


def notes_of(findings: Iterable[Finding], sizes: NoteSizes = NOTES) -> list[Note]:
    """Return one note per finding, numbered from 0 in their order."""
    return [
        Note(
            claim=_clipped(finding.claim, sizes.claim_chars),
            quote=_clipped(finding.evidence[0].quote, sizes.quote_chars) if finding.evidence else "",
            document=_clipped(
                ", ".join(dict.fromkeys(e.document for e in finding.evidence)), sizes.quote_chars
            ),
            findings=[number],
        )
        for number, finding in enumerate(findings)
    ]


def batches(notes: Iterable[Note], sizes: NoteSizes = NOTES) -> list[list[Note]]:
    """Return the notes in batches that fit a prompt, in their order. One batch is ready for the report."""
    found: list[list[Note]] = []
    room = 0
    for note in notes:
        if not found or _size(note) > room:
            found.append([])
            room = sizes.batch_chars
        found[-1].append(note)
        room -= _size(note)
    return found


def merged_notes(
    claims: Iterable[tuple[str, list[int]]], notes: list[Note], sizes: NoteSizes = NOTES
) -> list[Note]:
    """Return condensed notes that rest on given ones, no larger together than a batch divided by `shrink`.

    A claim that names no finding of these notes gets the findings of the note that shares most words with
    it, and is dropped when none shares half of them: nothing is reported that no document says.

    Args:
        claims: each condensed claim with the numbers of its findings, the most relevant first.
        notes: what they were condensed from. Without any usable claim the first of these stand for all.
        sizes: the bounds.
    """
    owner = {number: note for note in notes for number in note.findings}
    condensed: list[Note] = []
    for claim, numbers in claims:
        behind = list({id(owner[number]): owner[number] for number in numbers if number in owner}.values())
        behind = behind or _alike(claim, notes)
        if claim.strip() and behind:
            named = [number for number in dict.fromkeys(numbers) if number in owner]
            condensed.append(
                Note(
                    claim=_clipped(claim, sizes.claim_chars),
                    quote=behind[0].quote,
                    document=_clipped(
                        ", ".join(dict.fromkeys(note.document for note in behind)), sizes.quote_chars
                    ),
                    findings=named or behind[0].findings,
                )
            )
    room = sizes.batch_chars // sizes.shrink
    kept: list[Note] = []
    for note in condensed or notes:
        room -= _size(note)
        if kept and room < 0:
            break
        kept.append(note)
    return kept


def cited(numbers: Iterable[int], claims: Iterable[str], notes: list[Note]) -> list[int]:
    """Return the numbers that these notes know; when there is none, those of notes like the claims."""
    known = {number for note in notes for number in note.findings}
    named = [number for number in dict.fromkeys(numbers) if number in known]
    if named:
        return named
    return sorted({number for claim in claims for note in _alike(claim, notes) for number in note.findings})


def shown(report: Report, findings: list[Finding], sizes: NoteSizes = NOTES) -> tuple[Report, list[Finding]]:
    """Return the report with the findings worth showing: those it cites, then the most relevant.

    They keep their order; the report's numbers are changed to match.
    """
    cited = set(report.findings)
    order = sorted(
        range(len(findings)), key=lambda number: (number not in cited, -findings[number].relevance)
    )
    kept = sorted(order[: sizes.max_findings])
    renumbered = {old: new for new, old in enumerate(kept)}
    numbers = [renumbered[number] for number in report.findings if number in renumbered]
    return report.model_copy(update={"findings": numbers}), [findings[number] for number in kept]


def _alike(claim: str, notes: list[Note]) -> list[Note]:
    words = set(_WORD.findall(claim.lower()))
    if not words or not notes:
        return []
    shared = [len(words & set(_WORD.findall(f"{note.claim} {note.quote}".lower()))) for note in notes]
    best = max(range(len(notes)), key=shared.__getitem__)
    return [notes[best]] if shared[best] * 2 >= len(words) else []


def _size(note: Note) -> int:
    numbers = sum(len(str(number)) + 2 for number in note.findings)
    return len(note.claim) + len(note.quote) + len(note.document) + numbers + _JSON_CHARS


def _clipped(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1].rstrip() + "…"
