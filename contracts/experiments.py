"""Experiments: versions of a program, or models of a role, that answer side by side and are compared."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contracts.evaluation import Interval
from contracts.routing import MAX_WEIGHT, DeploymentName, RoleName

MOST_ARMS = 6
NAME_CHARS = 100


class Kind(StrEnum):
    """What is compared."""

    PROGRAM = "program"
    MODEL = "model"


class By(StrEnum):
    """Who always meets the same arm."""

    CHAT = "chat"
    USER = "user"


class Metric(StrEnum):
    """What decides. More is better of the first two, less of the others."""

    FEEDBACK = "feedback"
    SUCCESS = "success"
    COST = "cost_usd"
    LATENCY = "latency_ms"

    @property
    def bounded(self) -> bool:
        """Whether its values lie between 0 and 1 by themselves; more of it is better then."""
        return self in {Metric.FEEDBACK, Metric.SUCCESS}


class ExperimentStatus(StrEnum):
    """One experiment of a program or role is running per owner."""

    RUNNING = "running"
    STOPPED = "stopped"
    PROMOTED = "promoted"


class NewArm(BaseModel):
    """One of those that are compared: a version of the program, or a deployment for the role."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(None, ge=1, le=2**31 - 1)
    deployment: DeploymentName | None = None
    weight: int = Field(1, ge=1, le=MAX_WEIGHT, description="Its share, by the sum of all weights.")


class NewExperiment(BaseModel):
    """What to compare, and by what."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("", max_length=NAME_CHARS)
    program: str | None = Field(None, max_length=100, description="Either this, with versions as arms.")
    role: RoleName | None = Field(None, description="Or this, with deployments as arms.")
    arms: Annotated[list[NewArm], Field(min_length=2, max_length=MOST_ARMS)] = Field(
        description="The first is what the others are compared with.",
        examples=[[{"deployment": "gpt", "weight": 3}, {"deployment": "claude"}]],
    )
    by: By = Field(
        By.CHAT,
        description="Who always meets the same arm: `chat` (a run that belongs to none counts as one), or"
        " `user`, the person who started the run; runs that nobody started take no part then.",
    )
    metric: Metric = Field(
        Metric.FEEDBACK,
        description="What decides: `feedback` (scores of people), `success` (the run succeeded), `cost_usd`"
        " or `latency_ms` (of its model calls).",
    )
    largest: float | None = Field(
        None,
        gt=0,
        le=1e9,
        allow_inf_nan=False,
        description="For `cost_usd` and `latency_ms`: the bounds assume that no run has more. One that has"
        " counts as this much, so choose what no ordinary run reaches.",
    )
    alpha: float = Field(
        0.05, ge=0.001, le=0.2, description="The chance of a wrong winner, over all looks and all arms."
    )
    auto_stop: bool = Field(True, description="End it when it is decided. Nothing is promoted by itself.")

    @model_validator(mode="after")
    def _program_or_role(self) -> Self:
        if (self.program is None) == (self.role is None):
            raise ValueError("give either program or role")
        wanted, other = ("version", "deployment") if self.program is not None else ("deployment", "version")
        told = [getattr(arm, wanted) for arm in self.arms]
        if None in told or any(getattr(arm, other) is not None for arm in self.arms):
            raise ValueError(f"every arm of this needs a {wanted}, and no {other}")
        if len(set(told)) < len(told):
            raise ValueError(f"the same {wanted} stands in two arms")
        return self

    @model_validator(mode="after")
    def _largest_where_needed(self) -> Self:
        if self.metric.bounded == (self.largest is not None):
            needed = "only cost_usd and latency_ms take" if self.metric.bounded else f"{self.metric} needs"
            raise ValueError(f"{needed} `largest`")
        return self

    @property
    def kind(self) -> Kind:
        """What is compared."""
        return Kind.MODEL if self.program is None else Kind.PROGRAM

    @property
    def target(self) -> str:
        """The program's or the role's name."""
        return self.program or self.role or ""


class Arm(BaseModel):
    """One of those that are compared."""

    name: str = Field(description="`v3`, or the deployment's name.")
    weight: int
    version: int | None = None
    version_id: UUID | None = None
    fingerprint: str | None = Field(None, description="Of the version's signature.")
    deployment: str | None = None


class Experiment(BaseModel):
    """An experiment in the list."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    kind: Kind
    target: str = Field(description="The program's or the role's name.")
    arms: list[Arm] = Field(description="The first is what the others are compared with.")
    by: By
    metric: Metric
    largest: float | None
    alpha: float
    auto_stop: bool
    status: ExperimentStatus
    winner: str | None = Field(description="The arm that was better when it ended, or was promoted.")
    started_by: str
    started_at: datetime
    ended_at: datetime | None
    ended_why: str | None = Field(description="`decided`, or what the person said who ended it.")

    def arm(self, name: str) -> Arm | None:
        """Return an arm by its name."""
        return next((arm for arm in self.arms if arm.name == name), None)


class Measured(BaseModel):
    """A mean with its 95 % interval for one look; watch `comparisons` instead to decide."""

    n: int = Field(description="Subjects that have a value.")
    mean: float | None = None
    low: float | None = None
    high: float | None = None


class ArmResult(BaseModel):
    """How one arm did. Each subject counts once: with its first run that has a value."""

    name: str
    weight: int
    subjects: int = Field(description="Chats or users that met it.")
    runs: int
    feedback: Measured
    success: Measured
    cost_usd: Measured
    latency_ms: Measured = Field(description="Of the model calls of a run together.")
    unpriced: int = Field(description="Runs with calls of unknown cost; they have no `cost_usd`.")


class ArmComparison(BaseModel):
    """An arm less the first one, in the metric that decides, with bounds that hold at every look."""

    arm: str
    against: str
    n: int
    n_against: int
    difference: Interval
    alpha: float = Field(description="The chance that these bounds are ever wrong: alpha by comparisons.")
    better: bool | None = Field(description="Null while the bounds hold 0 between them.")


class ExperimentResult(Experiment):
    """An experiment with what was seen so far."""

    results: list[ArmResult]
    comparisons: list[ArmComparison]
    leader: str | None = Field(description="Who is proven to be better; null while nobody is.")
    full: bool = Field(description="As many runs as are looked at have taken part: more changes nothing.")
