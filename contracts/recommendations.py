"""Recommendations: what the gate found out about a candidate, and what was decided about it."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, Field

from contracts.evaluation import Interval
from contracts.gate import Confidence, Evidence, Lineage, WorseCase
from contracts.program_policies import Severity
from contracts.programs import VersionDiff


class RecommendationStatus(StrEnum):
    """`open` until it is decided; `approved` until its canary begins, then `applied`.

    `superseded` when a newer candidate was recommended, or another version became active meanwhile; `expired`
    when nobody decided in time, or when the run that asks has ended.
    """

    OPEN = "open"
    APPROVED = "approved"
    REFUSED = "refused"
    APPLIED = "applied"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"


class RecommendationSummary(BaseModel):
    """A recommendation in a list: without its evidence."""

    id: UUID
    program: str
    title: str
    lineage: Lineage = Field(description="How the candidate was made.")
    candidate: int = Field(description="The version that is recommended.")
    active: int = Field(description="The version that answered when the two were compared.")
    severity: Severity = Field(description="How much depends on it, by size, spread and kind of program.")
    confidence: Confidence
    benefit: Interval | None = Field(
        description="What quality gains, -1 to 1, with its 95 % interval; none when nothing was measured."
    )
    status: RecommendationStatus
    decided_by: str | None = Field(None, description="A person, or `millrace` by the program's policy.")
    decided_at: datetime | None = None
    reason: str = Field("", description="Why it was decided so.")
    run_id: UUID = Field(description="The run of the gate.")
    created_at: datetime


class Recommendation(RecommendationSummary):
    """A candidate with the evidence for and against it."""

    candidate_id: UUID
    active_id: UUID
    origin_run_id: UUID | None = Field(None, description="The run that made the candidate.")
    canary_percent: float = Field(description="The share that the candidate gets at first, of a hundred.")
    digest: str = Field(description="SHA-256 of what is decided about, in hex: a decision names it.")
    severity_reasons: list[str]
    notes: list[str] = Field(description="What to know before deciding, e.g. that there were few cases.")
    evidence: Evidence
    evaluation_ids: list[UUID]
    diff: VersionDiff
    worse: list[WorseCase] = Field(description="Cases on which the candidate did worse, the worst first.")
