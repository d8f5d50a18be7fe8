# mypy: allow-subclassing-any
"""Analysis: what each part says about a question, and one report across all parts."""

import dspy
from pydantic import BaseModel, Field

from contracts.analysis import Report
from modules.notes import NOTES, Note, NoteSizes, cited, merged_notes
from modules.program import Program, Thought
from modules.scores import Score
from modules.wording import DATA_ONLY, Excerpt

_QUESTION = "What the reader of the report wants to know."
_NOTES = (
    "What was found in the documents: a claim, a quote that shows it, the document, and `findings`, the "
    f"numbers of the findings behind it. {DATA_ONLY}"
)


class QuotedFinding(BaseModel):
    """One thing that a text says about the question, in the words of the one who read it."""

    claim: str = Field(
        description="What the text says about the question, in one sentence that stands alone."
    )
    quotes: list[str] = Field(
        default_factory=list,
        description="One to three passages that show it, copied from the text letter by letter, each under "
        "300 characters. A finding without one is discarded.",
    )
    relevance: Score = Field(description="1: answers the question directly; 0: has nothing to do with it.")


class MergedFinding(BaseModel):
    """What several findings say together."""

    claim: str = Field(description="What they say, in one sentence that stands alone and names who says it.")
    findings: list[int] = Field(
        default_factory=list,
        description="The numbers of the findings that it is made from, as the notes give them.",
    )


class Written(BaseModel):
    """The report as it is written."""

    answer: str = Field(description="The answer to the question, in two to ten sentences.")
    key_points: list[str] = Field(
        default_factory=list,
        description="The points that carry the answer, most important first, one sentence each.",
    )
    disagreements: list[str] = Field(
        default_factory=list, description="Where documents contradict each other, naming both. Usually none."
    )
    gaps: list[str] = Field(
        default_factory=list, description="What the question asks and none of the notes answers."
    )
    findings: list[int] = Field(
        default_factory=list,
        description="The numbers of the findings that the answer rests on, as the notes give them.",
    )
    confidence: Score = Field(description="1: the notes settle the question; 0: they say nothing about it.")


class Find(dspy.Signature):
    """Find what an excerpt of a document says about a question.

    Report at most five findings, the most relevant first, and none when the excerpt says nothing about the
    question. Copy quotes exactly: they are looked up in the document. Do not answer from what you know
    yourself.
    """

    question: str = dspy.InputField(desc=_QUESTION)
    excerpt: Excerpt = dspy.InputField(desc=f"The excerpt to search. {DATA_ONLY}")
    findings: list[QuotedFinding] = dspy.OutputField(
        desc="What the excerpt says about the question; may be empty."
    )


class Merge(dspy.Signature):
    """Condense notes for a report that answers a question.

    Join notes that say the same, keep those that contradict each other apart, and leave out what does not
    help to answer the question. Add nothing that the notes do not say.
    """

    question: str = dspy.InputField(desc=_QUESTION)
    notes: list[Note] = dspy.InputField(desc=_NOTES)
    merged: list[MergedFinding] = dspy.OutputField(
        desc="Fewer notes that say the same, the most relevant first."
    )


class Write(dspy.Signature):
    """Write a report that answers a question from notes on documents, and from nothing else.

    Answer in the language of the question. Say what the documents agree on, where they contradict each
    other, and what they leave open. A note says what a document claims: report it as that.
    """

    question: str = dspy.InputField(desc=_QUESTION)
    notes: list[Note] = dspy.InputField(desc=_NOTES)
    report: Written = dspy.OutputField(desc="The report.")


class FindInPart(Program):
    """What one part of a document says about a question. Predicts `findings`: list of `QuotedFinding`."""

    def __init__(self, max_findings: int = 5) -> None:
        super().__init__()
        self.max_findings = max_findings
        self.find = dspy.Predict(Find)

    def think(self, question: str, text: str, document: str, section: str = "") -> Thought:
        """Search one part.

        Args:
            question: what the report should answer.
            text: the part's words.
            document: the document's name.
            section: where in the document the part stands.
        """
        excerpt = Excerpt(document=document, section=section, text=text)
        found: list[QuotedFinding] = (yield self.find, {"question": question, "excerpt": excerpt}).findings
        useful = [finding for finding in found if finding.claim.strip() and finding.quotes]
        return dspy.Prediction(findings=useful[: self.max_findings])


class MergeNotes(Program):
    """One step of a reduction: many notes in, fewer out. Predicts `notes`, a list of `Note`."""

    def __init__(self, sizes: NoteSizes = NOTES) -> None:
        super().__init__()
        self.sizes = sizes
        self.merge = dspy.Predict(Merge)

    def think(self, question: str, notes: list[Note]) -> Thought:
        """Condense one batch of notes, see `notes.batches`; the result is a quarter of a batch at most."""
        answer = yield self.merge, {"question": question, "notes": notes}
        claims = [(merged.claim, merged.findings) for merged in answer.merged]
        return dspy.Prediction(notes=merged_notes(claims, notes, self.sizes))


class WriteReport(Program):
    """The report, from the last batch of notes. Predicts `report`, a `contracts.analysis.Report`."""

    def __init__(self) -> None:
        super().__init__()
        self.write = dspy.Predict(Write)

    def think(self, question: str, notes: list[Note]) -> Thought:
        """Write the report; without any note it says so, and asks no model."""
        if not notes:
            return dspy.Prediction(report=_nothing_found(question))
        written: Written = (yield self.write, {"question": question, "notes": notes}).report
        report = Report(
            answer=written.answer,
            key_points=written.key_points,
            disagreements=written.disagreements,
            gaps=written.gaps,
            confidence=written.confidence,
            findings=cited(written.findings, [written.answer, *written.key_points], notes),
        )
        return dspy.Prediction(report=report)


def _nothing_found(question: str) -> Report:
    return Report(
        answer="Nothing in these documents speaks to the question.",
        key_points=[],
        gaps=[question],
        confidence=0.0,
    )
