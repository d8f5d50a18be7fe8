"""Whose budgets count a run: its own and those of the runs above it, its chat, agent, project and owner."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.budgets import BudgetScope
from database.columns import Money
from database.engine import ReadSession
from database.tables import CallRow, RunRow, core
from runtime.ids import derived_id

_RUNS = core(RunRow)
_CALLS = core(CallRow)
_OWNERS = UUID("0198c0de-7a11-7000-8000-0e75b0d6e750")
_COLUMN_OF = {
    BudgetScope.CHAT: _RUNS.c.chat_id,
    BudgetScope.AGENT: _RUNS.c.agent_id,
    BudgetScope.PROJECT: _RUNS.c.project_id,
}


@dataclass(frozen=True, slots=True)
class Subjects:
    """The ids under which budgets can count a run; they do not change while it lives."""

    owner: str
    ids: tuple[UUID, ...]


def owner_subject(owner: str) -> UUID:
    """Return the id under which an owner's own budgets stand."""
    return derived_id(_OWNERS, owner)


async def subjects_of(session: ReadSession, run_id: UUID) -> Subjects:
    """Return the subjects of a run; one read, of as many rows as there are runs above it."""
    above = sa.select(_RUNS.c.id, _RUNS.c.parent_id).where(_RUNS.c.id == run_id).cte("above", recursive=True)
    above = above.union_all(sa.select(_RUNS.c.id, _RUNS.c.parent_id).where(_RUNS.c.id == above.c.parent_id))
    columns = (_RUNS.c.id, _RUNS.c.owner, _RUNS.c.chat_id, _RUNS.c.agent_id, _RUNS.c.project_id)
    rows = (await session.execute(sa.select(*columns).join(above, above.c.id == _RUNS.c.id))).all()
    owner: str = rows[0].owner
    found = {each for row in rows for each in (row.id, row.chat_id, row.agent_id, row.project_id) if each}
    return Subjects(owner, (*sorted(found), owner_subject(owner)))


async def spent_on(
    session: ReadSession, owner: str, scope: BudgetScope, subject: UUID, since: datetime | None
) -> Decimal:
    """Return what the ledger says was spent on a subject by calls that ended since a time, or ever."""
    total = sa.func.coalesce(sa.func.sum(_CALLS.c.cost_usd), sa.literal(0, Money()), type_=Money())
    query: sa.Select[Any] = (
        sa.select(total).join(_RUNS, _RUNS.c.id == _CALLS.c.run_id).where(_RUNS.c.owner == owner)
    )
    if scope is BudgetScope.RUN:
        below = sa.select(_RUNS.c.id).where(_RUNS.c.id == subject).cte("below", recursive=True)
        below = below.union_all(sa.select(_RUNS.c.id).where(_RUNS.c.parent_id == below.c.id))
        query = query.where(_RUNS.c.id.in_(sa.select(below.c.id)))
    elif scope is not BudgetScope.OWNER:
        query = query.where(_COLUMN_OF[scope] == subject)
    if since is not None:
        query = query.where(_CALLS.c.finished_at >= since)
    spent: Decimal = (await session.execute(query)).scalar_one()
    return spent
