"""Budgets of an owner: set, read, raised and taken away. `reservations` keeps calls within them."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.budgets import ALERT_TENTHS, Budget, BudgetPeriod, BudgetScope
from database.engine import ReadSession, WriteSession
from database.pages import MAX_PAGE, Page, cursor_id, encode_cursor
from database.spending.subjects import owner_subject, spent_on
from database.statements import AnyRow, changed_rows, insert_or_existing
from database.tables import BudgetRow, core
from runtime.clock import utcnow
from runtime.errors import NotFound
from runtime.ids import new_id

_BUDGETS = core(BudgetRow)
BUDGET_COLUMNS = [_BUDGETS.c[name] for name in Budget.model_fields if name != "left_usd"]


async def set_budget(
    session: WriteSession,
    owner: str,
    *,
    scope: BudgetScope,
    subject: UUID | None,
    period: BudgetPeriod,
    cap_usd: Decimal,
) -> tuple[Budget, bool]:
    """Cap what is spent on a subject in a period, or change its cap; runs that wait for it look again.

    A new budget begins with what the ledger holds for its period. Calls that are under way at that moment
    are counted by those budgets that they began under.

    Args:
        session: of the transaction.
        owner: whose budget it is.
        scope: of what kind the subject is.
        subject: id of the run, chat, agent or project; none for the owner. That it exists is for the caller
            to see.
        period: when it begins anew.
        cap_usd: US dollars.

    Returns:
        The budget, and whether it is new.
    """
    at = utcnow()
    about = owner_subject(owner) if subject is None else subject
    values: dict[str, Any] = {
        "id": new_id(),
        "owner": owner,
        "scope": scope,
        "subject": about,
        "period": period,
        "cap_usd": cap_usd,
        "spent_usd": Decimal(0),
        "reserved_usd": Decimal(0),
        "resets_at": period.ends(at),
        "created_at": at,
        "updated_at": at,
    }
    found = await insert_or_existing(session, _BUDGETS, values, [*BUDGET_COLUMNS])
    if created := found.id == values["id"]:
        spent = await spent_on(session, owner, scope, about, period.began(at))
        change: dict[str, Any] = {"spent_usd": spent}
    else:
        # A higher cap has an 80 % of its own to tell of.
        told = as_budget(found, at).spent_usd * 10 >= cap_usd * ALERT_TENTHS
        change = {"cap_usd": cap_usd, "updated_at": at} | ({} if told else {"alerted_at": None})
    await session.execute(sa.update(_BUDGETS).where(_BUDGETS.c.id == found.id).values(change))
    return await get_budget(session, owner, found.id), created


async def get_budget(session: ReadSession, owner: str, budget_id: UUID) -> Budget:
    """Return one budget of the owner.

    Raises:
        NotFound: `budget_not_found`.
    """
    query = sa.select(*BUDGET_COLUMNS).where(_BUDGETS.c.id == budget_id, _BUDGETS.c.owner == owner)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise _not_found(budget_id)
    return as_budget(row)


async def list_budgets(
    session: ReadSession, owner: str, *, limit: int = 50, cursor: str | None = None
) -> Page[Budget]:
    """Return the owner's budgets, newest first.

    Raises:
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = sa.select(*BUDGET_COLUMNS).where(_BUDGETS.c.owner == owner)
    query = query.order_by(_BUDGETS.c.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(_BUDGETS.c.id < cursor_id(cursor))
    items = [as_budget(row) for row in await session.execute(query)]
    more = len(items) > limit
    return Page(items[:limit], encode_cursor(str(items[limit - 1].id)) if more else None)


async def delete_budget(session: WriteSession, owner: str, budget_id: UUID) -> None:
    """Take a budget away; runs that wait for it look again.

    Raises:
        NotFound: `budget_not_found`.
    """
    gone = sa.delete(_BUDGETS).where(_BUDGETS.c.id == budget_id, _BUDGETS.c.owner == owner)
    if not await changed_rows(session, gone):
        raise _not_found(budget_id)


async def too_small(
    session: ReadSession, ids: Sequence[UUID], usd: Decimal, *, hold: bool = False
) -> list[Budget]:
    """Return those of these budgets that have less than `usd` left; a budget that is gone has enough.

    With `hold` they stay as they are until the transaction ends.
    """
    query = sa.select(*BUDGET_COLUMNS).where(_BUDGETS.c.id.in_(ids)).order_by(_BUDGETS.c.id)
    if hold:
        query = query.with_for_update(read=True)
    found = [as_budget(row) for row in await session.execute(query)]
    return [each for each in found if each.spent_usd + each.reserved_usd + usd > each.cap_usd]


def as_budget(row: AnyRow, at: datetime | None = None) -> Budget:
    """Return the contract of a row with `BUDGET_COLUMNS`, as it stands at a time (by default now)."""
    at = at or utcnow()
    seen: dict[str, Any] = {column.name: getattr(row, column.name) for column in BUDGET_COLUMNS}
    period = BudgetPeriod(seen["period"])
    if seen["resets_at"] is not None and seen["resets_at"] <= at:
        seen |= {"spent_usd": Decimal(0), "alerted_at": None, "resets_at": period.ends(at)}
    if seen["scope"] == BudgetScope.OWNER:
        seen["subject"] = None
    left = max(seen["cap_usd"] - seen["spent_usd"] - seen["reserved_usd"], Decimal(0))
    return Budget.model_validate({**seen, "left_usd": left})


def _not_found(budget_id: UUID) -> NotFound:
    return NotFound(f"There is no budget {budget_id}.", "budget_not_found")
