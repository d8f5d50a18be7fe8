"""Calling off several runs: whatever has or wants a concurrency key, and what is cancelled in Prefect."""

from collections.abc import Collection
from uuid import UUID

import sqlalchemy as sa

from contracts.runs import RunStatus
from database.clock import now
from database.engine import WriteSession
from database.queue.endings import ended
from database.queue.events import insert_states
from database.queue.slots import key_holder, runs_in_line
from database.tables import RunRow, core

_RUNS = core(RunRow)


async def interrupt_key(session: WriteSession, owner: str, key: str, run_id: UUID) -> None:
    """Cancel the runs that have a key or wait for it: at once, or by the worker that executes one.

    `run_id` is in line as well and stays: it is the next. By its place in line this transaction holds the
    slot's lock, so of many that interrupt at once the last one is left.
    """
    holder = await key_holder(session, owner, key)
    found = {holder, *await runs_in_line(session, owner, key)} - {run_id}
    await _call_off(session, _RUNS.c.id.in_(found))


async def call_off_flow_runs(session: WriteSession, flow_run_ids: Collection[UUID]) -> None:
    """Cancel the runs whose flow runs are being cancelled in Prefect, also those that no worker has."""
    await _call_off(session, _RUNS.c.flow_run_id.in_(flow_run_ids))


async def _call_off(session: WriteSession, these: sa.ColumnElement[bool]) -> None:
    query = sa.select(_RUNS.c.id, _RUNS.c.last_seq, _RUNS.c.attempt, _RUNS.c.lease_owner)
    query = query.where(these, _RUNS.c.finished_at.is_(None)).order_by(_RUNS.c.id)
    rows = (await session.execute(query.with_for_update())).all()
    asked = {"cancel_requested_at": sa.func.coalesce(_RUNS.c.cancel_requested_at, now())}
    free = [row for row in rows if row.lease_owner is None]
    for ids, values in (
        ([row.id for row in rows if row.lease_owner is not None], asked),
        ([row.id for row in free], {**asked, **ended(RunStatus.CANCELLED)}),
    ):
        if ids:
            await session.execute(sa.update(_RUNS).where(_RUNS.c.id.in_(ids)).values(values))
    await insert_states(
        session, [(row.id, row.last_seq + 1, RunStatus.CANCELLED, row.attempt) for row in free]
    )
