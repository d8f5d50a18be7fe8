"""The reduction: bounded prompts, levels that end, and nothing said that no finding says."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.analysis import Evidence, Finding, Report
from modules.notes import Note, NoteSizes, batches, cited, grounded, merged_notes, notes_of, shown

SMALL = NoteSizes(batch_chars=4_000)


def finding(number, relevance=0.5, words="says"):
    place = Evidence(document=f"d{number}.md", section="", quote=f"quote {number} {words}", start=0, end=5)
    return Finding(claim=f"claim {number} {words}", relevance=relevance, evidence=[place])


def place_of(text):
    def look(quote):
        at = text.find(quote)
        return (
            Evidence(document="d", section="", quote=quote, start=at, end=at + len(quote))
            if at >= 0
            else None
        )

    return look


def test_a_finding_whose_quotes_are_not_in_the_part_is_never_shown():
    found = [
        ("true", 0.9, ["the lease", "invented"]),
        ("invented", 1.0, ["nowhere", "neither"]),
        ("twice the same", 0.9, ["15 s", "15 s"]),
        ("of no interest", 0.1, ["15 s"]),
    ]
    kept = grounded(found, place_of("the lease is 15 s"))
    assert [(f.claim, [e.quote for e in f.evidence]) for f in kept] == [
        ("true", ["the lease"]),
        ("twice the same", ["15 s"]),
    ]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 3_000), max_size=120))
def test_batches_hold_all_notes_in_order_and_fit_a_prompt(lengths):
    notes = notes_of([finding(n, words="x" * length) for n, length in enumerate(lengths)], SMALL)
    found = batches(notes, SMALL)
    assert [note for batch in found for note in batch] == notes
    for batch in found:
        assert sum(len(note.model_dump_json()) for note in batch) <= SMALL.batch_chars * 1.1


def test_a_reduction_of_thousands_of_findings_ends_in_one_batch():
    notes = notes_of([finding(n, words="word " * 100) for n in range(3_000)])
    sizes = []
    while len(found := batches(notes)) > 1:
        sizes.append(len(found))
        # A model that condenses nothing at all: the bound must do it.
        notes = [
            kept for batch in found for kept in merged_notes([(n.claim, n.findings) for n in batch], batch)
        ]
    assert len(sizes) <= 5
    assert all(later <= earlier // 3 + 1 for earlier, later in pairwise(sizes))
    assert found[0]


def test_a_condensed_note_keeps_the_findings_and_the_quote_that_carry_it():
    notes = notes_of([finding(0), finding(1), finding(2)])
    (merged,) = merged_notes([("both say it", [2, 0, 2, 99])], notes)
    assert merged == Note(claim="both say it", quote="quote 2 says", document="d2.md, d0.md", findings=[2, 0])


def test_a_claim_without_numbers_rests_on_the_note_that_it_resembles_or_is_dropped():
    notes = notes_of([finding(0, words="the lease is fifteen seconds"), finding(1, words="tea is green")])
    merged = merged_notes([("The lease lasts fifteen seconds.", []), ("Aliens landed on Mars.", [77])], notes)
    assert [(note.claim, note.findings) for note in merged] == [("The lease lasts fifteen seconds.", [0])]


def test_a_merge_without_any_usable_claim_keeps_its_first_notes():
    notes = notes_of([finding(n, words="x" * 400) for n in range(8)], SMALL)
    kept = merged_notes([], notes, SMALL)
    assert kept == notes[: len(kept)]
    assert 1 <= len(kept) < 8


def test_a_report_cites_what_its_notes_know():
    notes = notes_of([finding(0, words="green tea"), finding(1, words="black coffee")])
    assert cited([1, 1, 7], [], notes) == [1]
    assert cited([7], ["claim about black coffee"], notes) == [1]
    assert cited([], ["nothing alike whatsoever"], notes) == []


def test_a_result_shows_the_cited_and_the_most_relevant_findings_renumbered():
    findings = [finding(n, relevance=n / 10) for n in range(10)]
    report = Report(answer="a", key_points=[], confidence=1, findings=[8, 1])
    small, kept = shown(report, findings, NoteSizes(max_findings=4))
    assert [f.claim for f in kept] == [f"claim {n} says" for n in (1, 7, 8, 9)]
    assert [kept[number].claim for number in small.findings] == ["claim 8 says", "claim 1 says"]
