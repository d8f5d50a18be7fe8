"""Runs as workers see them: take one with a lease, move it on, give it back, find the lost ones.

Every change carries the attempt it belongs to and is refused with `Fenced` when that attempt is over:
when the lease was taken away, another attempt has begun, or the run has ended.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.pipelines import Pool
from contracts.receipts import AttemptEnd
from contracts.runs import PRIORITIES, CalledOff, Origin, RunError, RunStatus, Waiting
from database.clock import from_now, now
from database.engine import ReadSession, WriteSession
from database.errors import Fenced
from database.people.spaces import require_space
from database.queue.endings import NOT_WAITING, ended
from database.queue.events import append_state, insert_states
from database.queue.reaper import end_leases, leased_runs
from database.queue.runs import new_run
from database.queue.slots import take_key
from database.statements import AnyRow, changed_rows, insert_or_existing
from database.tables import RunRow, core
from database.tables.runs import QUEUE
from database.talk.pins import agent_of_chat, pin_agent
from database.talk.sharing import Reader
from runtime.clock import utcnow
from runtime.errors import NotFound

_RUNS = core(RunRow)
_CLAIMED = [
    *(RunRow.id, RunRow.pipeline, RunRow.pool, RunRow.owner, RunRow.origin, RunRow.params),
    *(RunRow.attempt, RunRow.last_seq, RunRow.flow_run_id, RunRow.cancel_requested_at, RunRow.created_at),
    *(RunRow.concurrency_key, RunRow.start_at, RunRow.forked_from, RunRow.started_by, RunRow.grants),
    RunRow.agent_id,
]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that this worker may execute, until its lease ends."""

    id: UUID
    pipeline: str
    pool: str
    owner: str
    origin: Origin
    params: dict[str, Any]
    attempt: int
    flow_run_id: UUID | None
    cancel_requested: bool
    created_at: datetime
    forked: bool = False
    started_by: str | None = None
    grants: frozenset[str] = frozenset()
    agent_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A run as far as its shadow in Prefect must agree with it."""

    id: UUID
    flow_run_id: UUID | None
    status: RunStatus
    waiting: Waiting | None = None


async def has_claimable(session: ReadSession, pool: Pool) -> bool:
    """Return whether a claim would find anything: one read of one index entry per priority."""
    query = sa.select(RunRow.id).where(*_claimable(pool)).limit(1)
    return (await session.execute(query)).first() is not None


async def claim_runs(
    session: WriteSession, *, pool: Pool, worker: str, limit: int, lease_seconds: float
) -> list[Claimed]:
    """Take up to `limit` runs of the pool and begin an attempt of each.

    The lowest priority number comes first, and of one number the longest waiting. Workers that claim at the
    same time get different runs and do not wait for each other.
    """
    query = (
        sa.select(*_CLAIMED)
        .where(*_claimable(pool))
        .order_by(RunRow.priority, RunRow.available_at, RunRow.id)
        .limit(limit)
        .with_hint(RunRow, f"FORCE INDEX ({QUEUE})", "mysql")
        .with_for_update(skip_locked=True)
    )
    rows = [row for row in (await session.execute(query)).all() if await _has_its_key(session, row)]
    return await _begin_attempts(session, rows, worker, lease_seconds) if rows else []


async def adopt_run(  # noqa: PLR0913  a row's columns
    session: WriteSession,
    *,
    flow_run_id: UUID,
    pipeline: str,
    pool: Pool,
    params: dict[str, Any],
    owner: str,
    origin: Origin,
    worker: str,
    lease_seconds: float,
) -> Claimed | None:
    """Take the run of a flow run that Prefect started by itself, making its row the first time.

    Returns:
        The claim, or None when the run has ended, waits for its concurrency key, or a live worker has it
        (this one included: what is under way in this process is not begun a second time).

    Raises:
        BadInput: `unknown_space`, the row would be nobody's.
    """
    values = new_run(pipeline=pipeline, pool=pool, params=params, owner=owner, origin=origin)
    found = await insert_or_existing(session, _RUNS, {**values, "flow_run_id": flow_run_id}, [_RUNS.c.id])
    if found.id == values["id"]:
        await require_space(session, owner)
        await insert_states(session, [(found.id, 1, RunStatus.ACCEPTED, 0)])
        await _bind_to_agent(session, owner, found.id, values["chat_id"])
        if (key := values["concurrency_key"]) is not None:
            await take_key(session, owner, key, found.id)
    live = sa.func.coalesce(RunRow.lease_until > now(), sa.false()).label("live")
    query = sa.select(*_CLAIMED, RunRow.status, RunRow.key_place, live).where(RunRow.id == found.id)
    row = (await session.execute(query.with_for_update())).one()
    if row.key_place is not None:
        # It stays pending in Prefect, which is told what for.
        await session.execute(sa.update(_RUNS).where(_RUNS.c.id == found.id).values(untold_at=now()))
        return None
    if row.live or RunStatus(row.status).terminal:
        return None
    (claimed,) = await _begin_attempts(session, [row], worker, lease_seconds)
    return claimed


async def _bind_to_agent(session: WriteSession, owner: str, run_id: UUID, chat_id: UUID | None) -> None:
    """Bind an adopted turn to the agent of its chat; where that is gone the turn will say so."""
    agent_id = await agent_of_chat(session, owner, chat_id) if chat_id else None
    if agent_id is None:
        return
    bound: dict[str, Any] = {"agent_id": agent_id}
    with suppress(NotFound):
        bound = (await pin_agent(session, Reader(owner), agent_id)).columns()
    await session.execute(sa.update(_RUNS).where(_RUNS.c.id == run_id).values(bound))


async def bind_flow_run(session: WriteSession, run_id: UUID, attempt: int, flow_run_id: UUID) -> None:
    """Write which flow run of Prefect executes the run.

    Raises:
        Fenced: the attempt is over.
    """
    await _change(session, run_id, attempt, flow_run_id=flow_run_id)


async def mark_running(session: WriteSession, run_id: UUID, attempt: int) -> None:
    """Write that the first line of the flow is reached.

    Raises:
        Fenced: the attempt is over.
    """
    started = sa.func.coalesce(_RUNS.c.started_at, sa.literal(utcnow(), _RUNS.c.started_at.type))
    await _change(
        session, run_id, attempt, status=RunStatus.RUNNING, started_at=started, last_seq=_RUNS.c.last_seq + 1
    )
    await append_state(session, run_id)


async def finish_run(
    session: WriteSession,
    run_id: UUID,
    attempt: int,
    status: RunStatus,
    result: dict[str, Any] | None = None,
    error: RunError | None = None,
    *,
    told: bool = True,
) -> None:
    """Write how the run ended (a terminal `status`) and give up its lease.

    Saying the same twice is saying it once. `told`: whoever executes the run tells Prefect of its end; of one
    that could not begin, the upkeep tells it.

    Raises:
        Fenced: the attempt is over, or has ended otherwise.
    """
    if not status.terminal:
        raise ValueError(f"{status} is not the end of a run")
    over = ended(status, error) | ({"untold_at": None} if told else {})
    try:
        await _change(session, run_id, attempt, **over, result=result)
    except Fenced:
        query = sa.select(RunRow.status).where(RunRow.id == run_id, RunRow.attempt == attempt)
        if (await session.execute(query)).scalar_one_or_none() != status:
            raise
        return
    await append_state(session, run_id)


async def unclaim_run(session: WriteSession, run_id: UUID, attempt: int, delay_seconds: float) -> None:
    """Give a run back that did not begin (Prefect was out of reach); it is blameless, and waits a moment.

    The attempt keeps its number: used a second time it would let this call, repeated after a lost answer,
    take the lease of whoever has the run next. A run that somebody has cancelled meanwhile ends here: its
    next turn may be far away.

    Raises:
        Fenced: the attempt is over.
    """
    if await release_run(session, run_id, attempt, blameless=True) is RunStatus.QUEUED:
        later = sa.update(_RUNS).where(_RUNS.c.id == run_id).values(available_at=from_now(delay_seconds))
        await session.execute(later)


async def release_run(
    session: WriteSession, run_id: UUID, attempt: int, *, blameless: bool = False
) -> RunStatus:
    """Give a run back that began and cannot go on here; the attempt counts, unless the run is `blameless`.

    It is so when its worker stops in good order: deployments must not use up the attempts of a long run.

    Returns:
        What becomes of it, as when its lease had run out: `queued`, `dead` or `cancelled`.

    Raises:
        Fenced: the attempt is over.
    """
    query = leased_runs().where(_RUNS.c.id == run_id, _RUNS.c.attempt == attempt).with_for_update()
    rows = (await session.execute(query)).all()
    if not rows:
        raise Fenced(f"attempt {attempt} of run {run_id} is over")
    if blameless:
        one_more = {"max_attempts": _RUNS.c.max_attempts + 1}
        await session.execute(sa.update(_RUNS).where(_RUNS.c.id == run_id).values(one_more))
        rows = (await session.execute(query)).all()
    (released,) = await end_leases(session, rows, AttemptEnd.GIVEN_BACK)
    return released.status


async def hold_run(session: WriteSession, run_id: UUID, attempt: int) -> None:
    """Keep the run's lease from being taken until this transaction ends, for writes to other tables.

    Raises:
        Fenced: the attempt is over.
    """
    query = leased_runs().where(_RUNS.c.id == run_id, _RUNS.c.attempt == attempt).with_for_update()
    if (await session.execute(query)).one_or_none() is None:
        raise Fenced(f"attempt {attempt} of run {run_id} is over")


async def renew_leases(
    session: WriteSession, worker: str, held: Mapping[UUID, int], lease_seconds: float
) -> dict[UUID, int]:
    """Extend the leases of a worker in one statement.

    Args:
        session: of the transaction.
        worker: whose leases they are.
        held: runs, and the attempt of each that the worker executes.
        lease_seconds: from now on.

    Returns:
        The runs that are still its own, with the attempt that it holds. That may be a later one: a worker
        that was frozen can get its own run back.
    """
    if not held:
        return {}
    attempts = sa.case(dict(held), value=_RUNS.c.id)
    ours = (_RUNS.c.id.in_(held), _RUNS.c.lease_owner == worker)
    renewed = sa.update(_RUNS).where(*ours, _RUNS.c.attempt == attempts)
    if await changed_rows(session, renewed.values(lease_until=from_now(lease_seconds))) == len(held):
        return dict(held)
    found = await session.execute(sa.select(_RUNS.c.id, _RUNS.c.attempt).where(*ours))
    return {row.id: row.attempt for row in found}


async def leases_of(session: ReadSession, worker: str) -> dict[UUID, int]:
    """Return the runs that a worker has a lease of, and the attempt of each."""
    query = sa.select(RunRow.id, RunRow.attempt)
    query = query.where(RunRow.lease_until.is_not(None), RunRow.lease_owner == worker)
    return {row.id: row.attempt for row in await session.execute(query)}


async def called_off(session: ReadSession, run_ids: Collection[UUID]) -> dict[UUID, CalledOff]:
    """Return which of these runs must be stopped, and why."""
    asked = RunRow.cancel_requested_at.is_not(None)
    query = sa.select(RunRow.id, asked.label("asked"))
    query = query.where(RunRow.id.in_(run_ids), asked | (RunRow.deadline_at <= now()))
    return {row.id: "cancelled" if row.asked else "overdue" for row in await session.execute(query)}


async def shadowed_runs(
    session: ReadSession, flow_run_ids: Collection[UUID], run_ids: Collection[UUID]
) -> list[Shadowed]:
    """Return the runs that have one of these flow runs, or one of these ids."""
    query = sa.select(RunRow.id, RunRow.flow_run_id, RunRow.status, RunRow.waiting).where(
        RunRow.flow_run_id.in_(flow_run_ids) | RunRow.id.in_(run_ids)
    )
    found = (await session.execute(query)).all()
    return [
        Shadowed(
            row.id,
            row.flow_run_id,
            RunStatus(row.status),
            None if row.waiting is None else Waiting.model_validate(row.waiting),
        )
        for row in found
    ]


def _claimable(pool: Pool) -> tuple[sa.ColumnElement[bool], ...]:
    # Every priority is named, so that the index is read at as many places and nowhere else.
    return (RunRow.pool == pool, RunRow.priority.in_(list(PRIORITIES)), RunRow.available_at <= now())


async def _has_its_key(session: WriteSession, row: AnyRow) -> bool:
    """Return whether a run may begin; one that starts later asks for its key only now."""
    if row.concurrency_key is None or row.start_at is None:
        return True
    return await take_key(session, row.owner, row.concurrency_key, row.id)


async def _begin_attempts(
    session: WriteSession, rows: Sequence[AnyRow], worker: str, lease_seconds: float
) -> list[Claimed]:
    """Lease rows that this transaction has locked."""
    queued = sa.func.coalesce(_RUNS.c.queued_at, sa.literal(utcnow(), _RUNS.c.queued_at.type))
    change = (
        sa.update(_RUNS)
        .where(_RUNS.c.id.in_([row.id for row in rows]))
        .values(
            status=RunStatus.QUEUED,
            attempt=_RUNS.c.attempt + 1,
            last_seq=_RUNS.c.last_seq + 1,
            lease_owner=worker,
            lease_until=from_now(lease_seconds),
            available_at=None,
            untold_at=None,
            queued_at=queued,
            **NOT_WAITING,
        )
    )
    await session.execute(change)
    states = [(row.id, row.last_seq + 1, RunStatus.QUEUED, row.attempt + 1) for row in rows]
    await insert_states(session, states, worker=worker)
    return [_claimed(row) for row in rows]


def _claimed(row: AnyRow) -> Claimed:
    return Claimed(
        id=row.id,
        pipeline=row.pipeline,
        pool=row.pool,
        owner=row.owner,
        origin=Origin(row.origin),
        params=row.params,
        attempt=row.attempt + 1,
        flow_run_id=row.flow_run_id,
        cancel_requested=row.cancel_requested_at is not None,
        created_at=row.created_at,
        forked=row.forked_from is not None,
        started_by=row.started_by,
        grants=frozenset(row.grants or ()),
        agent_id=row.agent_id,
    )


async def _change(session: WriteSession, run_id: UUID, held: int, /, **values: Any) -> None:
    """Change a run that attempt `held` of it holds."""
    fence = (_RUNS.c.id == run_id, _RUNS.c.attempt == held, _RUNS.c.lease_owner.is_not(None))
    if not await changed_rows(session, sa.update(_RUNS).where(*fence).values(**values)):
        raise Fenced(f"attempt {held} of run {run_id} is over")
