"""A run as callers see it: its status, its events, its model calls."""

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from contracts.budgets import CapUsd
from contracts.webhooks import WebhookUrl


class RunStatus(StrEnum):
    """`accepted → queued → running → (waiting ⇄ queued) → succeeded | failed | cancelled | dead`."""

    ACCEPTED = "accepted"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"

    @property
    def terminal(self) -> bool:
        """Whether nothing can change a run of this status any more, except a re-queue by hand."""
        return self in TERMINAL


# Why a run is stopped before its own end: somebody asked for it, or its deadline has passed.
CalledOff = Literal["cancelled", "overdue"]

TERMINAL = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.DEAD})


class Origin(StrEnum):
    """Who started a run."""

    API = "api"
    CLI = "cli"
    UI = "ui"
    SCHEDULE = "schedule"
    RUN = "run"


class OnBusy(StrEnum):
    """What to do when another run of the same concurrency key is under way."""

    ENQUEUE = "enqueue"
    REJECT = "reject"
    INTERRUPT = "interrupt"


PRIORITIES = range(1, 10)
USUAL_PRIORITY = 5


class RunOptions(BaseModel):
    """How a run is to be run, whatever it does; all of it may be left out."""

    model_config = ConfigDict(extra="forbid")

    concurrency_key: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Of all runs with this key one is under way at a time. Chat turns take their chat's.",
        examples=["customer:4711"],
    )
    on_busy: OnBusy = Field(
        OnBusy.ENQUEUE,
        description="When the key is taken: `enqueue` waits in line, `reject` answers 409 `key_busy`,"
        " `interrupt` cancels the runs that have the key or wait for it.",
    )
    priority: int = Field(
        USUAL_PRIORITY,
        ge=PRIORITIES.start,
        lt=PRIORITIES.stop,
        description="1 is taken first, 9 last, as in Prefect's work queues.",
    )
    start_at: AwareDatetime | None = Field(None, description="Do not begin before this time.")
    deadline_at: AwareDatetime | None = Field(
        None, description="Unless it has ended by then, the run fails with `deadline_exceeded`."
    )
    deadline_seconds: float | None = Field(
        None, gt=0, le=30 * 86400, allow_inf_nan=False, description="The same, counted from now."
    )
    budget_usd: CapUsd | None = Field(
        None, description="What it and its children may spend, in US dollars as text; more waits for a raise."
    )
    agent_id: UUID | None = Field(
        None,
        description="The agent in whose name it runs; its budgets count the run, and what that starts. In a"
        " turn of a chat it answers. It must be one that you may use; a chat's own agent needs no naming.",
    )

    webhook_url: WebhookUrl | None = Field(
        None,
        description="Is told by a signed POST when the run has ended (docs/runs.md). Needs the scope"
        " `webhooks:write`.",
        examples=["https://example.com/hooks/millrace"],
    )

    @model_validator(mode="after")
    def _one_deadline(self) -> Self:
        if self.deadline_at and self.deadline_seconds:
            raise ValueError("give deadline_at or deadline_seconds, not both")
        return self

    @model_validator(mode="after")
    def _key_for_policy(self) -> Self:
        if self.start_at and self.on_busy is not OnBusy.ENQUEUE:
            raise ValueError("nobody knows who has the key at start_at: leave on_busy at `enqueue`")
        return self

    def deadline(self, accepted_at: datetime) -> datetime | None:
        """Return when a run that was accepted then must have ended."""
        if self.deadline_seconds is None:
            return self.deadline_at
        return accepted_at + timedelta(seconds=self.deadline_seconds)


class WaitKind(StrEnum):
    """What a waiting run waits for."""

    APPROVAL = "approval"
    ANSWER = "answer"
    BUDGET = "budget"
    PROVIDER = "provider"
    PERSON = "person"
    CHILD = "child"


class Waiting(BaseModel):
    """Why a run waits, and what ends it."""

    kind: WaitKind
    reason: str = Field(
        description="In words, for people.", examples=["Deploy release 7? waits for approval"]
    )
    about: str | None = Field(None, max_length=200, description="The id of what is waited for.")
    wake_at: datetime | None = Field(None, description="When the run goes on by itself; none: never.")


