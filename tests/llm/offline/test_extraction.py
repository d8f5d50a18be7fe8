"""Summaries, findings and values are taken from the text; quotations stand there letter by letter."""

import datetime as dt

import dspy
import pytest
from pydantic import BaseModel, Field

TEXT = """# Harbour report

The harbour of Brest was rebuilt in 1950 after the war. It has 12 quays today. Storms close the harbour on
nine days a year. A new quay for ferries will open on 3 May 2027. The ferry to Cork carries 400 passengers.

Contact: Maria Keller, maria@harbour.example
Budget: 2,500,000 euros
"""


class Evidence(BaseModel):
    document: str
    quote: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)


class Finding(BaseModel):
    claim: str
    relevance: float = Field(ge=0, le=1)
    evidence: list[Evidence]


def test_a_summary_is_sentences_of_the_text_in_their_order(predict):
    summary = predict(
        dspy.Signature("text -> summary", "Summarize the text in two sentences."), text=TEXT
    ).summary

    places = [" ".join(TEXT.split()).find(sentence.strip(". ")) for sentence in summary.split(". ")]
    assert len(places) == 2
    assert -1 < places[0] < places[1]


def test_a_list_holds_different_sentences(predict):
    points = predict("text -> key_points: list[str]", text=TEXT).key_points

    assert 2 <= len(points) == len(set(points)) <= 5


def test_findings_carry_their_words_and_where_these_stand(predict):
    signature = dspy.Signature("question, text -> findings: list[Finding]", custom_types={"Finding": Finding})

    findings = predict(signature, question="When does the new quay for ferries open?", text=TEXT).findings

    assert "3 May 2027" in findings[0].claim
    assert findings[0].relevance > findings[-1].relevance or len(findings) == 1
    for finding in findings:
        for evidence in finding.evidence:
            assert TEXT[evidence.start : evidence.end] == evidence.quote


def test_a_text_that_says_nothing_about_the_question_gives_no_findings(predict):
    signature = dspy.Signature("question, text -> findings: list[Finding]", custom_types={"Finding": Finding})

    assert predict(signature, question="How do penguins sleep?", text=TEXT).findings == []


def test_evidence_names_the_document_that_it_is_from(predict):
    class Documents(dspy.Signature):
        """Find proof."""

        question: str = dspy.InputField()
        documents: list[dict[str, str]] = dspy.InputField()
        proof: Evidence = dspy.OutputField()

    documents = [
        {"name": "tea.md", "text": "Tea is green."},
        {"name": "sea.md", "text": "The sea is blue here."},
    ]

    proof = predict(Documents, question="Which colour has the sea?", documents=documents).proof

    assert (proof.document, proof.quote) == ("sea.md", "The sea is blue here.")


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("budget: int", 2_500_000),
        ("quays: int", 12),
        ("ferry_passengers: int", 400),
        ("opening_date: datetime.date", dt.date(2027, 5, 3)),
        ("contact: str", "Maria Keller, maria@harbour.example"),
    ],
)
def test_values_are_found_by_what_stands_around_them(predict, field, expected):
    name = field.partition(":")[0]

    prediction = predict(dspy.Signature(f"text -> {field}", custom_types={"datetime": dt}), text=TEXT)

    assert getattr(prediction, name) == expected


def test_numbers_stay_within_their_bounds(predict):
    class Bounded(dspy.Signature):
        """Read."""

        text: str = dspy.InputField()
        year: int = dspy.OutputField(ge=1900, le=2000)
        stars: int = dspy.OutputField(ge=1, le=5)
        share: float = dspy.OutputField(desc="from 0 to 1")

    prediction = predict(Bounded, text=TEXT)

    assert prediction.year == 1950
    assert 1 <= prediction.stars <= 5


def test_an_optional_value_that_the_text_does_not_have_is_none(predict):
    signature = dspy.Signature("text -> sent: Optional[datetime.date]", custom_types={"datetime": dt})

    assert predict(signature, text="No day is named here.").sent is None


def test_queries_and_titles_hold_the_words_that_matter(predict):
    query = predict("question -> search_query", question="Where is the harbour of Brest?").search_query

    assert "harbour" in query
    assert "Brest" in query
    assert "where" not in query.lower()


def test_contradicting_documents_are_set_against_each_other(predict):
    documents = [
        {"document": "old.md", "claim": "The harbour of Brest has 12 quays."},
        {"document": "new.md", "claim": "The harbour of Brest has 14 quays."},
    ]
    signature = "question, notes: list[dict[str, str]] -> disagreements: list[str], gaps: list[str]"

    prediction = predict(
        signature, question="How many quays and cranes has the harbour of Brest?", notes=documents
    )

    assert len(prediction.disagreements) == 1
    assert "old.md" in prediction.disagreements[0]
    assert prediction.gaps == ["The material does not mention \u201ccranes\u201d."]
