"""Where an answer comes from: its version, the run that made it, and what that learned from."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from contracts.examples import ExampleOrigin, Feedback, Split
from contracts.programs import VersionSummary
from contracts.recommendations import RecommendationSummary
from contracts.runs import Origin, RunStatus

SHOWN_EXAMPLES = 100
SHOWN_ANCESTORS = 20


class MakingRun(BaseModel):
    """A run that made a version."""

    id: UUID
    pipeline: str
    status: RunStatus
    origin: Origin
    started_by: str | None = Field(description="The person; none for schedules and the Prefect UI.")
    created_at: datetime


class TracedExample(BaseModel):
    """An example that a version was made with, and the feedback that it came from."""

    id: UUID
    split: Split
    origin: ExampleOrigin
    run_id: UUID | None = Field(description="The run whose answer it was.")
    message_id: UUID | None
    version_id: UUID | None = Field(description="The version that gave the answer.")
    feedback: Feedback | None = None


class VersionLineage(BaseModel):
    """A version with all that led to it."""

    version: VersionSummary
    ancestors: list[VersionSummary] = Field(
        description=f"Its parent first, {SHOWN_ANCESTORS} at most, up to what the code shipped."
    )
    made_by: MakingRun | None = Field(description="The run that made it; none for imports and shipped ones.")
    examples: dict[Split, int] = Field(
        description="How many it learned from, was chosen by, and was proved on; deleted ones count."
    )
    learned_from: list[TracedExample] = Field(
        description=f"Those with feedback first, {SHOWN_EXAMPLES} at most; deleted ones are not there."
    )
    recommendations: list[RecommendationSummary]


class RunLineage(BaseModel):
    """The versions that an answer came from, each with its lineage."""

    run_id: UUID
    pipeline: str
    started_by: str | None
    versions: list[VersionLineage]
