"""The call ledger."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Double, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from database.tables.table import Table, table_args

STEP_CHARS = 200


class CallRow(Table):
    """One call that costs money or touches the world. No foreign key, for the reason of run_events."""

    __tablename__ = "calls"
    __table_args__ = table_args(UniqueConstraint("run_id", "step", "fingerprint", "n"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID]
    attempt: Mapped[int]
    step: Mapped[str] = mapped_column(String(STEP_CHARS))
    fingerprint: Mapped[str] = mapped_column(String(64))
    n: Mapped[int]
    kind: Mapped[str] = mapped_column(String(32))
    role: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    request: Mapped[dict[str, Any]]
    response: Mapped[dict[str, Any] | None]
    deployment: Mapped[str | None] = mapped_column(String(200))
    model: Mapped[str | None] = mapped_column(String(200))
    tries: Mapped[int] = mapped_column(default=1)
    replays: Mapped[int] = mapped_column(default=0)
    lost: Mapped[int] = mapped_column(default=0)
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    cost_usd: Mapped[Decimal | None]
    latency_ms: Mapped[float | None] = mapped_column(Double)
    error: Mapped[dict[str, Any] | None]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
