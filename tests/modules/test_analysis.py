"""Analysis: quotes become evidence or vanish, and one typed report comes out."""

import json

import dspy
import pytest

from modules.analysis import FindInPart, MergeNotes, WriteReport
from modules.notes import grounded, notes_of
from tests.modules.scripted_model import ScriptedModel, fields
from tools.documents import evidence, read_document, split

SOURCE = b"# Lease\n\nThe worker holds a **lease** of 15 s.\n\n# Tea\n\nTea is green."


async def ask(program, model, **inputs):
    with dspy.context(lm=model.lm(), disable_history=True, trace=None):
        return await program.acall(**inputs)


def found(*findings):
    keys = ("claim", "quotes", "relevance")
    return fields(findings=json.dumps([dict(zip(keys, one, strict=True)) for one in findings]))


async def test_findings_of_a_part_become_evidence_with_places_in_the_document():
    document = read_document("a.md", SOURCE)
    (part,) = split(document)
    model = ScriptedModel(
        [found(("It is 15 s.", ["holds a lease of 15 s", "invented words"], 1), ("No.", ["never said"], 1))]
    )
    prediction = await ask(
        FindInPart(),
        model,
        question="How long?",
        text=part.text,
        document=part.document,
        section=part.section,
    )
    quoted = [(one.claim, one.relevance, one.quotes) for one in prediction.findings]
    (finding,) = grounded(quoted, lambda quote: evidence(part, quote))
    (place,) = finding.evidence
    assert document.text[place.start : place.end] == place.quote == "holds a **lease** of 15 s"
    assert (place.document, place.section) == ("a.md", "Lease")


async def test_findings_without_words_or_quotes_and_too_many_are_cut():
    many = [(f"claim {n}", ["q"], 1) for n in range(9)]
    prediction = await ask(
        FindInPart(), ScriptedModel([found((" ", ["q"], 1), ("x", [], 1), *many)]), question="?", text="t",
        document="d",
    )  # fmt: skip
    assert [one.claim for one in prediction.findings] == [f"claim {n}" for n in range(5)]


async def test_a_malformed_answer_is_asked_again_as_json():
    model = ScriptedModel(["I found nothing, sorry.", '{"findings": []}'])
    prediction = await ask(FindInPart(), model, question="?", text="t", document="d")
    assert prediction.findings == []
    assert len(model.asked) == 2


async def test_notes_are_merged_and_reported_with_the_findings_behind_them():
    document = read_document("a.md", SOURCE)
    (part,) = split(document)
    findings = grounded(
        [("15 s", 1.0, ["lease of 15 s"]), ("green", 1.0, ["Tea is green."])], lambda q: evidence(part, q)
    )
    notes = notes_of(findings)
    merge = ScriptedModel([fields(merged='[{"claim": "The lease is 15 s.", "findings": [0]}]')])
    merged = (await ask(MergeNotes(), merge, question="How long?", notes=notes)).notes
    assert [(note.claim, note.document, note.findings) for note in merged] == [
        ("The lease is 15 s.", "a.md", [0])
    ]
    written = {"answer": "15 s.", "key_points": ["One."], "findings": [0, 5], "confidence": "90%"}
    write = ScriptedModel([fields(report=json.dumps(written))])
    report = (await ask(WriteReport(), write, question="How long?", notes=merged)).report
    assert report.model_dump() == {
        "answer": "15 s.",
        "key_points": ["One."],
        "disagreements": [],
        "gaps": [],
        "confidence": 0.9,
        "findings": [0],
    }


async def test_a_report_on_nothing_says_so_and_costs_nothing():
    model = ScriptedModel([])
    report = (await ask(WriteReport(), model, question="Why?", notes=[])).report
    assert report.confidence == 0
    assert report.gaps == ["Why?"]
    assert model.asked == []


@pytest.mark.parametrize("program", [FindInPart, MergeNotes])
def test_programs_run_without_an_event_loop_too(program):
    inputs = {"text": "t", "document": "d"} if program is FindInPart else {"notes": notes_of([])}
    model = ScriptedModel([fields(findings="[]", merged="[]")])
    with dspy.context(lm=model.lm(), disable_history=True, trace=None):
        assert program()(question="?", **inputs) is not None
