"""Recompile: take a program to another model, and see what that costs and what it gains."""

from decimal import Decimal
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.budgets import CapUsd
from contracts.evaluation import METRIC_PATTERN, Comparison, Interval
from contracts.optimization import Optimizer, usual_optimizers


class LaneName(StrEnum):
    """Who answers: the version of today on its model, the same on the new one, and one optimized for that."""

    OLD = "old"
    MOVED = "moved"
    CANDIDATE = "candidate"


class RecompileParams(BaseModel):
    """Which program goes to which model, and what that may take."""

    model_config = ConfigDict(extra="forbid")

    program: str = Field(max_length=100, examples=["support.sort"])
    deployment: str = Field(
        min_length=1, max_length=64, description="The model's name in config/providers.yaml."
    )
    version: int | None = Field(None, ge=1, description="What to take there; none is the active version.")
    gone: bool = Field(
        False, description="The old model answers no more: it is not asked, and nothing is compared with it."
    )
    optimizers: list[Optimizer] = Field(default_factory=usual_optimizers, min_length=1, max_length=7)
    metric: str = Field("exact", max_length=200, pattern=METRIC_PATTERN, description="As of an evaluation.")
    most: int = Field(500, ge=1, le=2_000, description="Examples of the test split at most.")
    most_train: int = Field(200, ge=1, le=10_000)
    most_validation: int = Field(100, ge=1, le=10_000)
    cap_usd: CapUsd | None = Field(None, description="Of all its calls, the optimization's among them.")
    below_estimate: bool = Field(False, description="Run although the cap is below the estimate.")
    gate: bool = Field(True, description="Hand what is best on the new model to the gate.")
    at_once: int = Field(8, ge=1, le=64, description="Examples that are answered at the same time.")
    seed: int = Field(0, ge=0, le=2**31 - 1)


class FrontierPoint(BaseModel):
    """One lane: how good, how dear, how slow."""

    lane: LaneName
    version: int | None = Field(description="Its version; none where it was not stored.")
    deployment: str = Field(description="Who answered alone; empty: as the role's route says.")
    quality: Interval = Field(description="Mean score over the cases; failures count as 0.")
    cost_usd: Decimal | None = Field(description="Mean of an answer; none while a price is unknown.")
    latency_ms: float | None = Field(description="Mean time of the model calls of an answer.")
    failures: int
    optimal: bool = Field(
        description="On the Pareto frontier: no other lane is as good and as cheap, and better or cheaper."
    )
    against_old: Comparison | None = Field(None, description="Its scores less those of `old`, case by case.")


class FrontierCase(BaseModel):
    """One case in all lanes."""

    example_id: UUID
    scores: dict[LaneName, float]
    cost_usd: dict[LaneName, Decimal | None]
    latency_ms: dict[LaneName, float | None]


class RecompileResult(BaseModel):
    """What came out; `GET /runs/{id}/plot` draws the points."""

    program: str
    deployment: str
    metric: str
    base_version: int
    points: list[FrontierPoint]
    cases: list[FrontierCase] = Field(description="The same cases in every lane, the largest losses first.")
    best: LaneName | None = Field(
        description="Of the two on the new model; none when a cap left them unmeasured."
    )
    version: int | None = Field(description="The candidate that is best there.")
    version_id: UUID | None
    evaluation_id: UUID | None = Field(
        None, description="Of that candidate beside `old`, each on its own model: its results by example."
    )
    optimize_run_id: UUID
    gate_run_id: UUID | None = Field(None, description="The run of the gate, which is not waited for.")
    recommendation_id: UUID | None = Field(
        None, description="What the gate will say about it, as soon as it has compared."
    )
    left_out: int = Field(0, description="Near-duplicates that were left out of the test split.")
    stopped: Literal["usd"] | None = Field(None, description="The cap ended it: some lanes are missing.")
    models: list[str]
