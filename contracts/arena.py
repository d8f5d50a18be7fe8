"""The arena: models and versions answer the same tasks, and are compared two by two without names."""

import hashlib
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import combinations
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from contracts.budgets import CapUsd
from contracts.routing import DeploymentName, RoleName
from contracts.runs import RunError

MAX_INPUT_CHARS = 100_000
MOST_MATCHES = 10_000
NAME_CHARS = 200
TaskKind = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_INPUT_CHARS)]


class ArenaTask(BaseModel):
    """Something to be answered."""

    model_config = ConfigDict(extra="forbid")

    input: Text | dict[str, Any] = Field(
        description="What is asked: a text, or the inputs of a program by their names.",
        examples=["What is the capital of France?"],
    )
    reference: str | None = Field(
        None, min_length=1, max_length=MAX_INPUT_CHARS, description="A good answer, for whoever judges."
    )
    kind: TaskKind = Field("general", description="Ratings are kept for each kind of task.")
    metadata: dict[str, str | int | float | bool] = Field(default_factory=dict, max_length=32)


class Contestant(BaseModel):
    """Who answers: a deployment, a version of a program, or a version asked of one deployment."""

    model_config = ConfigDict(extra="forbid")

    deployment: DeploymentName | None = Field(None, description="Asked alone: nobody stands in for it.")
    program: str | None = Field(None, min_length=1, max_length=100)
    version: int | None = Field(None, ge=1, le=2**31 - 1)

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if self.deployment is None and self.program is None:
            raise ValueError("name a deployment, or a program and its version")
        if (self.program is None) != (self.version is None):
            raise ValueError("a program and its version belong together")
        return self

    @property
    def name(self) -> str:
        """What it is called in ratings: `gpt`, `support.sort@3`, or `support.sort@3/gpt`."""
        parts = [] if self.program is None else [f"{self.program}@{self.version}"]
        return "/".join([*parts, *([self.deployment] if self.deployment else [])])


class ArenaParams(BaseModel):
    """Tasks, and who answers them."""

    model_config = ConfigDict(extra="forbid")

    tasks: list[ArenaTask] = Field(min_length=1, max_length=500)
    contestants: list[Contestant] = Field(min_length=2, max_length=16)
    role: RoleName = Field("chat", description="In whose name deployments are asked.")
    judge: bool = Field(True, description="Let the role `judge` compare, in both orders; people may anyway.")
    matches_per_task: int | None = Field(
        None, ge=1, le=120, description="How many pairs of a task are compared; all, when it is not said."
    )
    at_once: int = Field(8, ge=1, le=64, description="How many answers are asked for at the same time.")
    cap_usd: CapUsd | None = Field(None, description="No call is made that could cost more in all.")

    @model_validator(mode="after")
    def _playable(self) -> Self:
        names = [one.name for one in self.contestants]
        if len(set(names)) < len(names):
            raise ValueError("the same contestant stands there twice")
        pairs = len(names) * (len(names) - 1) // 2
        if (count := len(self.tasks) * min(pairs, self.matches_per_task or pairs)) > MOST_MATCHES:
            raise ValueError(
                f"these would be {count} matches, at most {MOST_MATCHES} are played: set matches_per_task"
            )
        return self


