"""Cross-pollination: what won in one program is offered to related ones, and tested on their own examples."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.budgets import CapUsd
from contracts.evaluation import METRIC_PATTERN

OfferKind = Literal["instructions", "demos", "both"]


class PollinateParams(BaseModel):
    """Whose instructions and demos are offered to whom."""

    model_config = ConfigDict(extra="forbid")

    program: str = Field(max_length=100, examples=["chat.direct"], description="Where something won.")
    version: int | None = Field(None, ge=1, description="None is its active version.")
    targets: list[str] | None = Field(
        None, min_length=1, max_length=50, description="Programs to offer it to; none: all related ones."
    )
    metric: str = Field("exact", max_length=200, pattern=METRIC_PATTERN, description="As of an evaluation.")
    most: int = Field(100, ge=1, le=10_000, description="Validation examples of each program at most.")
    cap_usd: CapUsd | None = Field(None, description="It stops before the call that could pass it.")
    gate: bool = Field(True, description="Hand what wins to the gate.")
    at_once: int = Field(8, ge=1, le=64, description="Examples that are answered at the same time.")


class Offered(BaseModel):
    """One thing that was offered to one program, and what its own examples say."""

    kind: OfferKind
    from_predictor: str
    to_predictor: str
    score: float | None = Field(description="On the validation split; none when a cap ended it.")


class Pollinated(BaseModel):
    """What came of one program."""

    program: str
    base_version: int | None = None
    base_score: float | None = Field(None, description="Of its active version on its validation split.")
    examples: int = 0
    offers: list[Offered] = Field(default_factory=list)
    adopted: OfferKind | None = Field(None, description="What won, if anything did.")
    version: int | None = Field(None, description="The candidate that it became.")
    version_id: UUID | None = None
    gate_run_id: UUID | None = Field(None, description="The run of the gate, which is not waited for.")
    recommendation_id: UUID | None = Field(
        None, description="What the gate will say about it, as soon as it has compared."
    )
    skipped: str | None = Field(None, description="Why nothing was offered, or not everything.")


class PollinateResult(BaseModel):
    """What came of all related programs."""

    program: str
    version: int
    programs: list[Pollinated]
    models: list[str]
