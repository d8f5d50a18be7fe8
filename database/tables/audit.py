"""The audit log."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from database.tables.table import OWNER_CHARS, Table, table_args

ACTION_CHARS = 64
TARGET_CHARS = 128


class AuditRow(Table):
    """Who did what to what. Rows are only ever added; ids sort by time."""

    __tablename__ = "audit_log"
    __table_args__ = table_args(Index(None, "actor", "id"), Index(None, "target", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(OWNER_CHARS))
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    action: Mapped[str] = mapped_column(String(ACTION_CHARS))
    target: Mapped[str] = mapped_column(String(TARGET_CHARS))
    detail: Mapped[dict[str, Any]]
    address: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str | None] = mapped_column(String(128))
