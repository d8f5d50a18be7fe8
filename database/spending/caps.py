"""Caps as people change them: whoever waits for the money looks again, in the same transaction."""

from decimal import Decimal
from uuid import UUID

from contracts.budgets import Budget, BudgetPeriod, BudgetScope
from database.engine import WriteSession
from database.queue.parking import wake_waiting_for
from database.spending.budgets import delete_budget, set_budget


async def set_cap(
    session: WriteSession,
    owner: str,
    *,
    scope: BudgetScope,
    subject: UUID | None,
    period: BudgetPeriod,
    cap_usd: Decimal,
) -> tuple[Budget, bool]:
    """Set or change a budget, as `budgets.set_budget`, and wake the runs that wait for it."""
    # The budget's row is locked first: a run that is about to park waits for it and sees the new cap.
    budget, created = await set_budget(
        session, owner, scope=scope, subject=subject, period=period, cap_usd=cap_usd
    )
    await wake_waiting_for(session, str(budget.id))
    return budget, created


async def lift_cap(session: WriteSession, owner: str, budget_id: UUID) -> None:
    """Take a budget away and wake the runs that wait for it.

    Raises:
        NotFound: `budget_not_found`.
    """
    await delete_budget(session, owner, budget_id)
    await wake_waiting_for(session, str(budget_id))
