"""Runs that changed without a worker: what Prefect was not told of, and what the clock ends."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from contracts.runs import RunError, RunStatus, Waiting
from database.clock import now
from database.engine import ReadSession, WriteSession
from database.queue.endings import ended
from database.queue.events import insert_states
from database.tables import RunRow, core

_RUNS = core(RunRow)
_MOST_AT_ONCE = 100

OVERDUE = RunError(code="deadline_exceeded", message="Its deadline passed before it had ended.")


@dataclass(frozen=True, slots=True)
class Untold:
    """A change of a run that Prefect has not heard of."""

    run_id: UUID
    flow_run_id: UUID
    status: RunStatus
    since: datetime
    waiting: Waiting | None = None
    in_line_for: str | None = None


async def untold_changes(session: ReadSession) -> list[Untold]:
    """Return what Prefect must be told, oldest first, at most 100 at once."""
    query = (
        sa.select(_RUNS.c.id, _RUNS.c.flow_run_id, _RUNS.c.status, _RUNS.c.untold_at, _RUNS.c.waiting)
        .add_columns(sa.case((_RUNS.c.key_place.is_not(None), _RUNS.c.concurrency_key)).label("in_line_for"))
        .where(_RUNS.c.untold_at.is_not(None), _RUNS.c.flow_run_id.is_not(None))
        .order_by(_RUNS.c.untold_at)
        .limit(_MOST_AT_ONCE)
    )
    rows = await session.execute(query)
    return [
        Untold(
            row.id,
            row.flow_run_id,
            RunStatus(row.status),
            row.untold_at,
            None if row.waiting is None else Waiting.model_validate(row.waiting),
            row.in_line_for,
        )
        for row in rows
    ]


async def still_untold(session: ReadSession, change: Untold) -> bool:
    """Return whether nothing has become of a run since a change of it that was read a while ago."""
    query = sa.select(RunRow.id).where(
        RunRow.id == change.run_id, RunRow.untold_at == change.since, RunRow.status == change.status
    )
    return (await session.execute(query)).first() is not None


async def mark_told(session: WriteSession, told: Untold) -> None:
    """Write that Prefect has heard of this change; one that came after it stays untold."""
    same = (_RUNS.c.id == told.run_id, _RUNS.c.untold_at == told.since)
    await session.execute(sa.update(_RUNS).where(*same).values(untold_at=None))


async def end_overdue(session: WriteSession) -> list[UUID]:
    """Fail the runs whose deadline has passed and that no worker has, at most 100 at once.

    Those that a worker has are stopped by it (`leases.called_off`).
    """
    late = (_RUNS.c.finished_at.is_(None), _RUNS.c.deadline_at <= now(), _RUNS.c.lease_owner.is_(None))
    query = sa.select(_RUNS.c.id, _RUNS.c.last_seq, _RUNS.c.attempt).where(*late).limit(_MOST_AT_ONCE)
    rows = (await session.execute(query.with_for_update(skip_locked=True))).all()
    ids = [row.id for row in rows]
    if ids:
        change = sa.update(_RUNS).where(_RUNS.c.id.in_(ids))
        await session.execute(change.values(ended(RunStatus.FAILED, OVERDUE)))
        await insert_states(
            session, [(row.id, row.last_seq + 1, RunStatus.FAILED, row.attempt) for row in rows]
        )
    return ids
