"""The receipt of a run: sums over its rows in the ledger, and the attempts in its log."""

from collections.abc import Iterable
from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa

from contracts.approvals import ApprovalSummary
from contracts.calls import TOOL_CALL
from contracts.receipts import CallCounts, ChildRun, MoneyCounts, Receipt
from contracts.runs import CallStatus, Run, RunStatus
from database.columns import short
from database.engine import ReadSession
from database.journal.ledger import CALLS, RUNS
from database.journal.replays import FITTING, fit
from database.pages import MAX_PAGE
from database.queue.approvals import list_approvals
from database.queue.attempts import attempts_of
from database.queue.runs import get_run
from database.statements import AnyRow, AnySelect, one_snapshot

_COUNTED = (
    *(*FITTING, "kind", "copied_from", "tries", "replays", "lost", "latency_ms"),
    *("cost_usd", "most_usd", "reserved_usd", "reserved_for"),
)


async def receipt_of(session: ReadSession, owner: str, run_id: UUID) -> Receipt:
    """Return the receipt of the owner's run, all of it as of one moment.

    Raises:
        NotFound: `run_not_found`.
    """
    await one_snapshot(session)
    run = await get_run(session, owner, run_id)
    rows = (await session.execute(_lines(run_id))).all()
    children = await _children(session, owner, run_id)
    replay = fit(rows, run.attempt, to_the_end=run.status is RunStatus.SUCCEEDED)
    finished = [row for row in rows if row.status == CallStatus.SUCCEEDED]
    answered = [row for row in finished if row.copied_from is None]
    return Receipt(
        run_id=run.id,
        pipeline=run.pipeline,
        status=run.status,
        created_at=run.created_at,
        finished_at=run.finished_at,
        attempts=await attempts_of(session, run_id),
        calls=CallCounts(
            sent=sum(row.tries for row in rows),
            answered=len(answered),
            failed=sum(row.status == CallStatus.FAILED for row in rows),
            in_flight=sum(_in_flight(row, run) for row in rows),
            copied=sum(row.copied_from is not None and row.replays > 0 for row in finished),
            replayed=sum(row.replays for row in rows),
            lost=sum(_lost(row, run) for row in rows),
            changed=replay.changed,
            left_behind=replay.left_behind,
        ),
        money=MoneyCounts(
            spent_usd=_sum(row.cost_usd for row in answered),
            saved_usd=_sum(row.price * row.replays for row in finished if row.price is not None),
            lost_at_most_usd=_most([(row.most_usd, _lost(row, run)) for row in rows]),
            reserved_usd=_sum(row.reserved_usd for row in rows if row.reserved_for is not None),
            # A call to the world has no price of ours.
            unpriced=sum(row.cost_usd is None and row.kind != TOOL_CALL for row in answered),
            children_usd=_sum(child.spent_usd for child in children),
        ),
        seconds_saved=round(sum((row.latency_ms or 0) * row.replays for row in finished) / 1000, 3),
        approvals=await _asked(session, owner, run_id),
        children=children,
        changed_steps=replay.steps,
    )


async def _asked(session: ReadSession, owner: str, run_id: UUID) -> list[ApprovalSummary]:
    """Return all that the run has asked people, in order."""
    found: list[ApprovalSummary] = []
    cursor: str | None = None
    while True:
        page = await list_approvals(session, owner, limit=MAX_PAGE, cursor=cursor, run_id=run_id)
        found += page.items
        if (cursor := page.next_cursor) is None:
            return found[::-1]


async def _children(session: ReadSession, owner: str, run_id: UUID) -> list[ChildRun]:
    """Return the runs that a run has started, each with what its whole branch has cost by the ledger."""
    mine = sa.select(RUNS.c.id, RUNS.c.id.label("top")).where(
        RUNS.c.parent_id == run_id, RUNS.c.owner == owner
    )
    below = mine.cte("below", recursive=True)
    below = below.union_all(sa.select(RUNS.c.id, below.c.top).where(RUNS.c.parent_id == below.c.id))
    costs = sa.select(below.c.top, sa.func.sum(CALLS.c.cost_usd).label("usd"))
    costs = costs.join(CALLS, CALLS.c.run_id == below.c.id).group_by(below.c.top)
    spent = {row.top: row.usd for row in await session.execute(costs)}
    query = sa.select(RUNS.c.id, RUNS.c.pipeline, RUNS.c.status).order_by(RUNS.c.id)
    rows = await session.execute(query.where(RUNS.c.parent_id == run_id, RUNS.c.owner == owner))
    return [
        ChildRun(run_id=row.id, pipeline=row.pipeline, status=row.status, spent_usd=_sum([spent.get(row.id)]))
        for row in rows
    ]


def _lines(run_id: UUID) -> AnySelect:
    """Return the query for the run's calls, each with the price of its answer, whoever paid it."""
    paid = CALLS.alias("paid")
    price = sa.case((CALLS.c.copied_from.is_(None), CALLS.c.cost_usd), else_=paid.c.cost_usd).label("price")
    columns = (*(CALLS.c[name] for name in _COUNTED), price)
    query = sa.select(*columns).join_from(CALLS, paid, paid.c.id == CALLS.c.copied_from, isouter=True)
    return query.where(CALLS.c.run_id == run_id)


def _in_flight(row: AnyRow, run: Run) -> bool:
    """Return whether a call is under way in the attempt that executes its run."""
    return bool(
        row.status == CallStatus.STARTED and run.status is RunStatus.RUNNING and row.attempt == run.attempt
    )


def _lost(row: AnyRow, run: Run) -> int:
    """Return how many tries of a call nobody heard the end of."""
    never_ended = row.status == CallStatus.STARTED and not _in_flight(row, run)
    return int(row.lost) + never_ended


def _most(lost: Iterable[tuple[Decimal | None, int]]) -> Decimal | None:
    """Return the most that lost tries may have been billed; none when that is unknown for one of them."""
    at_most = [None if most is None else most * times for most, times in lost if times]
    return None if None in at_most else _sum(at_most)


def _sum(dollars: Iterable[Decimal | None]) -> Decimal:
    return short(sum((each for each in dollars if each is not None), Decimal(0)))