class Choice(StrEnum):
    """Who of two is better, as they were shown."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"


class Verdict(StrEnum):
    """Who of a match is better, as it is stored."""

    ONE = "one"
    OTHER = "other"
    TIE = "tie"


class Standing(BaseModel):
    """How one contestant stands."""

    contestant: str
    points: float = Field(description="1000 is the mean of all; 400 more are odds of ten to one.")
    low: float = Field(description="Of the 95 % interval.")
    high: float
    wins: float = Field(description="Matches; where opinions on one differ, their mean.")
    losses: float
    ties: float
    answers: int = 0
    failures: int = Field(0, description="Tasks that it did not answer; it loses those matches.")
    cost_usd: Decimal | None = Field(None, description="Mean of its answers whose price is known.")
    latency_ms: float | None = Field(None, description="Mean of its answers.")


class Leaderboard(BaseModel):
    """All contestants, the strongest first."""

    kind: str | None = Field(description="Of tasks; null: all kinds together.")
    by: Literal["all", "judge", "people"]
    matches: int = Field(description="How many were played.")
    compared: int = Field(description="How often somebody said who is better: judges and people.")
    kinds: list[str] = Field(description="Kinds of tasks that there are.")
    items: list[Standing]


class ArenaResult(BaseModel):
    """What one run of the arena came to; `GET /arena/leaderboard` has the ratings of all runs."""

    tasks: int
    answers: int
    failures: int
    matches: int
    judged: int = Field(description="Matches with a verdict: of the judge, or because only one answered.")
    ties: int
    inconsistent: int = Field(description="Ties because the judge changed its mind with the order.")
    standings: list[Standing] = Field(description="By this run's matches alone.")
    models: list[str]


class BlindMatch(BaseModel):
    """Two answers without names. The order is the voter's own, and says nothing."""

    id: UUID
    kind: str
    input: Any
    reference: str | None
    first: str
    second: str


class Side(BaseModel):
    """Who gave an answer, and what it took."""

    contestant: str
    cost_usd: Decimal | None
    latency_ms: float | None


class Revealed(BaseModel):
    """What a voter sees once the vote is counted."""

    match_id: UUID
    choice: Choice
    first: Side
    second: Side
    judge: Choice | None = Field(description="What the judge said, in the voter's order; null: nothing yet.")


class Vote(BaseModel):
    """What a person thinks."""

    model_config = ConfigDict(extra="forbid")

    choice: Choice


class Match(BaseModel):
    """A match in the list. Names, answers and verdict are shown to those who have voted on it."""

    id: UUID
    run_id: UUID
    kind: str
    created_at: datetime
    votes: int
    voted: bool = Field(description="The caller has.")
    one: Side | None = None
    other: Side | None = None
    verdict: Verdict | None = None
    why: Literal["judge", "failure", "equal"] | None = None
    consistent: bool | None = None


class Said(BaseModel):
    """What a contestant made of a task: its answer, or why there is none."""

    answer: str | None = None
    error: RunError | None = None
    cost_usd: Decimal | None = None
    latency_ms: float | None = None


def agreed(there: Choice, back: Choice) -> tuple[Verdict, bool]:
    """Return who is better by a judge that was asked in both orders, and whether it kept to its opinion.

    Only who is preferred both times wins; anything else is a tie (Zheng et al., Judging LLM-as-a-Judge,
    NeurIPS 2023, section 3.4: the conservative way).

    Args:
        there: with the one answer first.
        back: with the other answer first.
    """
    if (there, back) == (Choice.FIRST, Choice.SECOND):
        return Verdict.ONE, True
    if (there, back) == (Choice.SECOND, Choice.FIRST):
        return Verdict.OTHER, True
    return Verdict.TIE, there is back is Choice.TIE


def pairs_of(names: list[str], mark: str, most: int | None) -> list[tuple[str, str]]:
    """Return the pairs that are compared on a task: all, or as many as wanted, by chance that repeats.

    Args:
        names: of the contestants.
        mark: of the task; another one gives other pairs.
        most: how many pairs; none takes all.
    """
    pairs = list(combinations(names, 2))
    if most is None or most >= len(pairs):
        return pairs
    return sorted(pairs, key=lambda pair: hashlib.sha256(f"{mark}:{pair}".encode()).hexdigest())[:most]


def turned(match_id: UUID, voter: str) -> bool:
    """Return whether a voter sees the other answer first: by chance, and the same at every look."""
    return hashlib.sha256(f"{match_id}:{voter}".encode()).digest()[0] % 2 == 1
