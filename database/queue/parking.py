"""Runs that wait: parked without a lease, woken into the queue, and never woken in vain or left asleep.

Who parks a run holds its row locked while it looks whether what it waits for has come meanwhile. Who brings
that about wakes the run in the same transaction, and `wake_run` takes the same lock. So one of the two sees
the other: no wake is lost between the decision to wait and its commit.
"""

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.pipelines import Pool
from contracts.runs import CallStatus, Run, RunStatus, Waiting
from database.clock import now
from database.engine import ReadSession, WriteSession
from database.errors import Fenced
from database.queue.endings import NOT_WAITING, ended
from database.queue.events import insert_states
from database.queue.reaper import leased_runs
from database.queue.runs import get_run
from database.tables import CallRow, RunRow, core
from runtime.clock import utcnow
from runtime.errors import Conflict

_CALLS = core(CallRow)
_RUNS = core(RunRow)
_MOST_AT_ONCE = 100

# Whether what a run waits for has come.
Condition = Callable[[ReadSession], Awaitable[bool]]


async def park_run(
    session: WriteSession,
    run_id: UUID,
    attempt: int,
    waiting: Waiting,
    until: Condition | None = None,
    *,
    told: bool = False,
) -> RunStatus:
    """Let a run wait: its lease ends, and the attempt does not count towards `max_attempts`.

    Args:
        session: of the transaction.
        run_id: the run.
        attempt: the attempt that holds it.
        waiting: for what; `wake_at` wakes it by itself.
        until: what it waits for. It reads with this session, after the run's row is locked.
        told: Prefect has heard of it.

    Returns:
        `waiting`; `queued` when `until` holds by now; `cancelled` when somebody asked for that meanwhile.

    Raises:
        Fenced: the attempt is over.
    """
    query = leased_runs().where(_RUNS.c.id == run_id, _RUNS.c.attempt == attempt).with_for_update()
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise Fenced(f"attempt {attempt} of run {run_id} is over")
    change = sa.update(_RUNS).where(_RUNS.c.id == run_id)
    if row.cancel_requested_at is not None:
        await session.execute(change.values(ended(RunStatus.CANCELLED)))
        await insert_states(session, [(run_id, row.last_seq + 1, RunStatus.CANCELLED, attempt)])
        return RunStatus.CANCELLED
    left: dict[str, Any] = {"lease_owner": None, "lease_until": None, "max_attempts": row.max_attempts + 1}
    if until is not None and await until(session):
        await session.execute(change.values(**left, **_queued()))
        await insert_states(session, [(run_id, row.last_seq + 1, RunStatus.QUEUED, attempt)])
        return RunStatus.QUEUED
    why = waiting.model_dump(mode="json")
    parked = {
        "status": RunStatus.WAITING,
        "waiting": why,
        "waits_on": waiting.about,
        "wake_at": waiting.wake_at,
        "untold_at": None if told else sa.case((_RUNS.c.flow_run_id.is_not(None), now())),
        "last_seq": _RUNS.c.last_seq + 1,
    }
    await session.execute(change.values(**left, **parked))
    event = (run_id, row.last_seq + 1, RunStatus.WAITING, attempt)
    await insert_states(session, [event], waiting=why)
    return RunStatus.WAITING


async def wake_run(session: WriteSession, run_id: UUID) -> bool:
    """Put a waiting run back into the queue; call it in the transaction that brings about what it waits for.

    Returns:
        Whether it waited. One that is about to park is held up by this transaction and will see its result.
    """
    query = sa.select(*_WAKEABLE).where(_RUNS.c.id == run_id).with_for_update()
    return bool(await _wake(session, query))


async def wake_waiting_for(session: WriteSession, about: str) -> list[UUID]:
    """Wake every run that waits for the thing of this id.

    A run that is about to park is not among them. Its condition must read that thing with a lock
    (`with_for_update(read=True)`), so that it waits for the end of this transaction.
    """
    query = sa.select(*_WAKEABLE).where(_RUNS.c.waits_on == about).order_by(_RUNS.c.id).with_for_update()
    return await _wake(session, query)


