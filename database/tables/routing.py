"""Routing that holds instead of the file's."""

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from database.columns import Json, LongText
from database.tables.table import Table, table_args


class RoutingOverrideRow(Table):
    """Who answers a role instead of those that providers.yaml names."""

    __tablename__ = "routing_overrides"
    __table_args__ = table_args()

    role: Mapped[str] = mapped_column(String(64), primary_key=True)
    ask: Mapped[Any] = mapped_column(Json)
    weights: Mapped[dict[str, Any]]
    source: Mapped[str] = mapped_column(String(16))
    about: Mapped[str | None] = mapped_column(String(64))
    set_by: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(LongText)
    set_at: Mapped[datetime]
