"""The event log of runs: appended in batches by who executes, tailed by who watches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.runs import Event, EventKind, RunStatus
from database.engine import ReadSession, WriteSession
from database.errors import Fenced
from database.queue.endings import see_off
from database.tables import EventRow, RunRow, core
from runtime.clock import utcnow

_RUNS = core(RunRow)
_EVENTS = core(EventRow)

NewEvent = tuple[EventKind, dict[str, Any], datetime]


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events of one run, in their order. `attempt` None writes whoever holds the run.

    `again` says that it may be written already: the answer to its transaction was lost.
    """

    run_id: UUID
    attempt: int | None
    events: Sequence[NewEvent]
    again: bool = False


async def append_batch(session: WriteSession, batches: Sequence[EventBatch]) -> set[UUID]:
    """Append the events of many runs in three statements; those that are there already, not again.

    Returns:
        The runs whose attempt is over: nothing of theirs was written.
    """
    last = await _locked_last_seqs(session, {batch.run_id for batch in batches})
    fenced: set[UUID] = set()
    rows: list[dict[str, Any]] = []
    reached: dict[UUID, int] = {}
    for batch in batches:
        if batch.run_id not in last or not _holds(batch.attempt, *last[batch.run_id][1:]):
            fenced.add(batch.run_id)
            continue
        if batch.again and await _is_written(session, batch):
            continue
        seq = reached.get(batch.run_id, last[batch.run_id][0])
        rows += _numbered(batch, seq)
        reached[batch.run_id] = seq + len(batch.events)
    if rows:
        steps = sa.case(reached, value=_RUNS.c.id, else_=_RUNS.c.last_seq)
        await session.execute(sa.update(_RUNS).where(_RUNS.c.id.in_(reached)).values(last_seq=steps))
        await session.execute(sa.insert(_EVENTS), rows)
    return fenced


async def append_events(
    session: WriteSession, run_id: UUID, attempt: int | None, events: Sequence[NewEvent]
) -> None:
    """Append events to one run's log.

    Raises:
        Fenced: the attempt is over.
    """
    if await append_batch(session, [EventBatch(run_id, attempt, events)]):
        raise Fenced(f"attempt {attempt} of run {run_id} is over")


async def append_state(session: WriteSession, run_id: UUID) -> None:
    """Append the run's present status as an event, under the `last_seq` that its change has counted up.

    Whoever changes `status` adds 1 to `last_seq` in the same statement and calls this next.
    """
    row = (
        await session.execute(
            sa.select(_RUNS.c.last_seq, _RUNS.c.status, _RUNS.c.attempt).where(_RUNS.c.id == run_id)
        )
    ).one()
    await insert_states(session, [(run_id, row.last_seq, RunStatus(row.status), row.attempt)])


async def insert_states(
    session: WriteSession, states: Iterable[tuple[UUID, int, RunStatus, int]], **more: Any
) -> None:
    """Insert `state` events of known (run, seq, status, attempt) at once, and see off what has ended.

    The rows have these states already; `more` goes into the events' data.
    """
    states, at = list(states), utcnow()
    rows = [
        {
            "run_id": run_id,
            "seq": seq,
            "kind": EventKind.STATE,
            "data": {"status": status, "attempt": n, **more},
            "at": at,
        }
        for run_id, seq, status, n in states
    ]
    if rows:
        await session.execute(sa.insert(_EVENTS), rows)
    if over := [run_id for run_id, _seq, status, _attempt in states if status.terminal]:
        await see_off(session, over)


async def last_seqs(session: ReadSession, run_ids: Iterable[UUID]) -> dict[UUID, tuple[int, RunStatus]]:
    """Return how far the log of each run goes, and its status: one cheap statement for all watchers."""
    query = sa.select(RunRow.id, RunRow.last_seq, RunRow.status).where(RunRow.id.in_(list(run_ids)))
    return {row.id: (row.last_seq, RunStatus(row.status)) for row in await session.execute(query)}


async def read_events(
    session: ReadSession, run_id: UUID, after_seq: int = 0, limit: int = 500
) -> list[Event]:
    """Return the events behind `after_seq` in their order.

    The caller has made sure by `runs.get_run` that the run is its owner's.
    """
    query = (
        sa.select(EventRow.run_id, EventRow.seq, EventRow.kind, EventRow.data, EventRow.at)
        .where(EventRow.run_id == run_id, EventRow.seq > after_seq)
        .order_by(EventRow.seq)
        .limit(limit)
    )
    return [Event.model_validate(row, from_attributes=True) for row in await session.execute(query)]


async def events_of_kind(session: ReadSession, run_id: UUID, *kinds: EventKind) -> list[Event]:
    """Return all events of some kinds of a run, in their order; the caller has asked whose run it is."""
    query = sa.select(EventRow.run_id, EventRow.seq, EventRow.kind, EventRow.data, EventRow.at)
    query = query.where(EventRow.run_id == run_id, EventRow.kind.in_(kinds)).order_by(EventRow.seq)
    return [Event.model_validate(row, from_attributes=True) for row in await session.execute(query)]


async def _locked_last_seqs(session: WriteSession, run_ids: set[UUID]) -> dict[UUID, tuple[int, int, bool]]:
    # In the order of the primary key, so that two batches never wait for each other.
    query = (
        sa.select(RunRow.id, RunRow.last_seq, RunRow.attempt, RunRow.lease_owner.is_not(None).label("leased"))
        .where(RunRow.id.in_(run_ids))
        .order_by(RunRow.id)
        .with_for_update()
    )
    return {row.id: (row.last_seq, row.attempt, row.leased) for row in await session.execute(query)}


async def _is_written(session: WriteSession, batch: EventBatch) -> bool:
    """Return whether a batch is in the log. All of it is or nothing, and its run is locked."""
    kind, _data, at = batch.events[0]
    # One attempt tells one thing of a kind in a microsecond.
    same = (_EVENTS.c.run_id == batch.run_id, _EVENTS.c.at == at, _EVENTS.c.kind == kind)
    return (await session.execute(sa.select(_EVENTS.c.seq).where(*same).limit(1))).first() is not None


def _holds(attempt: int | None, current: int, leased: bool) -> bool:
    return attempt is None or (leased and attempt == current)


def _numbered(batch: EventBatch, seq: int) -> list[dict[str, Any]]:
    return [
        {"run_id": batch.run_id, "seq": seq + number, "kind": kind, "data": data, "at": at}
        for number, (kind, data, at) in enumerate(batch.events, start=1)
    ]
