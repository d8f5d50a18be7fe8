"""Files as people have them: any encoding, any name, damaged, hostile."""

import codecs
import json

import pytest

from runtime.errors import BadInput
from tools.documents import Limits, read_document
from tools.documents.document import sections_of


def refusal(name, content, media_type=None, **limits):
    with pytest.raises(BadInput) as caught:
        read_document(name, content, media_type, Limits(**limits))
    assert name in caught.value.message
    return caught.value.code


@pytest.mark.parametrize(
    "content",
    [
        "Grüße, naïve café".encode(),
        codecs.BOM_UTF8 + "Grüße, naïve café".encode(),
        "Grüße, naïve café".encode("utf-16"),
        "Grüße, naïve café".encode("utf-16-le"),
        "Grüße, naïve café".encode("utf-16-be"),
        "Grüße, naïve café".encode("utf-32"),
        "Grüße, naïve café".encode("latin-1"),
    ],
)
def test_a_text_reads_the_same_in_every_encoding_it_may_come_in(content):
    assert read_document("a.txt", content).text == "Grüße, naïve café"


def test_quotes_of_windows_are_read_in_what_claims_to_be_latin_1():
    assert read_document("a.txt", b"\x93yes\x94 \x97 it\x92s").text == "“yes” — it’s"  # noqa: RUF001


def test_a_declared_charset_counts_and_a_foreign_one_is_ignored():
    """`zip` and `punycode` are encodings to Python: a sender must not choose what runs."""
    russian = "Привет".encode("koi8-r")
    assert read_document("a.txt", russian, "text/plain; charset=KOI8-R").text == "Привет"
    assert read_document("a.txt", b"plain", "text/plain; charset=punycode").text == "plain"
    assert read_document("a.txt", b"plain", "text/plain; charset=no-such").text == "plain"
    page = '<meta charset="windows-1251"><p>Привет</p>'.encode("cp1251")
    assert read_document("a.html", page).text == "Привет"


def test_a_character_cut_at_the_end_of_a_file_does_not_change_the_rest():
    assert read_document("a.txt", "Straße".encode() + "ü".encode()[:1]).text.startswith("Straße")


def test_control_characters_nul_and_invisible_tags_are_gone_before_a_model_sees_them():
    """Unicode tags are invisible to people and plain text to models: instructions hide there."""
    hidden = "".join(chr(0xE0000 + ord(char)) for char in "obey")
    text = read_document(
        "a.txt", f"one\x00 two\x07 {hidden}three\x1b[31m\r\nfour\ufeff\x0cfive".encode()
    ).text
    assert text == "one two three[31m\nfour\nfive"


def test_blank_space_is_bounded_so_that_a_part_is_never_made_of_it():
    text = read_document("a.txt", b"\n\n\none   \n\n\n\n\n\ntwo" + b" " * 50_000 + b"\n" * 50_000).text
    assert text == "one\n\ntwo"


def test_one_word_is_a_document():
    assert read_document("a.txt", b"yes").text == "yes"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b""),
        ("a.md", b" \n\t\n "),
        ("a.html", b"<script>x()</script>"),
        ("a.csv", b"\n,\n"),
        ("a", b""),
    ],
)
def test_a_file_without_words_is_called_empty(name, content):
    assert refusal(name, content) == "empty_document"


def test_a_kind_that_is_not_read_is_named_and_a_binary_in_disguise_is_unreadable():
    png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 4
    assert refusal("a.png", png) == "unsupported_document"
    assert refusal("a.docx", b"PK\x03\x04" + bytes(range(256)) * 4) == "unsupported_document"
    assert refusal("a.txt", png) == "unreadable_document"


def test_a_text_of_unknown_ending_is_text_and_the_media_type_speaks_where_the_name_does_not():
    assert read_document("Makefile", b"all: test").text == "all: test"
    assert read_document("page", b"<p>a<p>b", "text/html; charset=utf-8").text == "a\n\nb"
    assert read_document("page.txt", b"<p>a", "text/html").text == "<p>a"


