"""Analysis: read documents, analyse each part, and answer one question across all of them."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import chain

from contracts.analysis import AnalysisParams, AnalysisResult, Finding, Report, SkippedDocument, Source
from contracts.pipelines import ANALYSIS
from contracts.runs import EventKind
from flows.durable.pipeline import pipeline
from flows.durable.run import current_run
from flows.durable.steps import in_parallel, step
from flows.durable.thinking import thinking_with
from flows.policies import MODEL_CALL, READ_DOCUMENTS
from flows.screening import screened_model
from flows.settings import FlowSettings
from flows.sources import Collected, read_sources
from llm.errors import BadModelAnswer
from modules.analysis import QuotedFinding
from modules.notes import Note, batches, grounded, notes_of, shown
from tools.documents import Document, Part, evidence, split

# How the three programs are asked: as steps of this run, or as the gate asks them in its lanes.
Find = Callable[[int, Part, str], Awaitable[list[Finding]]]
Merge = Callable[[str, list[Note], str], Awaitable[list[Note]]]
Write = Callable[[list[Note], str], Awaitable[Report]]


@pipeline(ANALYSIS)
async def analysis(params: AnalysisParams) -> AnalysisResult:
    """Read the documents, analyse each part in parallel, and report what they say together."""
    collected = await collect(params.sources)
    parts = await asyncio.to_thread(split_all, collected.documents)
    findings, unread = await analyse_parts(parts, params.question, analyse_part)
    report = await report_on(findings, params.question, merge_notes, write_report)
    report, findings = shown(report, findings)
    return AnalysisResult(
        report=report,
        findings=findings,
        documents=len(collected.documents),
        parts=len(parts),
        skipped=collected.skipped + unread,
        models=sorted(current_run().deployments),
    )


@step(READ_DOCUMENTS)
async def collect(sources: list[Source]) -> Collected:
    """Read every source; what cannot be read is skipped with its reason."""
    return await read_sources(current_run(), sources)


async def analyse_parts(
    parts: list[Part], question: str, find: Find, of: str = "parts"
) -> tuple[list[Finding], list[SkippedDocument]]:
    """Analyse all parts, a bounded number at once, and return their findings in the parts' order.

    A part on which the model's answer cannot be read is skipped and named; when that is all, the run fails.

    Args:
        parts: of all documents.
        question: what the report should answer.
        find: returns what one part says about it.
        of: what progress is told of.
    """
    run, done = current_run(), 0
    unread: list[SkippedDocument] = []

    async def one(number: int, part: Part) -> list[Finding]:
        nonlocal done
        try:
            found = await find(number, part, question)
        except BadModelAnswer as error:
            if error.retryable or len(unread) + 1 == len(parts):
                raise
            unread.append(SkippedDocument(document=f"{part.document}: {part.section}", reason=error.message))
            found = []
        done += 1
        run.tell(EventKind.PROGRESS, done=done, total=len(parts), of=of)
        return found

    found = await in_parallel(one, parts, at_most=width())
    return list(chain.from_iterable(found)), unread


@step(MODEL_CALL, key="number")
async def analyse_part(number: int, part: Part, question: str) -> list[Finding]:  # noqa: ARG001  it is the key
    """Find what one part says about the question; only quotes that really stand there are kept."""
    with thinking_with("analysis.find") as program:
        found = await program.acall(**asked_of(part, question))
    return standing_in(part, found.findings)


def asked_of(part: Part, question: str) -> dict[str, str]:
    """Return what `analysis.find` is given about one part."""
    return {
        "question": question,
        "text": part.text,
        "document": part.document,
        "section": part.section,
    }


def standing_in(part: Part, found: list[QuotedFinding]) -> list[Finding]:
    """Return the findings with the places of their quotes; one whose quotes do not stand there is dropped."""
    said = [(finding.claim, finding.relevance, finding.quotes) for finding in found]
    return grounded(said, lambda quote: evidence(part, quote))


async def report_on(findings: list[Finding], question: str, merge: Merge, write: Write) -> Report:
    """Condense the findings level by level until they fit one prompt, then write the report."""
    notes, level = notes_of(findings), 1
    while len(groups := batches(notes)) > 1:
        prefix = level

        async def one(number: int, group: list[Note], prefix: int = prefix) -> list[Note]:
            return await merge(f"{prefix}.{number}", group, question)

        notes = list(chain.from_iterable(await in_parallel(one, groups, at_most=width())))
        level += 1
    return await write(notes, question)


@step(MODEL_CALL, key="place")
async def merge_notes(place: str, notes: list[Note], question: str) -> list[Note]:  # noqa: ARG001  it is the key
    """Condense one batch of notes to a quarter of its size at most."""
    with thinking_with("analysis.merge") as program:
        merged: list[Note] = (await program.acall(question=question, notes=notes)).notes
    return merged


@step(MODEL_CALL)
async def write_report(notes: list[Note], question: str) -> Report:
    """Write the report that answers the question from what was found."""
    with thinking_with("analysis.report") as program:
        report: Report = (await program.acall(question=question, notes=notes)).report
    return await screened_model(report)


def split_all(documents: list[Document]) -> list[Part]:
    """Return the parts of all documents in order."""
    return [part for document in documents for part in split(document)]


def width() -> int:
    """Return how many model calls one analysis makes at once."""
    return FlowSettings().analysis_parallel_parts
