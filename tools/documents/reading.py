"""Read a document: any supported kind of file in, one text with its structure out."""

import re
from pathlib import PurePath

from runtime.errors import BadInput
from tools.documents.document import Document, Draft
from tools.documents.encoding import cleaned, decoded, looks_binary
from tools.documents.json_tree import read_json
from tools.documents.limits import LIMITS, Limits
from tools.documents.markdown import read_markdown
from tools.documents.pdf import read_pdf
from tools.documents.table import read_table
from tools.documents.web_page import declared_encoding, read_web_page

KINDS = {
    ".csv": "csv",
    ".htm": "html",
    ".html": "html",
    ".json": "json",
    ".markdown": "markdown",
    ".md": "markdown",
    ".pdf": "pdf",
    ".text": "text",
    ".tsv": "csv",
    ".txt": "text",
    ".xhtml": "html",
}
MEDIA_TYPES = {
    "application/csv": "csv",
    "application/json": "json",
    "application/pdf": "pdf",
    "application/xhtml+xml": "html",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "markdown",
    "text/tab-separated-values": "csv",
    "text/x-markdown": "markdown",
}
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)


def read_document(
    name: str, content: bytes, media_type: str | None = None, limits: Limits = LIMITS
) -> Document:
    """Return the document in a file of text, Markdown, HTML, CSV, JSON or PDF.

    It takes CPU time (about a second for 5 MB): call it in a thread.

    Args:
        name: the file's name; its ending says what it holds, where the content does not.
        content: the file's bytes.
        media_type: what the sender says it holds, e.g. `text/html; charset=iso-8859-1`; the name goes first.
        limits: how much to accept.

    Raises:
        BadInput: `document_too_large`, `unsupported_document` (not one of these kinds), `unreadable_document`
            (damaged, encrypted, or built to harm) or `empty_document` (no words in it).
    """
    if len(content) > limits.content_bytes:
        raise BadInput(
            f"{name} has {len(content):,} bytes; at most {limits.content_bytes:,} are read.",
            code="document_too_large",
            detail={"document": name, "limit_bytes": limits.content_bytes},
        )
    kind = kind_of(name, content, media_type)
    document = (
        read_pdf(name, content, limits)
        if kind == "pdf"
        else _read_text(name, content, kind, media_type, limits)
    )
    if not document.text.strip():
        raise BadInput(
            f"{name} holds no text"
            + (": its pages may be pictures, which need text recognition first." if kind == "pdf" else "."),
            code="empty_document",
            detail={"document": name},
        )
    return document


def kind_of(name: str, content: bytes, media_type: str | None = None) -> str:
    """Return what a file holds: by its first bytes, its name, its media type, or as plain text.

    Raises:
        BadInput: `unsupported_document`.
    """
    if b"%PDF-" in content[:1024]:
        return "pdf"
    media = (media_type or "").partition(";")[0].strip().lower()
    kind = KINDS.get(PurePath(name).suffix.lower()) or MEDIA_TYPES.get(media)
    if kind:
        return kind
    if looks_binary(content):
        raise BadInput(
            f"{name} is of a kind that is not read here: use text, Markdown, HTML, CSV, JSON or PDF.",
            code="unsupported_document",
            detail={"document": name, "media_type": media or None},
        )
    return "text"


def _read_text(name: str, content: bytes, kind: str, media_type: str | None, limits: Limits) -> Document:
    charset = _CHARSET.search(media_type or "")
    declared = charset[1] if charset else declared_encoding(content) if kind == "html" else None
    if looks_binary(content, declared):
        raise BadInput(
            f"{name} claims to be {kind} but holds no text in a known encoding.",
            code="unreadable_document",
            detail={"document": name},
        )
    text = cleaned(decoded(content, declared))
    if kind == "html":
        return read_web_page(name, text)
    if kind == "json":
        return read_json(name, text, limits)
    if kind == "csv":
        return read_table(name, text)
    if kind == "markdown":
        return read_markdown(name, text)
    draft = Draft()
    draft.add(text.lstrip("\n"))
    return draft.finish(name)