def test_a_file_above_the_limit_is_refused_before_it_is_read():
    assert refusal("a.txt", b"x" * 101, content_bytes=100) == "document_too_large"


def test_markdown_keeps_its_words_and_marks_its_headings_only():
    source = (
        "---\ntitle: no heading\n---\n# Guide\n\ntext\n\n```sh\n# a comment\n```\n\n## Install ##\n\n"
        "#hashtag\n\nUnderlined\n==========\n\n- item\n---\n"
    )
    document = read_document("a.md", source.encode())
    assert document.text == source.rstrip()
    assert [(document.text[start : start + 4], path) for start, path in sections_of(document)] == [
        ("# Gu", ("Guide",)),
        ("## I", ("Guide", "Install")),
        ("Unde", ("Underlined",)),
    ]


def test_a_table_names_its_columns_above_each_row():
    document = read_document("prices.csv", b'name;price\n"Tea; green";3.50\n\n"two\nlines";4\n')
    assert document.text == "name | price\nTea; green | 3.50\ntwo lines | 4"
    assert [section.path for section in sections_of(document)] == [
        ("name | price",),
        ("name | price", "row 2"),
        ("name | price", "row 3"),
    ]


def test_a_table_without_column_names_has_rows_only():
    document = read_document("a.csv", b"1,2\n3,4\n")
    assert [section.path for section in sections_of(document)] == [("row 1",), ("row 2",)]


def test_a_cell_that_the_csv_reader_refuses_is_still_read_as_text():
    assert len(read_document("a.csv", b'a,"' + b"x" * 200_000).text) > 200_000


def test_a_huge_table_is_marked_by_blocks_of_rows_that_lose_none():
    """A mark for each row of a 5 MB table would take more memory than the table."""
    rows = 50_000
    document = read_document("a.csv", ("n,m\n" + "".join(f"{n},x\n" for n in range(rows))).encode())
    labels = [section.path[-1] for section in sections_of(document)][1:]
    assert len(labels) < 20_000
    assert labels[0].startswith("rows 2-")
    assert labels[-1].endswith(f"{rows + 1}")


def test_json_is_written_out_with_its_digits_and_its_paths():
    source = '{"title": "A\\nB", "n": 1.10, "big": ' + "9" * 5000 + ', "list": [{"id": 1}, [], null, true]}'
    document = read_document("a.json", source.encode())
    assert document.text.startswith("title: A\nB\nn: 1.10\nbig: 999")
    assert "list:\n  [0]:\n    id: 1\n  [1]: []\n  [2]: null\n  [3]: true" in document.text
    paths = [section.path for section in sections_of(document)]
    assert ("list", "[0]", "id") in paths
    assert ("list", "[3]") in paths


def test_a_lone_surrogate_in_json_does_not_reach_a_provider():
    """DSPy refuses text that is not valid Unicode, so one such file would fail its whole run."""
    text = read_document("a.json", b'{"a": "x\\ud800y", "\\ud801k": "z"}').text
    assert text == "a: xy\nk: z"


@pytest.mark.parametrize(
    "content", [b"{", b"[1,", b"nothing", b"[" * 200_000, b'{"a":' * 300 + b"1" + b"}" * 300, b"\xff\xfe["]
)
def test_damaged_or_too_deep_json_is_unreadable(content):
    assert refusal("a.json", content) == "unreadable_document"


def test_a_deep_but_honest_json_is_read():
    assert read_document("a.json", json.dumps({"a": [[[[{"b": "deep"}]]]]}).encode()).text.endswith("b: deep")


def test_reading_imports_neither_parser_of_pdf_nor_of_html_for_a_plain_text():
    import subprocess
    import sys

    code = (
        "import sys; from tools.documents import read_document; read_document('a.md', b'# x');"
        "assert not {'pypdf', 'selectolax', 'dspy', 'litellm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240)
