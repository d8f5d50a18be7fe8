"""The call ledger."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Double, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from database.columns import LongText
from database.tables.blobs import HASH_CHARS
from database.tables.table import Table, table_args

STEP_CHARS = 200


class CallRow(Table):
    """One call that costs money or touches the world. No foreign key, for the reason of run_events."""

    __tablename__ = "calls"
    __table_args__ = table_args(UniqueConstraint("run_id", "step", "fingerprint", "n"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID]
    # The attempt that sent it last; that asked for it first; that asked for it last, replays included.
    attempt: Mapped[int]
    first_attempt: Mapped[int]
    asked_attempt: Mapped[int]
    step: Mapped[str] = mapped_column(String(STEP_CHARS))
    fingerprint: Mapped[str] = mapped_column(String(64))
    copied_from: Mapped[UUID | None]
    n: Mapped[int]
    kind: Mapped[str] = mapped_column(String(32))
    role: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    # Large ones stand in `blobs`, and here the hash of their root.
    request: Mapped[dict[str, Any] | None]
    request_hash: Mapped[str | None] = mapped_column(String(HASH_CHARS))
    response: Mapped[dict[str, Any] | None]
    response_hash: Mapped[str | None] = mapped_column(String(HASH_CHARS))
    deployment: Mapped[str | None] = mapped_column(String(200))
    model: Mapped[str | None] = mapped_column(String(200))
    tries: Mapped[int] = mapped_column(default=1)
    replays: Mapped[int] = mapped_column(default=0)
    lost: Mapped[int] = mapped_column(default=0)
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    cost_usd: Mapped[Decimal | None]
    # The most that it can cost, whatever becomes of it; none while nobody can say.
    most_usd: Mapped[Decimal | None]
    # The most that it can cost; with `reserved_for` (ids of budgets) it is set aside there at present.
    reserved_usd: Mapped[Decimal | None]
    reserved_for: Mapped[str | None] = mapped_column(LongText)
    latency_ms: Mapped[float | None] = mapped_column(Double)
    # It was answered by an answer that was kept, see cache_entries.
    cached: Mapped[bool | None]
    # In which way (`exact`, `semantic`), by which one, and what that one cost when it was made.
    cache_hit: Mapped[str | None] = mapped_column(String(16))
    cache_key: Mapped[str | None] = mapped_column(String(64))
    saved_usd: Mapped[Decimal | None]
    error: Mapped[dict[str, Any] | None]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
