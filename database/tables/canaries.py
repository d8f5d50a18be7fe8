"""Canaries, and each look at their results."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Double, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from database.columns import LongText
from database.tables.programs import PROGRAM_CHARS
from database.tables.table import OWNER_CHARS, Table, table_args


class CanaryRow(Table):
    """A version that answers a share of the runs, from its beginning to what was decided about it."""

    __tablename__ = "canaries"
    __table_args__ = table_args(Index(None, "owner", "program", "id"), Index(None, "due_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    program: Mapped[str] = mapped_column(String(PROGRAM_CHARS))
    version_id: Mapped[UUID]
    against_id: Mapped[UUID]
    percent: Mapped[float] = mapped_column(Double)
    policy: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(String(16))
    started_by: Mapped[str] = mapped_column(String(200))
    started_at: Mapped[datetime]
    # When somebody should look next; whoever moves it on is the one who looks. None once it has ended.
    due_at: Mapped[datetime | None]
    looks: Mapped[int]
    ended_by: Mapped[str | None] = mapped_column(String(200))
    ended_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(LongText)


class CanaryLookRow(Table):
    """What one look at a canary's results found; rows are only ever added."""

    __tablename__ = "canary_looks"
    __table_args__ = table_args()

    canary_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    found: Mapped[dict[str, Any]]
    at: Mapped[datetime]