async def wake_due(session: WriteSession) -> list[UUID]:
    """Wake the runs whose `wake_at` has passed, at most 100 at once; workers that meet take others."""
    query = (
        sa.select(*_WAKEABLE)
        .where(_RUNS.c.wake_at <= now())
        .order_by(_RUNS.c.wake_at)
        .limit(_MOST_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    return await _wake(session, query)


async def resume_run(session: WriteSession, owner: str, run_id: UUID) -> Run:
    """Let a waiting run look again. If what it waits for has not come, it parks again.

    Raises:
        NotFound: `run_not_found`.
        Conflict: `not_waiting`.
    """
    run = await get_run(session, owner, run_id)
    if not await wake_run(session, run_id):
        raise Conflict(
            f"The run does not wait: it is {run.status}.", "not_waiting", None, {"status": run.status}
        )
    return await get_run(session, owner, run_id)


async def stalled_since(session: WriteSession, run_id: UUID) -> datetime:
    """Return since when a run has met a provider that is away: now, if it got an answer in between.

    The caller holds the run (`hold_run`).
    """
    query = sa.select(_RUNS.c.stalled_since).where(_RUNS.c.id == run_id)
    known: datetime | None = (await session.execute(query)).scalar_one()
    if known is not None:
        answered = sa.select(_CALLS.c.id).where(
            _CALLS.c.run_id == run_id, _CALLS.c.kind == "model", _CALLS.c.finished_at > known
        )
        answered = answered.where(_CALLS.c.status == CallStatus.SUCCEEDED).limit(1)
        if (await session.execute(answered)).first() is None:
            return known
    since = utcnow()
    await session.execute(sa.update(_RUNS).where(_RUNS.c.id == run_id).values(stalled_since=since))
    return since


async def waiting_flow_runs(session: ReadSession, pool: Pool, limit: int) -> list[UUID]:
    """Return the flow runs in Prefect of the pool's waiting runs, those that were made last first."""
    query = (
        sa.select(_RUNS.c.flow_run_id)
        .where(_RUNS.c.status == RunStatus.WAITING, _RUNS.c.pool == pool, _RUNS.c.flow_run_id.is_not(None))
        .order_by(_RUNS.c.id.desc())
        .limit(limit)
    )
    return list((await session.execute(query)).scalars())


async def cancel_waiting(session: WriteSession, flow_run_ids: Collection[UUID]) -> list[UUID]:
    """Cancel the waiting runs whose flow runs somebody cancelled in Prefect."""
    query = sa.select(*_WAKEABLE).where(_RUNS.c.flow_run_id.in_(flow_run_ids)).order_by(_RUNS.c.id)
    rows = [row for row in await session.execute(query.with_for_update()) if row.status == RunStatus.WAITING]
    cancelled = [row.id for row in rows]
    if rows:
        change = sa.update(_RUNS).where(_RUNS.c.id.in_(cancelled))
        await session.execute(change.values(ended(RunStatus.CANCELLED)))
        await insert_states(
            session, [(row.id, row.last_seq + 1, RunStatus.CANCELLED, row.attempt) for row in rows]
        )
    return cancelled


_WAKEABLE = (_RUNS.c.id, _RUNS.c.status, _RUNS.c.last_seq, _RUNS.c.attempt)


async def _wake(session: WriteSession, query: sa.Select[Any]) -> list[UUID]:
    rows = [row for row in await session.execute(query) if row.status == RunStatus.WAITING]
    if rows:
        woken = [row.id for row in rows]
        await session.execute(
            sa.update(_RUNS).where(_RUNS.c.id.in_(woken)).values(**_queued(), **NOT_WAITING)
        )
        await insert_states(
            session, [(row.id, row.last_seq + 1, RunStatus.QUEUED, row.attempt) for row in rows]
        )
    return [row.id for row in rows]


def _queued() -> dict[str, Any]:
    return {"status": RunStatus.QUEUED, "available_at": now(), "last_seq": _RUNS.c.last_seq + 1}
