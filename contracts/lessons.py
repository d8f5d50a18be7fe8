"""What a program can learn from a run: which program answered, what it was given, and what it said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.analysis import AnalysisParams, AnalysisResult
from contracts.chat import ChatTurnParams, Message
from contracts.classify import ClassifyParams
from contracts.pipelines import ANALYSIS, CHAT_TURN, CLASSIFY

History = Sequence[Message]
# As much as one prompt of a report takes (`modules.notes.NoteSizes.batch_chars`).
NOTES_CHARS = 24_000


@dataclass(frozen=True, slots=True)
class Lesson:
    """One call of a program as an example would have it."""

    program: str
    inputs: dict[str, Any]
    said: dict[str, Any]
    # What is expected when a correction is a text; none: the first output is that text.
    corrected: Callable[[str], dict[str, Any]] | None = None

    def expected(self, correction: str) -> dict[str, Any]:
        """Return what an example expects whose answer was corrected in words."""
        return self.corrected(correction) if self.corrected else {next(iter(self.said)): correction}


def _of_chat(params: dict[str, Any], result: dict[str, Any], history: History) -> Lesson:
    asked = ChatTurnParams.model_validate(params)
    return Lesson(
        asked.program,
        {
            "message": asked.message,
            "context": asked.context,
            "history": [{"author": one.author, "content": one.content} for one in history],
        },
        {"answer": result["answer"]},
    )


def _of_classify(params: dict[str, Any], result: dict[str, Any], _history: History) -> Lesson:
    asked = ClassifyParams.model_validate(params)
    return Lesson("support.sort", {"message": asked.message}, {"label": result["label"]})


def _of_analysis(params: dict[str, Any], result: dict[str, Any], _history: History) -> Lesson:
    asked, found = AnalysisParams.model_validate(params), AnalysisResult.model_validate(result)
    said = result["report"]
    return Lesson(
        "analysis.report",
        {"question": asked.question, "notes": _notes(found)},
        {"report": said},
        lambda answer: {"report": {**said, "answer": answer}},
    )


def _notes(result: AnalysisResult) -> list[dict[str, Any]]:
    """Return the findings as the notes that a report is written from, under the numbers that it cites.

    Those that the report rests on come first, then the most relevant, up to the size of one prompt.
    """
    cited = set(result.report.findings)
    order = sorted(enumerate(result.findings), key=lambda one: (one[0] not in cited, -one[1].relevance))
    notes: list[dict[str, Any]] = []
    room = NOTES_CHARS
    for number, finding in order:
        documents = ", ".join(dict.fromkeys(one.document for one in finding.evidence))
        quote = finding.evidence[0].quote if finding.evidence else ""
        room -= len(finding.claim) + len(quote) + len(documents)
        if notes and room < 0:
            break
        notes.append({"claim": finding.claim, "quote": quote, "document": documents, "findings": [number]})
    return sorted(notes, key=lambda one: one["findings"])


@dataclass(frozen=True, slots=True)
class WholeRun:
    """A run of several calls as the gate compares it: what was asked, and what came of it."""

    inputs: dict[str, Any]
    said: dict[str, Any]


def _whole_analysis(params: dict[str, Any], result: dict[str, Any]) -> WholeRun:
    return WholeRun({"question": params["question"]}, {"report": result["report"]})


# Pipelines whose programs are parts of a larger answer: what such a program does shows in the whole run.
WHOLE_RUNS: dict[str, Callable[[dict[str, Any], dict[str, Any]], WholeRun]] = {ANALYSIS.name: _whole_analysis}
# Pipelines whose result is the answer of one call of one program. What an analysis shows is its report: it is
# learned from as if no notes had been condensed before.
LESSONS: dict[str, Callable[[dict[str, Any], dict[str, Any], History], Lesson]] = {
    ANALYSIS.name: _of_analysis,
    CHAT_TURN.name: _of_chat,
    CLASSIFY.name: _of_classify,
}
