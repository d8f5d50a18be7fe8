"""A finished run in lines for people."""

from collections.abc import Iterator
from typing import Any

from contracts.analysis import AnalysisResult
from contracts.chat import ChatTurnResult
from contracts.pipelines import ANALYSIS, CHAT_TURN
from contracts.runs import Run, RunStatus

SHOWN_POINTS = 5
SHOWN_CHARS = 240


def lines_of(run: Run, *, answer_shown: bool = False) -> Iterator[str]:
    """Yield what came out of a run, and what it took.

    Args:
        run: a run that has ended.
        answer_shown: the pieces of a chat's answer were printed as they came.
    """
    if run.status == RunStatus.SUCCEEDED and run.result is not None:
        if run.pipeline == CHAT_TURN.name:
            if not answer_shown:
                yield ChatTurnResult.model_validate(run.result).answer
        elif run.pipeline == ANALYSIS.name:
            yield from report_lines(AnalysisResult.model_validate(run.result))
        else:
            yield from _plain(run.result)
    if run.error:
        yield f"{run.status}: {run.error.message} ({run.error.code})"
    if run.waiting:
        yield f"{run.waiting.reason} ({run.waiting.kind})"
    yield f"run {run.id} {run.status}{_duration(run)}, cost {run.cost_usd} USD"


def report_lines(result: AnalysisResult) -> Iterator[str]:
    """Yield an analysis as a short page."""
    report = result.report
    yield report.answer
    for title, points in (
        ("Key points", report.key_points),
        ("Disagreements", report.disagreements),
        ("Gaps", report.gaps),
    ):
        if points:
            yield f"{title}:"
            yield from (f"  - {_shortened(point)}" for point in points[:SHOWN_POINTS])
    if result.findings:
        yield "Findings:"
    for finding in sorted(result.findings, key=lambda each: -each.relevance)[:SHOWN_POINTS]:
        yield f"  - {_shortened(finding.claim)}"
        for evidence in finding.evidence[:1]:
            quote = " ".join(evidence.quote.split())
            place = ", ".join(filter(None, (evidence.document, evidence.section)))
            yield f'    "{_shortened(quote)}" ({place})'
    skipped = f", {len(result.skipped)} skipped" if result.skipped else ""
    models = ", ".join(result.models)
    yield f"{result.documents} documents in {result.parts} parts{skipped}; answered by {models}"


def _plain(result: dict[str, Any]) -> Iterator[str]:
    yield from (f"{name}: {value}" for name, value in result.items())


def _duration(run: Run) -> str:
    if run.finished_at is None:
        return ""
    return f" after {(run.finished_at - run.created_at).total_seconds():.1f} s"


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"
