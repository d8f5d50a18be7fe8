"""What may happen to a program by itself, and what asks a person first."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from contracts.canaries import CanaryPolicy


class Severity(StrEnum):
    """How much depends on a change."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class PolicyMode(StrEnum):
    """What becomes of a candidate that is better.

    `auto_low_risk`: one of low severity, surely better and within the bounds becomes a canary by itself, all
    others ask; `approval`: it asks; `refuse`: nothing is compared and nothing changes.
    """

    AUTO_LOW_RISK = "auto_low_risk"
    APPROVAL = "approval"
    REFUSE = "refuse"


class ProgramPolicy(BaseModel):
    """An owner's rules for one program."""

    model_config = ConfigDict(extra="forbid")

    mode: PolicyMode = PolicyMode.APPROVAL
    minimum_improvement: float = Field(
        0.0, ge=0, le=1, description="Quality must gain at least this much; 0: anything."
    )
    minimum_cases: int = Field(
        20, ge=2, le=10_000, description="With fewer cases nothing happens by itself, and confidence is low."
    )
    canary_percent: float = Field(
        10, gt=0, le=50, allow_inf_nan=False, description="The share that a candidate gets at first."
    )
    canary: CanaryPolicy = Field(
        default_factory=CanaryPolicy, description="When a canary is promoted, and when it is rolled back."
    )
    most_cost_increase: float = Field(
        0.2, ge=0, le=100, allow_inf_nan=False, description="Of an answer; 0.2: a fifth more is let through."
    )
    most_latency_increase: float = Field(
        0.5, ge=0, le=100, allow_inf_nan=False, description="Of an answer; 0.5: half as long again."
    )
    approval_days: float = Field(
        14, gt=0, le=365, allow_inf_nan=False, description="After this time a question is as good as refused."
    )
    four_eyes: bool = Field(
        default=False,
        description="Who started the optimization or the gate may not approve what came of it.",
    )
