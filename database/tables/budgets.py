"""Budgets."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from database.tables.table import OWNER_CHARS, Table, table_args


class BudgetRow(Table):
    """A cap for one subject and period, with what is spent and what is set aside for calls under way.

    Both sums stand in the row, so that one statement can look and reserve. They belong to the period that
    ends at `resets_at`; whoever finds it passed begins the next one.
    """

    __tablename__ = "budgets"
    __table_args__ = table_args(
        UniqueConstraint("owner", "subject", "scope", "period"), Index(None, "owner", "id")
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    scope: Mapped[str] = mapped_column(String(16))
    subject: Mapped[UUID]
    period: Mapped[str] = mapped_column(String(8))
    cap_usd: Mapped[Decimal]
    spent_usd: Mapped[Decimal] = mapped_column(default=Decimal(0))
    reserved_usd: Mapped[Decimal] = mapped_column(default=Decimal(0))
    resets_at: Mapped[datetime | None]
    alerted_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
