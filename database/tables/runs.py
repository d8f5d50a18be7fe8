"""Runs and their event log."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from database.tables.table import OWNER_CHARS, Table, table_args


class RunRow(Table):
    """One piece of work; also the queue that workers take it from, and the lease while one has it."""

    __tablename__ = "runs"
    __table_args__ = table_args(
        UniqueConstraint("owner", "idempotency_key"),
        UniqueConstraint("flow_run_id"),
        Index(None, "pool", "available_at"),
        Index(None, "owner", "id"),
        Index(None, "lease_until"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    pipeline: Mapped[str] = mapped_column(String(64))
    pool: Mapped[str] = mapped_column(String(32))
    status: Mapped[str] = mapped_column(String(16))
    origin: Mapped[str] = mapped_column(String(16))
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
    priority: Mapped[int] = mapped_column(default=0)
    cancel_requested_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    queued_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


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
