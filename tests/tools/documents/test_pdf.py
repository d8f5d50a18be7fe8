"""PDFs: pages and their words; locked, damaged and hostile ones refused with a reason."""

import pytest

from runtime.errors import BadInput
from tests.tools.documents.samples import bomb, locked, pdf_of
from tools.documents import Limits, evidence, read_document, split
from tools.documents.document import sections_of


def refusal(content, **limits):
    with pytest.raises(BadInput) as caught:
        read_document("a.pdf", content, limits=Limits(**limits))
    return caught.value.code


def test_pages_are_read_in_order_and_marked():
    document = read_document("a.pdf", pdf_of("First page (one)", "", "Third page\nsecond line"))
    assert document.text == "First page (one)\n\nThird page\nsecond line"
    assert [section.path for section in sections_of(document)] == [("page 1",), ("page 3",)]
    (part,) = split(document)
    assert part.section == "page 1 … page 3"
    found = evidence(part, "third page second LINE")
    assert found is not None
    assert (found.section, found.quote) == ("page 3", "Third page\nsecond line")


def test_a_pdf_is_known_by_its_first_bytes_whatever_its_name():
    assert read_document("report.bin", pdf_of("Hello")).text == "Hello"
    assert read_document("report.txt", pdf_of("Hello"), "text/plain").text == "Hello"


def test_a_locked_pdf_is_refused_and_one_that_only_forbids_printing_is_read():
    assert refusal(locked(pdf_of("secret"), "password")) == "unreadable_document"
    assert read_document("a.pdf", locked(pdf_of("open"), "")).text == "open"


@pytest.mark.parametrize(
    "content",
    [b"no pdf at all", b"%PDF-1.7\n", b"%PDF-1.4\n" + b"\x00" * 5000, pdf_of("cut")[:200]],
    ids=["words", "head", "zeros", "cut"],
)
def test_a_damaged_pdf_is_unreadable(content):
    assert refusal(content) in {"unreadable_document", "empty_document"}


def test_a_pdf_of_pictures_says_that_it_needs_text_recognition():
    with pytest.raises(BadInput, match="recognition") as caught:
        read_document("scan.pdf", pdf_of("", ""))
    assert caught.value.code == "empty_document"


def test_a_small_file_that_unpacks_to_100_mb_is_stopped():
    assert refusal(pdf_of("x", stream=bomb())) == "document_too_large"


def test_pages_text_and_time_are_bounded():
    pages = pdf_of("one page", "another page", "a third")
    assert refusal(pages, pdf_pages=2) == "document_too_large"
    assert refusal(pages, text_chars=10) == "document_too_large"
    assert refusal(pages, pdf_seconds=-1.0) == "document_too_large"
