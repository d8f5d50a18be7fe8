"""How much of a document we are willing to hold: hostile files are small and unpack to much."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of reading one document.

    Args:
        content_bytes: size of the file itself.
        text_chars: length of its text once unpacked.
        pdf_pages: pages of a PDF.
        pdf_stream_bytes: size of one unpacked stream of a PDF.
        pdf_seconds: time for all pages of a PDF, looked at between pages.
        nesting: depth of JSON; deeper files are machine state, or an attack on the parser's stack.
    """

    content_bytes: int = 20 * 1024 * 1024
    text_chars: int = 20_000_000
    pdf_pages: int = 3_000
    pdf_stream_bytes: int = 30_000_000
    pdf_seconds: float = 120.0
    nesting: int = 100


LIMITS = Limits()
