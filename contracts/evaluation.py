"""Evaluation: how well a version of a program answers the examples of a split."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.budgets import CapUsd
from contracts.examples import Split
from contracts.runs import RunError

# What a judged metric asks of the role `judge` for one answer.
JUDGE_CALLS = {"semantic_f1": 1, "judge": 2}
METRIC_PATTERN = r"^(exact|f1|semantic_f1|judge|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$"


class EvaluationParams(BaseModel):
    """What to measure, with what and how."""

    model_config = ConfigDict(extra="forbid")

    program: str = Field(max_length=100, examples=["support.sort"])
    version: int | None = Field(None, ge=1, description="None measures the active version.")
    against: int | None = Field(None, ge=1, description="Another version, measured on the same examples.")
    split: Split = Split.TEST
    metric: str = Field(
        "exact",
        max_length=200,
        pattern=METRIC_PATTERN,
        description="`exact` (every expected field), `f1` (words in common), `semantic_f1` (what the role"
        " `judge` sees in common), `judge` (it compares in both orders with the other version's answer, else"
        " with what is expected), or a function of yours in a package of METRICS_FROM, as"
        " `package.module:function`; it takes the expected and the given fields. All give 0 to 1.",
    )
    deployment: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="A deployment of config/providers.yaml that answers alone; none: that of each version.",
    )
    most: int = Field(1_000, ge=1, le=10_000, description="How many examples at most.")
    at_once: int = Field(8, ge=1, le=64, description="How many are answered at the same time.")
    cap_usd: CapUsd | None = Field(
        None,
        description="It is not started when it would cost more by estimate, and stops before the call that"
        " could pass it; what was measured up to there is kept.",
    )


class Estimate(BaseModel):
    """What a piece of work will take, by what such calls took lately."""

    examples: int
    calls: int
    usd: Decimal | None = Field(description="None while no call of the role has a known price.")
    seconds: float | None = Field(description="None while the role has made no call.")


class Interval(BaseModel):
    """A number with its 95 % confidence interval."""

    value: float
    low: float
    high: float


class VersionScore(BaseModel):
    """How one version did."""

    version: int
    score: Interval = Field(description="Mean over the examples; failures count as 0.")
    examples: int
    failures: int
    cost_usd: Decimal | None = Field(description="Of its answers, the judge's not among them.")
    latency_ms: float | None = Field(description="Mean time of the model calls of one answer.")


class Comparison(BaseModel):
    """Two versions on the same examples: `version` less `against`."""

    difference: Interval
    p_value: float = Field(description="Of a two-sided paired permutation test that both are equally good.")
    better: int = Field(description="Examples on which `version` scores higher.")
    worse: int
    equal: int


class EvaluationResult(BaseModel):
    """What was measured; `GET /evaluations/{id}/results` has each example."""

    evaluation_id: UUID
    program: str
    split: Split
    metric: str
    scores: list[VersionScore] = Field(description="Of `version`, then of `against`.")
    comparison: Comparison | None = None
    left_out: int = Field(0, description="Near-duplicates of other splits that were not measured with.")
    stopped: str | None = Field(
        None, description="`usd`: the cap ended it, and scores are those of the examples up to there."
    )
    models: list[str]


class Evaluation(BaseModel):
    """One evaluation in the list."""

    id: UUID
    run_id: UUID
    program: str
    version_id: UUID
    against_id: UUID | None
    split: Split
    metric: str
    deployment: str = Field("", description="Who answered alone for all versions; empty: each its own.")
    result: EvaluationResult | None = Field(description="None before its end.")
    created_at: datetime
    finished_at: datetime | None


class ExampleResult(BaseModel):
    """How one version did on one example."""

    example_id: UUID
    version_id: UUID
    score: float
    answer: dict[str, Any] | None = Field(description="What was answered; none when it failed.")
    error: RunError | None = Field(description="Why there is no answer or no score.")
    cost_usd: Decimal | None
    latency_ms: float | None
