"""Who executes runs now."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from database.columns import Json
from database.tables.table import Table, table_args


class WorkerRow(Table):
    """A worker process; `seen_at` is its heartbeat, by the database's clock."""

    __tablename__ = "workers"
    __table_args__ = table_args(Index(None, "seen_at"))

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    pool: Mapped[str] = mapped_column(String(32))
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    capacity: Mapped[int]
    running: Mapped[int]
    models: Mapped[Any | None] = mapped_column(Json)
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
