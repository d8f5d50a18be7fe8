"""The attempts of a run, read from the states in its log."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.receipts import Attempt, AttemptEnd
from contracts.runs import EventKind, RunStatus
from database.engine import ReadSession
from database.tables import EventRow, core

_EVENTS = core(EventRow)
_ENDS = {
    RunStatus.SUCCEEDED: AttemptEnd.SUCCEEDED,
    RunStatus.FAILED: AttemptEnd.FAILED,
    RunStatus.CANCELLED: AttemptEnd.CANCELLED,
    RunStatus.WAITING: AttemptEnd.WAITING,
    # Put back without a reason: what it was about to wait for had come by then.
    RunStatus.QUEUED: AttemptEnd.WAITING,
    RunStatus.DEAD: AttemptEnd.WORKER_LOST,
}


async def attempts_of(session: ReadSession, run_id: UUID) -> list[Attempt]:
    """Return the attempts of a run in order; the caller has made sure that the run is its owner's."""
    query = sa.select(_EVENTS.c.data, _EVENTS.c.at).where(
        _EVENTS.c.run_id == run_id, _EVENTS.c.kind == EventKind.STATE
    )
    return attempts_in((row.data, row.at) for row in await session.execute(query.order_by(_EVENTS.c.seq)))


async def retried_at(session: ReadSession, run_id: UUID) -> datetime | None:
    """Return when an ended run was last put back into the queue; none if it has never ended."""
    query = sa.select(_EVENTS.c.data, _EVENTS.c.at).where(
        _EVENTS.c.run_id == run_id, _EVENTS.c.kind == EventKind.STATE
    )
    found, over = None, False
    for data, at in await session.execute(query.order_by(_EVENTS.c.seq)):
        if over:
            found = at
        over = RunStatus(data["status"]).terminal
    return found


def attempts_in(states: Iterable[tuple[dict[str, Any], datetime]]) -> list[Attempt]:
    """Return the attempts that a run's `state` events tell of, given with their times in order.

    A run is queued when it is claimed, which counts the attempt up, and when it is given back, which does
    not.
    """
    found: list[Attempt] = []
    for data, at in states:
        status, number = RunStatus(data["status"]), data["attempt"]
        last = found[-1] if found else None
        if status is RunStatus.QUEUED and number > (last.number if last else 0):
            found.append(Attempt(number=number, worker=data.get("worker"), claimed_at=at))
        elif last is None or last.ended is not None:
            continue
        elif number < last.number:
            # Of an older log: given back before it could begin, for want of Prefect. The number came again.
            found.pop()
        elif status is RunStatus.RUNNING:
            last.began_at = at
        else:
            last.ended_at, last.ended = at, AttemptEnd(data.get("why") or _ENDS[status])
            last.waited_for = (data.get("waiting") or {}).get("reason")
    return found
