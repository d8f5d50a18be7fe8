"""Money set aside for calls: before each, in the ledger's own transaction, under every budget at once.

A call's reservation is in two places that one transaction changes together: on the call (`reserved_usd`, with
the budgets that hold it in `reserved_for`) and in the sum `reserved_usd` of each of those budgets. It ends

- with the answer: the exact cost takes its place in `spent_usd` (the reservation itself, while
  no cost is known);
- with a failure: providers do not tell what they bill for one, so nothing is counted;
- when the next attempt asks the call again, whose process died while it was in flight: a new one replaces it;
- with the run, for calls that were in flight and are never asked again.

Until then it counts: it is the honest upper bound of what may have been billed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.calls import CallRequest
from database.engine import ReadSession, WriteSession
from database.errors import BudgetsChanged, OverBudget
from database.spending.money import GIVE_BACK, HOLDS_NOTHING, RELEASE, RESERVE, times
from database.spending.subjects import Subjects
from database.statements import AnyRow, changed_rows
from database.tables import BudgetRow, CallRow, core
from runtime.errors import MillraceError

_CALLS = core(CallRow)


@dataclass(frozen=True, slots=True)
class Within:
    """Within which budgets the calls of a run are made.

    Args:
        subjects: whose budgets count the run.
        budgets: which of theirs were known when it was last looked; `BudgetsChanged` tells of others.
    """

    subjects: Subjects
    budgets: tuple[UUID, ...] = ()


async def known_budgets(session: ReadSession, subjects: Subjects) -> tuple[UUID, ...]:
    """Return the budgets that count a run with these subjects, in the order of their ids."""
    query = sa.select(BudgetRow.id).where(
        BudgetRow.owner == subjects.owner, BudgetRow.subject.in_(subjects.ids)
    )
    return tuple(sorted((await session.execute(query)).scalars()))


async def set_aside(
    session: WriteSession, found: AnyRow, call: CallRequest, within: Within, *, fresh: bool
) -> None:
    """Reserve the most that a call can cost under every budget, or change nothing.

    Args:
        session: of the transaction that has written the call as started.
        found: the call's `id`, `reserved_usd` and `reserved_for`.
        call: what is asked.
        within: the run's budgets as they were last known.
        fresh: the call's row was made by this transaction, with `reserved_for` filled in.

    Raises:
        BudgetsChanged: there are other budgets than these; nothing may be written.
        OverBudget: one of them has too little left; nothing may be written.
        MillraceError: nobody can say what the call costs at most.
    """
    budgets = _ids(found.reserved_for) if fresh else await known_budgets(session, within.subjects)
    if set(budgets) != set(within.budgets):
        raise BudgetsChanged(budgets)
    if not fresh and found.reserved_for is not None:
        gone = {"ids": _ids(found.reserved_for), "usd": found.reserved_usd}
        await session.execute(RELEASE, gone)
    if budgets:
        if isinstance(call.most_usd, MillraceError):
            raise call.most_usd
        asked = {"ids": budgets, "usd": call.most_usd, **times()}
        if await changed_rows(session, RESERVE, asked) != len(budgets):
            raise OverBudget(budgets, call.most_usd)
    if not fresh:
        held = ",".join(map(str, budgets)) or None
        change = sa.update(_CALLS).where(_CALLS.c.id == found.id)
        known = None if isinstance(call.most_usd, MillraceError) else call.most_usd
        await session.execute(change.values(reserved_usd=known, reserved_for=held))


async def set_aside_together(
    session: WriteSession, started: Sequence[tuple[AnyRow, CallRequest, Within]]
) -> bool:
    """Reserve for several calls whose rows are new, in one statement for those under the same budgets.

    Returns:
        Whether all of it fits and was expected. If not, nothing may be written: each must go alone.
    """
    sums: dict[tuple[UUID, ...], Decimal] = {}
    for row, call, within in started:
        budgets = _ids(row.reserved_for)
        if set(budgets) != set(within.budgets):
            return False
        if budgets:
            if isinstance(call.most_usd, MillraceError):
                return False
            sums[budgets] = sums.get(budgets, Decimal(0)) + call.most_usd
    for budgets in sorted(sums):
        asked = {"ids": budgets, "usd": sums[budgets], **times()}
        if await changed_rows(session, RESERVE, asked) != len(budgets):
            return False
    return True


async def give_back(session: WriteSession, key: Mapping[str, Any], ids: Sequence[UUID]) -> None:
    """End the reservation of a call that failed, once.

    A failure can be said twice, when the first commit's answer was lost, and an answer of an earlier try can
    come after it.
    """
    await session.execute(GIVE_BACK, {**key, "ids": ids})
    await session.execute(HOLDS_NOTHING, key)


async def give_back_all(session: WriteSession, run_ids: Collection[UUID]) -> None:
    """End the reservations that runs leave behind at their end: of calls that were never answered."""
    query = (
        sa.select(_CALLS.c.id, _CALLS.c.reserved_usd, _CALLS.c.reserved_for)
        .where(_CALLS.c.run_id.in_(run_ids), _CALLS.c.reserved_for.is_not(None))
        .order_by(_CALLS.c.id)
        .with_for_update()
    )
    left = (await session.execute(query)).all()
    for row in left:
        await session.execute(RELEASE, {"ids": _ids(row.reserved_for), "usd": row.reserved_usd})
    if left:
        change = sa.update(_CALLS).where(_CALLS.c.id.in_([row.id for row in left]))
        await session.execute(change.values(reserved_for=None, reserved_usd=Decimal(0)))


def _ids(listed: str | None) -> tuple[UUID, ...]:
    return tuple(sorted(UUID(each) for each in listed.split(","))) if listed else ()
