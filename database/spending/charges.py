"""What calls have cost, counted in their budgets, and the alert when most of one is spent."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.budgets import Budget
from contracts.runs import EventKind
from database.engine import WriteSession
from database.queue.events import EventBatch, append_batch
from database.spending.budgets import BUDGET_COLUMNS, as_budget
from database.spending.money import ALERT, CHARGE, times
from database.statements import changed_rows
from database.tables import BudgetRow, core
from runtime.clock import utcnow

_BUDGETS = core(BudgetRow)


async def charge(
    session: WriteSession, key: Mapping[str, Any], cost: Decimal | None, ids: Sequence[UUID]
) -> list[Budget]:
    """Put the cost of an answered call in the place of its reservation.

    Args:
        session: of the transaction that has written the answer.
        key: the call's, as the ledger's statements take it, with its attempt.
        cost: in US dollars; none, when it is not known, counts what was reserved.
        ids: the budgets that hold the reservation.

    Returns:
        The budgets of which 80 % are spent now, told once a period; the run's log has an event for each.
    """
    at = utcnow()
    await session.execute(CHARGE, {**key, "ids": ids, "cost": cost, **times(at)})
    if not await changed_rows(session, ALERT, {"ids": ids, "at": at}):
        return []
    query = sa.select(*BUDGET_COLUMNS).where(_BUDGETS.c.id.in_(ids), _BUDGETS.c.alerted_at == at)
    alerts = [as_budget(row) for row in await session.execute(query)]
    told = [(EventKind.BUDGET, alert_data(each), at) for each in alerts]
    # Past the fence already, by the answer: one that comes after its run's end has its alert all the same.
    await append_batch(session, [EventBatch(key["given_run_id"], None, told)])
    return alerts


def alert_data(budget: Budget) -> dict[str, Any]:
    """Return what the event of an alert tells; money as text, because JSON numbers would round it."""
    shown = budget.model_dump(mode="json", include={"id", "scope", "subject", "period", "resets_at"})
    return {
        **shown,
        "cap_usd": format(budget.cap_usd, "f"),
        "spent_usd": format(budget.spent_usd, "f"),
        "left_usd": format(budget.left_usd, "f"),
    }
