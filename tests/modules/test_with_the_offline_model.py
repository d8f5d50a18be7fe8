"""The programs before the model that answers when no provider is configured: no script, no key."""

import dspy
import pytest

from modules.analysis import MergeNotes
from modules.chat import CarefulChat, DirectChat
from modules.notes import NoteSizes, batches, grounded, notes_of, shown
from modules.programs import build
from modules.streaming import stream_answer
from tools.documents import evidence, read_document, split

offline = pytest.importorskip("llm.offline")

TEXT = "\n\n".join(
    f"A worker claims run {number} with a lease. Run {number} has {number % 3 + 1} attempts, and its lease is"
    f" renewed every {number + 4} seconds. Its events are kept for {number + 10} days."
    for number in range(1, 31)
).encode()
FACTS = (
    "The worker holds a lease on each run. The lease expires after 15 seconds. "
    "The reaper puts expired runs back in the queue."
)


class Engine:
    def complete(self, request):
        return offline.answered(request)


class AsyncEngine:
    async def complete(self, request):
        return offline.answered(request)

    async def stream(self, request):
        async for event in offline.OfflineBackend().stream("chat", request):
            if hasattr(event, "type"):  # all but the reply that ends a backend's stream
                yield event


@pytest.fixture
def lm():
    return dspy.LM("offline", engine=Engine(), async_engine=AsyncEngine(), num_retries=0, cache=False)


@pytest.mark.parametrize("program", [DirectChat, CarefulChat])
async def test_a_chat_turn_streams_an_answer_from_its_context(lm, program):
    with dspy.context(lm=lm, disable_history=True, trace=None):
        inputs = {"message": "After how many seconds does the lease expire?", "context": FACTS}
        *texts, prediction = [piece async for piece in stream_answer(program(), program.streams, **inputs)]
    assert "15 seconds" in prediction.answer
    assert "".join(texts) == prediction.answer


async def test_a_chat_turn_remembers_what_was_said(lm):
    history = dspy.History(messages=[{"message": "My name is Ada.", "answer": "Hello Ada."}])
    with dspy.context(lm=lm, disable_history=True, trace=None):
        prediction = await DirectChat().acall(message="What is my name?", history=history)
    assert "Ada" in prediction.answer


@pytest.mark.parametrize("program", [DirectChat, CarefulChat])
async def test_an_agent_answers_from_what_it_was_told_and_does_not_recite_it(lm, program):
    """It obeys no wish about how to answer, for it has no weights; the facts in the instructions it knows."""
    told = "You are the clerk of the town library. The library opens at nine. Never mention the cellar."
    with dspy.context(lm=lm, disable_history=True, trace=None):
        known = await program().acall(message="When does the library open?", instructions=told)
        thanked = await program().acall(message="Thank you!", instructions=told)
    assert "nine" in known.answer
    assert "cellar" not in thanked.answer


async def test_an_analysis_ends_in_a_report_whose_evidence_is_in_the_documents(lm):
    documents = {
        document.name: document
        for document in (
            read_document("lease.md", f"# Lease\n\n{FACTS}".encode()),
            read_document("runs.txt", TEXT),
            read_document("tea.csv", b"tea,minutes\ngreen,3\nblack,5\n"),
        )
    }
    question = "When does the lease of the worker expire?"
    small = NoteSizes(batch_chars=900)
    findings = []
    with dspy.context(lm=lm, disable_history=True, trace=None):
        for document in documents.values():
            for part in split(document, 1_500):
                prediction = await build("analysis.find").acall(
                    question=question, text=part.text, document=part.document, section=part.section
                )
                quoted = [(one.claim, one.relevance, one.quotes) for one in prediction.findings]
                findings += grounded(quoted, lambda quote, part=part: evidence(part, quote))
        notes = notes_of(findings)
        while len(groups := batches(notes, small)) > 1:
            merged = [await MergeNotes(small).acall(question=question, notes=group) for group in groups]
            notes = [note for one in merged for note in one.notes]
        report = (await build("analysis.report").acall(question=question, notes=groups[0])).report
    assert "15 seconds" in report.answer
    report, kept = shown(report, findings)
    assert report.findings
    for finding in kept:
        for place in finding.evidence:
            assert documents[place.document].text[place.start : place.end] == place.quote
