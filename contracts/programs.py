"""Programs that think, their versions, and what is decided about them."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

MAX_REASON_CHARS = 1_000
MAX_DEPLOYMENT_CHARS = 64
State = dict[str, Any]


class VersionStatus(StrEnum):
    """One version of a program is active per owner; a canary answers a share of the runs beside it."""

    CANDIDATE = "candidate"
    CANARY = "canary"
    ACTIVE = "active"
    RETIRED = "retired"


class ProgramKind(StrEnum):
    """What becomes of a program's answers: how much harm a bad one does."""

    CLASSIFIER = "classifier"
    WRITER = "writer"
    CHAT = "chat"
    # Its answers act: it calls tools that write.
    TOOLS = "tools"


class VersionOrigin(StrEnum):
    """Where a version comes from."""

    SOURCE = "source"
    IMPORT = "import"
    OPTIMIZATION = "optimization"
    RECOMPILE = "recompile"
    TRANSFER = "transfer"


class FieldShape(BaseModel):
    """One field of a predictor, as far as a saved state depends on it."""

    name: str
    side: Literal["input", "output"]
    type: Any = Field(description="JSON Schema of its values.")
    description: str | None = Field(None, description="Of an output: what it means.")


Signature = dict[str, list[FieldShape]]


class ProgramSummary(BaseModel):
    """A program in a list."""

    name: str = Field(examples=["support.sort"])
    title: str
    role: str = Field(description="The role of config/providers.yaml that it asks.")
    kind: ProgramKind = Field(ProgramKind.WRITER, description="What becomes of its answers.")
    active: int | None = Field(
        None,
        description="The version that answers now; none before the first run, which stores the shipped one.",
    )
    canary: int | None = Field(None, description="The version that answers a share of the runs.")
    canary_percent: float | None = None
    versions: int = Field(0, description="How many there are.")


class ProgramDetail(ProgramSummary):
    """A program with what its states must fit."""

    signature_fingerprint: str = Field(description="SHA-256 of `signature`, in hex.")
    signature: Signature = Field(description="By predictor: fields, types and meanings of the running code.")
    inputs: dict[str, bool] = Field(description="What the program takes, and whether it is needed.")
    expects: list[str] = Field(description="What an example may say about the answer.")


class VersionSummary(BaseModel):
    """A version in a list: without its state."""

    id: UUID
    program: str
    version: int = Field(description="Counts from 1 inside the program.")
    status: VersionStatus
    origin: VersionOrigin
    content_hash: str = Field(description="SHA-256 of the state as canonical JSON, in hex.")
    signature_fingerprint: str
    parent_id: UUID | None = Field(None, description="The version that it was made from.")
    origin_run_id: UUID | None = Field(None, description="The run that made it.")
    imported_by: str | None = Field(
        None, description="The person who brought it as a file; none for what a run made or the code ships."
    )
    offered_by: UUID | None = Field(
        None, description="The version of another program whose instructions or demos it took over."
    )
    deployment: str = Field(
        "",
        description="The deployment of config/providers.yaml that it was made for: it is asked before the"
        " role's own. Empty: as the role's route says.",
    )
    scores: dict[str, Any] | None = Field(None, description="What was measured when it was made.")
    note: str = ""
    created_at: datetime


class Version(VersionSummary):
    """One state of a program: instructions and demos of each predictor."""

    state: State
    signature: Signature


class ChangeAction(StrEnum):
    """What was done to the serving of a program."""

    SHIP = "ship"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    CANARY = "canary"
    END_CANARY = "end_canary"


class Change(BaseModel):
    """One line of a program's audit trail."""

    id: UUID
    program: str
    action: ChangeAction
    from_version: int | None = Field(description="What was served before.")
    to_version: int | None = Field(description="What is served after.")
    by: str = Field(description="A person, or `millrace` for what happened by itself.")
    reason: str
    at: datetime


class ProgramUse(BaseModel):
    """Which version of a program a run answers with, whatever is promoted meanwhile."""

    program: str
    version_id: UUID
    version: int


class ProgramFile(BaseModel):
    """A version as a file: one JSON object, keys sorted, made to be read in a diff of git."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["millrace-program/1"] = "millrace-program/1"
    program: str = Field(max_length=100)
    content_hash: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="Of the state; checked when it is given. Leave it out of a file that you edit by hand.",
    )
    signature: Signature
    state: State
    scores: dict[str, Any] | None = None
    note: str = Field("", max_length=MAX_REASON_CHARS)
    deployment: str = Field("", max_length=MAX_DEPLOYMENT_CHARS)


class TextChange(BaseModel):
    """A text before and after."""

    before: str
    after: str


class PredictorDiff(BaseModel):
    """What two versions say differently in one predictor."""

    predictor: str
    instructions: TextChange | None = Field(None, description="None when they are the same.")
    fields: dict[str, TextChange] = Field(
        default_factory=dict, description="By field: its text (prefix and description) where it differs."
    )
    demos_added: list[dict[str, Any]] = Field(
        default_factory=list, description="One that stands there once more is among them."
    )
    demos_removed: list[dict[str, Any]] = Field(default_factory=list)
    demos_kept: int = 0
    demos_reordered: bool = Field(False, description="Those that were kept stand in another order.")


class VersionDiff(BaseModel):
    """What changes from one version of a program to another."""

    program: str
    before: int
    after: int
    same: bool = Field(description="The same texts and demos, for the same model.")
    deployment: TextChange | None = Field(
        None,
        description="The model that each was made for, where that differs; empty: as the role's route says.",
    )
    predictors: list[PredictorDiff] = Field(description="Those that differ.")
    text: str = Field(description="The same for people, in lines.")
