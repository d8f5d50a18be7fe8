"""Canaries: versions that answer a share of the runs, and what is decided about them."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Undecided(StrEnum):
    """What becomes of a canary about which its results say neither yes nor no when its time is over."""

    ROLLBACK = "rollback"
    PROMOTE = "promote"
    KEEP = "keep"


class CanaryPolicy(BaseModel):
    """When a canary is promoted, and when it is rolled back."""

    model_config = ConfigDict(extra="forbid")

    alpha: float = Field(
        0.05,
        gt=0,
        le=0.5,
        description="A canary that is as good as the active version is rolled back as worse with this"
        " probability at most, and one that is worse by more than a margin promoted with a quarter of it,"
        " however often they are compared.",
    )
    failures: float = Field(
        0.05, gt=0, lt=1, description="To be promoted, it must fail in less than so much more of the runs."
    )
    feedback: float = Field(
        0.15, gt=0, lt=1, description="Its mean feedback, 0 to 1, must be less than so much lower."
    )
    cost: float = Field(
        2.0,
        ge=1,
        le=8,
        allow_inf_nan=False,
        description="It may cost so many times as much as the active version: surely more is rolled back.",
    )
    latency: float = Field(
        2.0, ge=1, le=8, allow_inf_nan=False, description="Its model calls may take so many times as long."
    )
    fewest: int = Field(50, ge=1, le=5_000, description="It must have answered so many runs.")
    fewest_feedback: int = Field(
        20,
        ge=1,
        le=5_000,
        description="With less feedback on either version, feedback does not hold up a promotion.",
    )
    hours_at_least: float = Field(
        1.0, ge=0, le=8_760, allow_inf_nan=False, description="It is not promoted sooner."
    )
    hours_at_most: float = Field(
        168.0, gt=0, le=8_760, allow_inf_nan=False, description="After that, `undecided` decides."
    )
    undecided: Undecided = Field(
        Undecided.ROLLBACK,
        description="After `hours_at_most`. By default the version stays that is known.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> "CanaryPolicy":
        if self.hours_at_least > self.hours_at_most:
            raise ValueError("hours_at_least is more than hours_at_most")
        return self


class Measure(StrEnum):
    """What is watched. Failures: shares of the runs; feedback: means; cost and latency: ratios."""

    FAILURES = "failures"
    FEEDBACK = "feedback"
    COST = "cost"
    LATENCY = "latency"


class Verdict(StrEnum):
    """What a measure says: surely `worse`, surely no worse than allowed (`fine`), neither (`open`).

    `silent`: there is nothing, or too little, to compare.
    """

    WORSE = "worse"
    FINE = "fine"
    OPEN = "open"
    SILENT = "silent"


class Measured(BaseModel):
    """One measure of both versions. Bounds hold however often somebody looks (docs/canary.md)."""

    measure: Measure
    canary: float | None = Field(
        description="Share of failures, mean feedback, or typical (geometric mean) US dollars or seconds."
    )
    active: float | None
    canary_n: int = Field(description="Results that count; a chat has three of each measure at most.")
    active_n: int
    difference: float = Field(
        description="Canary less active for failures and feedback; canary by active for cost and latency."
    )
    low: float = Field(description="The difference is surely above this (confidence 1 - alpha / 2).")
    high: float = Field(description="The difference is surely below this.")
    allowed: float = Field(description="How far the difference may go in the bad direction.")
    verdict: Verdict


class Decision(StrEnum):
    """What is done about a canary."""

    WAIT = "wait"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


class Look(BaseModel):
    """One look at the results so far."""

    number: int = Field(0, description="Counts from 1.")
    at: datetime | None = None
    answers: int = Field(description="Runs that the canary has answered.")
    active_answers: int = Field(description="Runs that the active version has answered meanwhile.")
    opinions: int = Field(0, description="Answers of both versions that somebody has judged.")
    measures: list[Measured]
    decision: Decision
    why: str


class CanaryStatus(StrEnum):
    """`watched` until it is `promoted` or `rolled_back`, by itself or by hand.

    `restarted`: another version became active, and the comparison begins anew against that one.
    """

    WATCHED = "watched"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    RESTARTED = "restarted"


class Canary(BaseModel):
    """A canary with what was seen and decided."""

    id: UUID
    program: str
    version: int
    against: int = Field(description="The version that was active when it began.")
    percent: float = Field(description="Of a hundred chats, or of runs that belong to none.")
    policy: CanaryPolicy
    status: CanaryStatus
    started_at: datetime
    started_by: str
    looks: int = Field(description="How often its results were compared.")
    ended_at: datetime | None = None
    ended_by: str | None = Field(None, description="A person, or `millrace` for what happened by itself.")
    reason: str | None = Field(None, description="Why it ended.")
    last: Look | None = Field(None, description="The last look.")
