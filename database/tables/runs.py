"""Runs and their event log."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from contracts.webhooks import URL_CHARS
from database.columns import Json
from database.tables.table import OWNER_CHARS, Table, table_args

WAITS_ON_CHARS = 200
KEY_CHARS = 200

# The claim names its index: read in this order, it locks no row that it does not take.
QUEUE = "ix_runs_queue"


class RunRow(Table):
    """One piece of work; also the queue that workers take it from, and the lease while one has it."""

    __tablename__ = "runs"
    __table_args__ = table_args(
        UniqueConstraint("owner", "idempotency_key"),
        UniqueConstraint("flow_run_id"),
        Index(QUEUE, "pool", "priority", "available_at", "id"),
        Index(None, "owner", "concurrency_key", "key_place"),
        Index(None, "owner", "id"),
        Index(None, "lease_until"),
        # An ended run is overdue no more: the search for overdue ones reads only those under way.
        Index(None, "finished_at", "deadline_at"),
        Index(None, "untold_at"),
        Index(None, "parent_id"),
        Index(None, "chat_id"),
        Index(None, "waits_on"),
        Index(None, "wake_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    # Whose budgets count the run besides its own and its owner's. Fixed when it is accepted; children take
    # chat, agent and project from their parent.
    parent_id: Mapped[UUID | None]
    forked_from: Mapped[UUID | None]
    chat_id: Mapped[UUID | None]
    agent_id: Mapped[UUID | None]
    # What the agent says in all attempts of the run, whatever becomes of the agent.
    agent_version_id: Mapped[UUID | None]
    agent_version: Mapped[int | None]
    project_id: Mapped[UUID | None]
    pipeline: Mapped[str] = mapped_column(String(64))
    pool: Mapped[str] = mapped_column(String(32))
    status: Mapped[str] = mapped_column(String(16))
    origin: Mapped[str] = mapped_column(String(16))
    # The person, whatever key they used; a child has its parent's. None: a schedule, the Prefect UI.
    started_by: Mapped[str | None] = mapped_column(String(OWNER_CHARS))
    # What it may do outside besides asking for it, from whoever asked for it; a child has its parent's.
    grants: Mapped[Any | None] = mapped_column(Json)
    params: Mapped[dict[str, Any]]
    params_hash: Mapped[str] = mapped_column(String(64))
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int] = mapped_column(default=3)
    flow_run_id: Mapped[UUID | None]
    last_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    cost_usd: Mapped[Decimal] = mapped_column(default=Decimal(0))
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[datetime | None]
    # Set while a worker may claim the run, and only then: the index on it is the queue, and a range
    # scan of it locks no row that is not claimed.
    available_at: Mapped[datetime | None]
    # Set while the run is parked, and only then: why as JSON, the id of what is waited for, the alarm.
    waiting: Mapped[dict[str, Any] | None]
    waits_on: Mapped[str | None] = mapped_column(String(WAITS_ON_CHARS))
    wake_at: Mapped[datetime | None]
    # When it first waited for a provider that has not answered it since.
    stalled_since: Mapped[datetime | None]
    priority: Mapped[int]
    concurrency_key: Mapped[str | None] = mapped_column(String(KEY_CHARS))
    # Set while it waits in line for its key, and only then; the lowest is next.
    key_place: Mapped[int | None] = mapped_column(BigInteger)
    cancel_requested_at: Mapped[datetime | None]
    # Set while Prefect has not heard of the last change, because no worker made it.
    untold_at: Mapped[datetime | None]
    webhook_url: Mapped[str | None] = mapped_column(String(URL_CHARS))
    start_at: Mapped[datetime | None]
    deadline_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    queued_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class SlotRow(Table):
    """The one run of a concurrency key that may be under way; the row is there while anyone has the key."""

    __tablename__ = "concurrency_slots"
    __table_args__ = table_args(UniqueConstraint("run_id"))

    owner: Mapped[str] = mapped_column(String(OWNER_CHARS), primary_key=True)
    key: Mapped[str] = mapped_column(String(KEY_CHARS), primary_key=True)
    run_id: Mapped[UUID]
    # How often the key was asked for; the places in line count it up.
    asked: Mapped[int] = mapped_column(BigInteger)


class EventRow(Table):
    """One line of a run's log.

    No foreign key: each insert would take a lock on the run's row that other writers wait for, and the
    fence has read that row already.
    """

    __tablename__ = "run_events"
    __table_args__ = table_args()

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(32))
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]
