"""The analysis pipeline: documents in, one report that answers a question out."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

MAX_SOURCES = 200
MAX_INLINE_CHARS = 200_000
MAX_FILE_BYTES = 5 * 1024 * 1024


def _name_kind(schema: dict[str, Any]) -> None:
    # A source is chosen by its kind: the default is for Python, what is sent must name it.
    schema["required"] = ["kind", *schema.get("required", [])]


def _any_of(schema: dict[str, Any]) -> None:
    # Prefect's form knows no `oneOf`. Each source names its kind, so still only one of them fits.
    schema["anyOf"] = schema.pop("oneOf")
    del schema["discriminator"]


class _Source(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra=_name_kind)


class TextSource(_Source):
    """A short text, given in the request itself. Longer ones are uploaded as files."""

    kind: Literal["text"] = "text"
    name: str = Field("text", min_length=1, max_length=200)
    text: str = Field(min_length=1, max_length=MAX_INLINE_CHARS)


class FileSource(_Source):
    """A file that was uploaded before (`POST /api/v1/files`)."""

    kind: Literal["file"] = "file"
    file_id: UUID


class FolderSource(_Source):
    """Files that the worker can see, by a pattern below its documents folder (`DOCUMENTS_ROOT`).

    Where people sign in each space has a folder of its own below it.
    """

    kind: Literal["folder"] = "folder"
    pattern: str = Field(min_length=1, max_length=500, examples=["docs/**/*.md"])


Source = Annotated[
    TextSource | FileSource | FolderSource, Field(discriminator="kind", json_schema_extra=_any_of)
]


class AnalysisParams(BaseModel):
    """What to read and what to find out."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(
        min_length=1,
        max_length=10_000,
        description="What the report should answer.",
        examples=["Which promises do these documents make, and what proves each?"],
    )
    sources: list[Source] = Field(min_length=1, max_length=MAX_SOURCES)


class Evidence(BaseModel):
    """Words of a document and where they stand."""

    document: str = Field(description="The document's name.")
    section: str = Field("", description="The headings above it, a page or a row range.")
    quote: str = Field(description="The words as they stand in the document.")
    start: int = Field(ge=0, description="Offset of the quote's first character in the text.")
    end: int = Field(ge=0, description="Offset just behind its last character.")


class Finding(BaseModel):
    """One thing that a document says about the question."""

    claim: str
    relevance: float = Field(ge=0, le=1, description="1: answers the question directly.")
    evidence: list[Evidence]


class Report(BaseModel):
    """One answer across all documents."""

    answer: str
    key_points: list[str]
    disagreements: list[str] = Field(default_factory=list)
    gaps: list[str] = Field(default_factory=list, description="What the documents leave open.")
    confidence: float = Field(ge=0, le=1)
    findings: list[int] = Field(
        default_factory=list,
        description="Which findings the answer rests on: places in the result's `findings`, from 0.",
    )


class SkippedDocument(BaseModel):
    """A document, or a part of one, that could not be read, and why."""

    document: str
    reason: str


class AnalysisResult(BaseModel):
    """The report, the findings that it rests on, and what was read."""

    report: Report
    findings: list[Finding]
    documents: int
    parts: int
    skipped: list[SkippedDocument] = Field(default_factory=list)
    models: list[str] = Field(description="The deployments that answered, e.g. `offline`.")
