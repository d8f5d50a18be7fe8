"""Budgets: how much may be spent on something in a period, and how much of it is gone."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

# The part of a cap at which its alert is told, in tenths: exact in every database.
ALERT_TENTHS = 8

# As the ledger keeps money: ten decimals, up to 922 million.
CapUsd = Annotated[
    Decimal,
    Field(
        ge=0,
        max_digits=18,
        decimal_places=10,
        description="US dollars, exact: send it as text.",
        examples=["5.00"],
    ),
]


class BudgetScope(StrEnum):
    """Whose calls a budget counts. `run` counts the run's children as well."""

    RUN = "run"
    CHAT = "chat"
    AGENT = "agent"
    PROJECT = "project"
    OWNER = "owner"


class BudgetPeriod(StrEnum):
    """When a budget begins anew, in UTC: `none` never, a week on Monday."""

    NONE = "none"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def began(self, at: datetime) -> datetime | None:
        """Return when the period around `at` began; none when there is only one."""
        day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        match self:
            case BudgetPeriod.DAY:
                return day
            case BudgetPeriod.WEEK:
                return day - timedelta(days=day.weekday())
            case BudgetPeriod.MONTH:
                return day.replace(day=1)
            case _:
                return None

    def ends(self, at: datetime) -> datetime | None:
        """Return when the period around `at` ends, which is when the next one begins; none: never."""
        began = self.began(at)
        if began is None:
            return None
        if self is BudgetPeriod.MONTH:
            return (began + timedelta(days=31)).replace(day=1)
        return began + timedelta(days=7 if self is BudgetPeriod.WEEK else 1)


class Budget(BaseModel):
    """A cap and where it stands."""

    id: UUID
    scope: BudgetScope
    subject: UUID | None = Field(
        description="Id of the run, chat, agent or project; null for the scope `owner`, which is you."
    )
    period: BudgetPeriod
    cap_usd: Decimal = Field(description="In US dollars, as all amounts here.")
    spent_usd: Decimal = Field(description="What calls that ended in this period have cost.")
    reserved_usd: Decimal = Field(description="The most that the calls under way can cost.")
    left_usd: Decimal = Field(description="What a further call may cost at most; 0 when the cap is reached.")
    resets_at: datetime | None = Field(description="When the next period begins; null for `none`.")
    alerted_at: datetime | None = Field(description="When 80 % were spent, in this period; null: not yet.")
    created_at: datetime
    updated_at: datetime
