"""Parts: all of a document, once, in order, cut where its structure allows."""

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from tools.documents import Document, Mark, read_document, split


@st.composite
def documents(draw):
    pieces = draw(
        st.lists(
            st.one_of(
                st.text(max_size=30),
                st.sampled_from(["\n\n", "\n", ". ", " ", "word", "。", "é", "e\u0301", "x" * 40]),
            ),
            max_size=60,
        )
    )
    text = "".join(pieces)
    starts = sorted(draw(st.sets(st.integers(0, max(0, len(text) - 1)), max_size=10)))
    marks = [Mark(start, draw(st.integers(1, 3)), f"§{start}") for start in starts] if text else []
    return Document("d", text, tuple(marks))


@settings(max_examples=300, deadline=None)
@given(documents(), st.integers(1, 60))
def test_parts_are_the_document_nothing_lost_nothing_twice(document, max_chars):
    parts = split(document, max_chars)
    assert "".join(part.text for part in parts) == document.text
    at = 0
    for part in parts:
        assert (part.start, part.end) == (at, at + len(part.text))
        assert document.text[part.start : part.end] == part.text
        assert 1 <= len(part.text) <= max_chars
        at = part.end


@settings(max_examples=200, deadline=None)
@given(documents(), st.integers(1, 60))
def test_each_part_knows_the_sections_inside_it(document, max_chars):
    wanted = {mark.start for mark in document.marks}
    found = set()
    for part in split(document, max_chars):
        assert part.sections[0].start == part.start
        assert all(part.start <= section.start < part.end for section in part.sections)
        found |= {section.start for section in part.sections if section.start in wanted}
    assert found == wanted


def test_one_word_is_one_part():
    (part,) = split(Document("d", "yes"))
    assert (part.text, part.section, part.start, part.end) == ("yes", "", 0, 3)


def test_a_document_is_cut_before_its_headings_and_small_sections_share_a_part():
    body = "Some words of a section. " * 12  # 300 characters
    source = "".join(f"# Chapter {n}\n\n{body}\n\n## Detail {n}\n\n{body}\n\n" for n in range(9))
    parts = split(read_document("a.md", source.encode()), 1_500)
    assert all(part.text.startswith("# Chapter") for part in parts)
    assert parts[0].section == "Chapter 0 … Chapter 1 > Detail 1"
    assert len(parts) == 5


def test_without_headings_it_is_cut_behind_paragraphs_then_sentences_then_words():
    paragraphs = split(Document("d", ("One two three. Four five six.\n\n" * 20).strip()), 100)
    assert all(part.text.rstrip().endswith("six.") for part in paragraphs)
    sentences = split(Document("d", "One two three? Four five six. " * 20), 100)
    assert all(part.text.rstrip()[-1] in "?." for part in sentences)
    words = split(Document("d", "word " * 100), 37)
    assert all(part.text.replace("word ", "") == "" for part in words)
    chinese = split(Document("d", "我们在这里。" * 40), 50)
    assert all(part.text.endswith("。") for part in chinese)


def test_the_last_part_is_no_crumb():
    """A part of one sentence costs a model call and tells nothing."""
    parts = split(Document("d", "A sentence of words. " * 58), 1_200)  # 1,218 characters
    assert len(parts) == 2
    assert min(len(part.text) for part in parts) > 400


def test_five_megabytes_are_split_in_linear_time():
    shapes = {
        "one word": "x" * 5_000_000,
        "words": "word " * 1_000_000,
        "sentences": "A sentence of five words. " * 190_000,
        "paragraphs": "A line.\n\n" * 550_000,
    }
    for shape, text in shapes.items():
        begin = time.process_time()
        parts = split(Document(shape, text))
        assert time.process_time() - begin < 5, shape
        assert sum(len(part.text) for part in parts) == len(text)
        assert len(parts) < 4 * len(text) / 12_000


def test_a_heading_per_line_does_not_take_quadratic_time_either():
    text = "# h\n" * 300_000
    begin = time.process_time()
    document = read_document("a.md", text.encode())
    parts = split(document)
    assert time.process_time() - begin < 15
    assert "".join(part.text for part in parts) == document.text