class RunError(BaseModel):
    """Why a run did not succeed: never a stack trace, a prompt or a secret."""

    code: str
    message: str
    retryable: bool = False


class RunSummary(BaseModel):
    """A run in a list: without its parameters and its result, which can be large."""

    id: UUID
    pipeline: str
    status: RunStatus
    origin: Origin
    attempt: int = Field(description="How often a worker took it; 1 on the first. No number comes twice.")
    max_attempts: int = Field(
        description="The last attempt that it may have. One that its worker put back or that ended in a wait"
        " makes it one more."
    )
    waiting: Waiting | None = Field(
        None, description="What the run waits for, while its status is `waiting`."
    )
    error: RunError | None = None
    cost_usd: Decimal = Field(description="What its model calls have cost so far, in US dollars.")
    flow_run_id: UUID | None = Field(None, description="Its flow run in Prefect.")
    forked_from: UUID | None = Field(
        None, description="The run whose finished calls it began with; their cost is counted there alone."
    )
    agent_id: UUID | None = Field(None, description="The agent in whose name it runs.")
    agent_version: int | None = Field(
        None, description="The agent's version that it is bound to, in all of its attempts."
    )
    created_at: datetime
    priority: int = Field(USUAL_PRIORITY, description="1 is taken first, 9 last.")
    concurrency_key: str | None = Field(None, description="One run of this key is under way at a time.")
    start_at: datetime | None = Field(None, description="It was asked not to begin before.")
    deadline_at: datetime | None = Field(None, description="It must have ended by then.")
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Run(RunSummary):
    """One piece of work with one terminal state, whoever started it."""

    params: dict[str, Any]
    result: dict[str, Any] | None = None
    started_by: str | None = Field(
        None, description="The person, whatever key they used; none for schedules and the Prefect UI."
    )


class EventKind(StrEnum):
    """What an event tells. `data` of each kind is described in docs/events.md."""

    STATE = "state"
    STEP = "step"
    PROGRESS = "progress"
    TOKEN = "token"  # noqa: S105  a piece of text, not a credential
    COST = "cost"
    TRIAL = "trial"
    SCORE = "score"
    BUDGET = "budget"
    REPLAY = "replay"
    APPROVAL = "approval"
    TOOL = "tool"


class Event(BaseModel):
    """One line of a run's log; `seq` counts from 1 without gaps inside the run."""

    run_id: UUID
    seq: int
    kind: EventKind
    data: dict[str, Any]
    at: datetime


class CallStatus(StrEnum):
    """A call is `started` before any money is spent and finished after."""

    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Call(BaseModel):
    """One entry of the call ledger, without the prompt and the answer."""

    id: UUID
    run_id: UUID
    step: str
    copied_from: UUID | None = Field(
        None, description="The call of the forked run that paid for this answer; it costs nothing here."
    )
    n: int = Field(description="Which of the identical calls inside one attempt of the step; from 0.")
    kind: str
    role: str
    status: CallStatus
    fingerprint: str = Field(description="SHA-256 of the request's meaning, in hex.")
    deployment: str | None = Field(None, description="The configured deployment that answered.")
    model: str | None = Field(None, description="The model that answered, as the provider names it.")
    tries: int = Field(description="How often it was sent, replays not counted.")
    replays: int = Field(description="How often the ledger answered instead of the provider.")
    lost: int = Field(description="How often it was in flight when its process died.")
    first_attempt: int = Field(description="The attempt of the run that asked for it first.")
    asked_attempt: int = Field(
        description="The last attempt that asked for it; one before the run's own was left behind."
    )
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = Field(None, description="Exact, in US dollars; none while unknown.")
    latency_ms: float | None = None
    cached: bool | None = Field(None, description="A kept answer was used again: nobody was asked.")
    cache_hit: Literal["exact", "semantic"] | None = Field(
        None, description="It was kept for the same question, or for one that means the same."
    )
    saved_usd: Decimal | None = Field(None, description="What a kept answer cost when it was made.")
    error: RunError | None = None
    started_at: datetime
    finished_at: datetime | None = None
