"""The words of a PDF, page by page. pypdf is imported on the first PDF only: it costs 0.2 s."""

import logging
import time
from io import BytesIO
from typing import TYPE_CHECKING

from runtime.errors import BadInput
from tools.documents.document import Document, Draft
from tools.documents.encoding import cleaned
from tools.documents.limits import Limits

if TYPE_CHECKING:
    from pypdf import PdfReader


def read_pdf(name: str, content: bytes, limits: Limits) -> Document:
    """Return the text of a PDF with a mark at each page.

    Raises:
        BadInput: `unreadable_document` when it is damaged or needs a password, `document_too_large` when it
            unpacks to more pages, text or time than the limits allow.
    """
    import pypdf
    from pypdf.errors import LimitReachedError

    # It tells each oddity of a file in a log line of its own, with words of the file in it.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        with pypdf.apply_configuration(
            zlib_maximum_output_length=limits.pdf_stream_bytes,
            lzw_maximum_output_length=limits.pdf_stream_bytes,
            run_length_maximum_output_length=limits.pdf_stream_bytes,
            array_based_stream_maximum_output_length=limits.pdf_stream_bytes,
        ):
            return _pages(name, pypdf.PdfReader(BytesIO(content)), limits)
    except BadInput:
        raise
    except LimitReachedError:
        raise _too_large(name, "unpacks to more than is safe to hold") from None
    except Exception as problem:  # noqa: BLE001  a hostile file raises anything: KeyError, RecursionError
        raise BadInput(
            f"{name} is no readable PDF: it is damaged or of an unknown form ({type(problem).__name__}).",
            code="unreadable_document",
            detail={"document": name},
        ) from None


def _pages(name: str, reader: "PdfReader", limits: Limits) -> Document:
    if reader.is_encrypted and not reader.decrypt(""):  # an empty password only forbids printing
        raise BadInput(
            f"{name} is encrypted: remove its password first.",
            code="unreadable_document",
            detail={"document": name},
        )
    if len(reader.pages) > limits.pdf_pages:
        raise _too_large(name, f"has {len(reader.pages):,} pages; at most {limits.pdf_pages:,} are read")
    until = time.monotonic() + limits.pdf_seconds
    draft = Draft()
    for number, page in enumerate(reader.pages, start=1):
        if time.monotonic() > until:
            raise _too_large(name, f"takes more than {limits.pdf_seconds:g} s to read")
        words = cleaned(page.extract_text()).strip()
        if words:
            draft.mark(1, f"page {number}")
            draft.add(words + "\n\n")
        if draft.length > limits.text_chars:
            raise _too_large(name, f"holds more than {limits.text_chars:,} characters")
    return draft.finish(name)


def _too_large(name: str, what: str) -> BadInput:
    return BadInput(f"{name} {what}.", code="document_too_large", detail={"document": name})
