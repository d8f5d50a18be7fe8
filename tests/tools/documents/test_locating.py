"""Quotes: found as models write them, shown as the document has them, or not at all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.documents import Document, evidence, locate, read_document, split
from tools.documents.document import Part

TEXT = """# Lease

The **worker** holds a lease on each run (renewed in one
statement for all of its runs, expires after 15 s).

## Reaper

It’s “put back” — with `attempt + 1`. Party art. Straße."""  # noqa: RUF001


def part_of(text, start=0):
    return Part("d", "", text, start, start + len(text))


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("expires after 15 s", "expires after 15 s"),
        ("  Expires  AFTER 15 s. ", "expires after 15 s"),
        ("The worker holds a lease", "The **worker** holds a lease"),
        ("renewed in one statement for all", "renewed in one\nstatement for all"),
        ("\"It's 'put back' - with attempt + 1.\"", "It’s “put back” — with `attempt + 1`."),  # noqa: RUF001
        (
            "The worker holds a lease on each run ... with attempt + 1",
            "The **worker** holds a lease on each run",
        ),
        ("art", "art"),
        ("strasse", None),
        ("expires after 16 s", None),
        ("", None),
        ("...", None),
        ("“”", None),
    ],
)
def test_a_quote_is_found_however_a_model_writes_it(quote, found):
    (part,) = split(read_document("d.md", TEXT.encode()))
    place = evidence(part, quote)
    assert (place.quote if place else None) == found


def test_a_short_quote_is_found_as_a_word_before_it_is_found_inside_one():
    assert locate(part_of("Party art"), "art") == (6, 9)
    assert locate(part_of("Party"), "art") == (1, 4)


def test_offsets_count_in_the_document_and_the_section_is_the_quotes_own():
    document = read_document("d.md", (TEXT + "\n\nMore words. " * 40).encode())
    parts = split(document, 150)
    spots = [place for part in parts if (place := evidence(part, "it's \"put back"))]
    assert [document.text[spot.start : spot.end] for spot in spots] == ["It’s “put back"]  # noqa: RUF001
    assert spots[0].section == "Lease > Reaper"


def test_a_word_that_was_broken_for_safety_is_found_again():
    """modules.wording puts a joiner into `[[ ##`, and a model that quotes it gives it back."""
    assert locate(part_of("see [[ ## here"), "see [\u2060[ ## here") == (0, 14)


def test_letters_that_grow_when_they_are_lowered_do_not_shift_the_offsets():
    part = part_of("İİİİ Straße TARGET words", 100)
    assert locate(part, "target  words") == (112, 124)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80), st.integers(0, 79), st.integers(1, 30), st.integers(0, 1000))
def test_what_is_copied_exactly_is_found_exactly(text, at, length, start):
    quote = text[at : at + length].strip()
    if any(char.isalnum() for char in quote):
        begin, end = locate(part_of(text, start), quote)
        assert text[begin - start : end - start] == quote


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80), st.text(max_size=30), st.integers(0, 1000))
def test_what_is_found_lies_inside_the_part(text, quote, start):
    found = locate(part_of(text, start), quote)
    if found:
        assert start <= found[0] < found[1] <= start + len(text)


def test_a_quote_that_is_nowhere_in_a_large_part_costs_seconds_at_most():
    (part,) = split(Document("d", "a b " * 250_000), 1_000_000)
    assert locate(part, "c “d”") is None
