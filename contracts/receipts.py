"""What became of a run and what it cost, summed up from its ledger."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, Field

from contracts.approvals import ApprovalSummary
from contracts.runs import RunStatus


class AttemptEnd(StrEnum):
    """How an attempt of a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    WAITING = "waiting"
    WORKER_LOST = "worker_lost"
    GIVEN_BACK = "given_back"


class Attempt(BaseModel):
    """One execution of a run, from the moment a worker took it."""

    number: int = Field(description="From 1.")
    worker: str | None = Field(None, description="Who executed it.")
    claimed_at: datetime
    began_at: datetime | None = Field(None, description="When the first line of the flow ran.")
    ended_at: datetime | None = None
    ended: AttemptEnd | None = Field(
        None,
        description="`waiting`: it left its worker to wait for somebody or something. `worker_lost`: its"
        " worker stopped answering. `given_back`: its worker was shut down. None while it is under way.",
    )
    waited_for: str | None = Field(None, description="For what, in words, after `waiting`.")


class CallCounts(BaseModel):
    """Calls of a run: what was sent, and what became of it."""

    sent: int = Field(description="How often a call was sent to a model or tool, all tries counted.")
    answered: int = Field(description="Calls with an answer on record.")
    failed: int = Field(description="Calls whose last try ended without an answer.")
    in_flight: int = Field(description="Calls that are under way now.")
    copied: int = Field(
        description="Answers of the forked run that this one used; they were paid there, and here they count"
        " under `replayed` only."
    )
    replayed: int = Field(description="How often the ledger answered instead, which costs nothing.")
    lost: int = Field(
        description="Tries that were in flight when their process or their step ended. Nobody knows whether"
        " they were billed."
    )
    changed: int = Field(
        description="New calls of steps that had asked for something else in an earlier attempt: made and"
        " paid for."
    )
    left_behind: int = Field(
        description="Finished calls of earlier attempts, or of the forked run, that the last attempt did not"
        " ask for."
    )


class MoneyCounts(BaseModel):
    """US dollars, exact, as the ledger has them."""

    spent_usd: Decimal = Field(description="What the answers on record have cost.")
    saved_usd: Decimal = Field(description="What replayed and copied answers would have cost.")
    lost_at_most_usd: Decimal | None = Field(
        description="The most that lost tries may have been billed, not in `spent_usd`; none when that is"
        " unknown for one of them."
    )
    reserved_usd: Decimal = Field(
        description="What is still set aside under budgets for calls that are under way or were lost."
    )
    unpriced: int = Field(
        description="Answers whose cost is unknown. They are in none of the sums: the truth may be higher."
    )
    children_usd: Decimal = Field(
        Decimal(0), description="What the runs below this one have cost, not in `spent_usd`."
    )


class ChildRun(BaseModel):
    """A run that this one has started; it has a receipt of its own."""

    run_id: UUID
    pipeline: str
    status: RunStatus
    spent_usd: Decimal = Field(description="What it and the runs below it have cost.")


class Receipt(BaseModel):
    """A run's bill. Before the run has ended, it tells how things stand."""

    run_id: UUID
    pipeline: str
    status: RunStatus
    created_at: datetime
    finished_at: datetime | None
    attempts: list[Attempt]
    calls: CallCounts
    money: MoneyCounts
    seconds_saved: float = Field(description="How long the replayed calls took when they were made.")
    approvals: list[ApprovalSummary] = Field(
        description="What people were asked, in order, and who decided what."
    )
    children: list[ChildRun] = Field(
        default_factory=list, description="The runs that it has started, in order."
    )
    changed_steps: list[str] = Field(
        description="The steps with calls that changed or were left behind, at most 20."
    )
