"""Examples to learn from and to measure with, and the feedback that they come from."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

MAX_COMMENT_CHARS = 5_000
MAX_EXAMPLES_PER_IMPORT = 2_000


class Split(StrEnum):
    """What an example is for. It follows from the hash of the inputs, so an example never moves."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class ExampleOrigin(StrEnum):
    """Where an example comes from."""

    FEEDBACK = "feedback"
    IMPORT = "import"
    RUN = "run"


class NewExample(BaseModel):
    """What a program is given, and what it should answer."""

    model_config = ConfigDict(extra="forbid")

    inputs: dict[str, Any] = Field(examples=[{"message": "My parcel is late"}])
    expected: dict[str, Any] = Field(examples=[{"label": "shipping"}])


class Example(NewExample):
    """An example with its lineage."""

    model_config = ConfigDict(extra="ignore")

    id: UUID
    program: str
    split: Split
    origin: ExampleOrigin
    input_hash: str = Field(description="SHA-256 of the inputs as canonical JSON, in hex.")
    run_id: UUID | None = Field(None, description="The run that answered it.")
    message_id: UUID | None = Field(None, description="The message that was judged.")
    version_id: UUID | None = Field(None, description="The version of the program that answered.")
    feedback_id: UUID | None = None
    created_at: datetime


class NearDuplicate(BaseModel):
    """Two examples of different splits whose inputs are almost the same."""

    example_id: UUID = Field(description="The one that is left out.")
    split: Split
    like: UUID
    like_split: Split
    similarity: float = Field(description="Jaccard similarity of their three-word shingles, 0.8 to 1.")


class ExampleCounts(BaseModel):
    """How many examples a program has, and which of them are too alike to measure with."""

    train: int
    validation: int
    test: int
    near_duplicates: list[NearDuplicate] = Field(
        description="Examples that say almost the same in two splits; those of `test` are left out of it."
    )


class ExampleImport(BaseModel):
    """Examples as text, one per line. One bad line refuses all of them."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["jsonl", "csv"] = Field(
        "jsonl",
        description='`jsonl`: an object a line, `{"inputs": {…}, "expected": {…}}`. `csv`: a header with the'
        " names of inputs and outputs, then a row per example.",
    )
    content: str = Field(
        min_length=1,
        examples=['{"inputs": {"message": "My parcel is late"}, "expected": {"label": "shipping"}}'],
    )


class Imported(BaseModel):
    """What an import did."""

    added: int
    known: int = Field(
        description="Those whose inputs were there already; what is expected was brought up to date."
    )
    splits: dict[Split, int]


class NewFeedback(BaseModel):
    """What somebody thinks of an answer. At least one of the four."""

    model_config = ConfigDict(extra="forbid")

    score: float | None = Field(None, ge=0, le=1, description="1: as it should be; 0: wrong.")
    label: str | None = Field(
        None, min_length=1, max_length=100, description="A tag of your own, e.g. `tone`."
    )
    correction: str | dict[str, Any] | None = Field(
        None, description="The right answer: a text, or an object with the program's output fields."
    )
    comment: str | None = Field(None, min_length=1, max_length=MAX_COMMENT_CHARS)


class Feedback(NewFeedback):
    """Feedback with what it is about, and the example that it became."""

    model_config = ConfigDict(extra="ignore")

    id: UUID
    run_id: UUID
    message_id: UUID | None = None
    program: str | None = Field(None, description="The program that answered; none when it cannot learn.")
    version_id: UUID | None = None
    guest: str | None = Field(
        None,
        description="The person with whom the chat was shared, if they said it: their word is told to the"
        " chat's owner, makes no example and counts for no canary and no experiment.",
    )
    example_id: UUID | None = Field(
        None, description="A correction, or a score of at least 0.5 without one, becomes an example."
    )
    created_at: datetime
