"""The gate: is a candidate better than the active version, and what may happen to it?"""

from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.budgets import CapUsd
from contracts.evaluation import METRIC_PATTERN, Comparison, Interval
from contracts.runs import RunError

Outcome = Literal["applied", "approved", "refused", "expired", "superseded"]


class Lineage(StrEnum):
    """How a candidate was made."""

    OPTIMIZATION = "optimization"
    RECOMPILE = "recompile"
    CROSS_POLLINATION = "cross_pollination"
    MANUAL = "manual"


class Confidence(StrEnum):
    """How far the evidence carries: `low` with too few cases, `high` when the whole interval is a gain."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class LaneName(StrEnum):
    """Who answers in the gate: what was recorded at the time, and the two versions, asked now."""

    OBSERVED = "observed"
    ACTIVE = "active"
    CANDIDATE = "candidate"


class NotReplayed(StrEnum):
    """Why a recorded run was not answered anew, or why there was none to answer."""

    # Nobody wanted it: `most_replays` is 0.
    NOT_WANTED = "not_wanted"
    # The program thinks in no pipeline whose runs can be given again.
    NO_PIPELINE = "no_pipeline"
    # No run of such a pipeline, answered by this program, has succeeded.
    NONE_RECORDED = "none_recorded"
    # Its inputs, or a part of them, are examples that the candidate may have learned from.
    LEARNED_FROM = "learned_from"
    # An agent answered: its instructions are no part of the program, so the answer says nothing about it.
    OF_AN_AGENT = "of_an_agent"
    # What it read is not there any more, or not all of it.
    SOURCES_GONE = "sources_gone"
    # It is a run of so many calls that with it the comparison would take more than `most_replays` allows.
    TOO_MANY_CALLS = "too_many_calls"


# Recorded runs of several calls are taken, the newest first, up to so many calls for each of `most_replays`.
CALLS_A_REPLAY = 10


class GateParams(BaseModel):
    """What to compare, with what, and for how much."""

    model_config = ConfigDict(extra="forbid")

    program: str = Field(max_length=100, examples=["support.sort"])
    version: int = Field(ge=1, description="The candidate; it is compared with the active version.")
    metric: str = Field("exact", max_length=200, pattern=METRIC_PATTERN, description="As of an evaluation.")
    most: int = Field(500, ge=1, le=10_000, description="Examples of the test split at most.")
    most_replays: int = Field(
        50,
        ge=0,
        le=1_000,
        description="Recorded runs at most, the newest first, that both answer anew; of runs of several calls"
        f" as many as made {CALLS_A_REPLAY} times this number of calls.",
    )
    at_once: int = Field(8, ge=1, le=64, description="How many are answered at the same time.")
    cap_usd: CapUsd | None = Field(
        None, description="It is not started when it would cost more by estimate, and stops when it has."
    )
    lineage: Lineage = Lineage.MANUAL
    origin_run_id: UUID | None = Field(None, description="The run that made the candidate, if one did.")


class Lane(BaseModel):
    """What one of those who answer came to; means over the cases, with 95 % bootstrap intervals."""

    cases: int
    failures: int
    quality: Interval | None = Field(
        description="0 to 1, over cases whose right answer is known; none without such."
    )
    cost_usd: Interval | None = Field(description="Of an answer; none while prices are unknown.")
    latency_ms: Interval | None = Field(description="Of the model calls of an answer.")


class Difference(BaseModel):
    """One lane less another, each case with itself: 95 % bootstrap intervals of the mean."""

    quality: Comparison | None = Field(
        description="Scores where the right answer is known, else the judge's preference, -1 to 1."
    )
    cost_usd: Interval | None
    latency_ms: Interval | None


class TestEvidence(BaseModel):
    """What the untouched test split says."""

    evaluation_id: UUID
    metric: str
    left_out: int = Field(description="Near-duplicates of other splits that were not measured with.")
    candidate: Lane
    active: Lane
    progress: Difference = Field(description="Candidate less active.")


class ReplayEvidence(BaseModel):
    """What recorded runs say when they are answered anew, in lanes kept apart."""

    left_out: int = Field(description="Recorded runs whose inputs the candidate may have learned from.")
    graded: int = Field(description="Cases with feedback, a corrected answer or a known one.")
    judged: int = Field(description="Cases that the role `judge` compared, in both orders.")
    observed: Lane = Field(description="As recorded: another day, perhaps another version or model.")
    active: Lane
    candidate: Lane
    progress: Difference = Field(description="Candidate less active, both asked now.")
    drift: Difference = Field(
        description="Active now less what the same version said then: what changed by itself, and is nobody's"
        " progress."
    )


class Evidence(BaseModel):
    """All that was measured."""

    test: TestEvidence | None = Field(None, description="None when the test split is empty.")
    replay: ReplayEvidence | None = Field(None, description="None when no recorded run can be answered anew.")
    not_replayed: dict[NotReplayed, int] = Field(
        default_factory=dict,
        description="Recorded runs that were not answered anew, by reason; a reason with 0 says why there is"
        " none at all.",
    )


class WorseCase(BaseModel):
    """A case on which the candidate did worse than the active version, by reference."""

    source: Literal["test", "replay"]
    example_id: UUID | None = Field(None, description="Of the test split: the inputs and what is expected.")
    run_id: UUID | None = Field(None, description="The recorded run: the inputs and what was said then.")
    difference: float = Field(description="Of quality, -1 to 0.")


class LaneAnswer(BaseModel):
    """What one lane made of a recorded run."""

    answer: dict[str, Any] | None = Field(description="None when it failed.")
    error: RunError | None
    score: float | None = Field(description="By the metric, where the right answer is known.")
    cost_usd: Decimal | None
    latency_ms: float | None


class ReplayedCase(BaseModel):
    """A recorded run in the three lanes of one comparison; the run itself shows what was asked."""

    run_id: UUID = Field(description="The recorded run.")
    observed: LaneAnswer
    active: LaneAnswer
    candidate: LaneAnswer


class GateEstimate(BaseModel):
    """What a comparison will take, by what such calls took lately."""

    examples: int
    replays: int
    calls: int
    usd: Decimal | None = Field(description="None while no call of the role has a known price.")
    seconds: float | None = Field(description="None while the role has made no call.")


class GateResult(BaseModel):
    """What came of a candidate."""

    program: str
    candidate: int
    active: int
    outcome: Outcome
    reason: str
    recommendation_id: UUID | None = Field(
        description="None when nothing was compared: the policy refuses, or it was turned down before."
    )
    confidence: Confidence | None = None
    benefit: Interval | None = None
    models: list[str] = Field(default_factory=list)
