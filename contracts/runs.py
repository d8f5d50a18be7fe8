"""A run as callers see it: its status, its events, its model calls."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field


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


TERMINAL = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.DEAD})


class Origin(StrEnum):
    """Who started a run."""

    API = "api"
    CLI = "cli"
    UI = "ui"
    SCHEDULE = "schedule"


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
    attempt: int = Field(description="How often execution began; 1 on the first.")
    error: RunError | None = None
    cost_usd: Decimal = Field(description="What its model calls have cost so far, in US dollars.")
    flow_run_id: UUID | None = Field(None, description="Its flow run in Prefect.")
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Run(RunSummary):
    """One piece of work with one terminal state, whoever started it."""

    params: dict[str, Any]
    result: dict[str, Any] | None = None


class EventKind(StrEnum):
    """What an event tells. `data` of each kind is described in docs/events.md."""

    STATE = "state"
    STEP = "step"
    PROGRESS = "progress"
    TOKEN = "token"  # noqa: S105  a piece of text, not a credential
    COST = "cost"


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
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = Field(None, description="Exact, in US dollars; none while unknown.")
    latency_ms: float | None = None
    error: RunError | None = None
    started_at: datetime
    finished_at: datetime | None = None
