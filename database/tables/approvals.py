"""Questions of runs to people."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from database.columns import Json, LongText
from database.tables.table import OWNER_CHARS, Table, table_args

KEY_CHARS = 255


class ApprovalRow(Table):
    """One question: asked once for each thing (`digest`) that a place in a run asks about."""

    __tablename__ = "approvals"
    __table_args__ = table_args(
        UniqueConstraint("run_id", "step", "digest"),
        Index(None, "owner", "status", "id"),
        Index(None, "owner", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    run_id: Mapped[UUID]
    asking: Mapped[str] = mapped_column(String(16))
    step: Mapped[str] = mapped_column(String(KEY_CHARS))
    title: Mapped[str] = mapped_column(LongText)
    what: Mapped[Any] = mapped_column(Json)
    digest: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    # Who approves needs this scope too, and is none of these persons.
    needs_scope: Mapped[str | None] = mapped_column(String(64))
    not_by: Mapped[Any | None] = mapped_column(Json)
    expires_at: Mapped[datetime | None]
    result: Mapped[Any | None] = mapped_column(Json)
    comment: Mapped[str | None] = mapped_column(LongText)
    decided_by: Mapped[str | None] = mapped_column(String(OWNER_CHARS))
    decided_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
