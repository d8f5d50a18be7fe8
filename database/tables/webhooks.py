"""Messages about ended runs that other servers are to get."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from contracts.webhooks import URL_CHARS
from database.columns import Json
from database.tables.table import OWNER_CHARS, Table, table_args


class WebhookRow(Table):
    """One message, written by the transaction that ended its run."""

    __tablename__ = "webhooks"
    __table_args__ = table_args(Index(None, "next_try_at"), Index(None, "run_id", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID]
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    url: Mapped[str] = mapped_column(String(URL_CHARS))
    body: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(String(16))
    # Set while a try is due; a worker that takes it moves it on, so that no other one takes it too.
    next_try_at: Mapped[datetime | None]
    deliveries: Mapped[Any] = mapped_column(Json)
    created_at: Mapped[datetime]
