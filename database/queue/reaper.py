"""Find the runs whose worker stopped answering, and let others have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.receipts import AttemptEnd
from contracts.runs import RunError, RunStatus
from database.clock import now
from database.engine import WriteSession
from database.queue.endings import ended
from database.queue.events import insert_states
from database.statements import AnyRow
from database.tables import RunRow, core

_RUNS = core(RunRow)
_MOST_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Reaped:
    """A run that lost its worker, and what becomes of it: `queued`, `dead` or `cancelled`."""

    id: UUID
    status: RunStatus
    attempt: int
    flow_run_id: UUID | None


async def reap_expired(session: WriteSession) -> list[Reaped]:
    """End the leases that ran out, at most 100 at once; reapers that meet take different runs.

    A run goes back to the queue; after its last attempt it is `dead`; when somebody asked for its
    cancellation it is `cancelled`.
    """
    expired = leased_runs().where(RunRow.lease_until < now()).order_by(RunRow.lease_until)
    query = expired.limit(_MOST_AT_ONCE).with_for_update(skip_locked=True)
    return await end_leases(session, (await session.execute(query)).all(), AttemptEnd.WORKER_LOST)


async def reap_workers(session: WriteSession, workers: Sequence[str]) -> list[Reaped]:
    """End the leases of workers whose processes are known to be gone, as if they had run out.

    Who knows it wrongly costs a run an attempt and nothing more: the fence refuses what the old one writes.
    """
    theirs = RunRow.lease_owner.in_(workers)
    # Found by the small index of leased runs and locked by their ids: nobody else's row is waited for.
    found = sa.select(RunRow.id).where(RunRow.lease_until.is_not(None), theirs)
    ids = (await session.execute(found)).scalars().all()
    query = leased_runs().where(RunRow.id.in_(ids), theirs).order_by(RunRow.id).with_for_update()
    rows = (await session.execute(query)).all() if ids else []
    return await end_leases(session, rows, AttemptEnd.WORKER_LOST)


def leased_runs() -> sa.Select[*tuple[Any, ...]]:
    """Return the query whose rows `end_leases` takes."""
    return sa.select(
        *(_RUNS.c.id, _RUNS.c.attempt, _RUNS.c.max_attempts, _RUNS.c.last_seq),
        *(_RUNS.c.flow_run_id, _RUNS.c.cancel_requested_at),
    ).where(_RUNS.c.lease_owner.is_not(None))


async def end_leases(session: WriteSession, rows: Sequence[AnyRow], why: AttemptEnd) -> list[Reaped]:
    """Take the leases of runs that this transaction has locked, and decide what becomes of each."""
    fates = {row.id: _fate(row) for row in rows}
    for status in set(fates.values()):
        ids = [run_id for run_id, fate in fates.items() if fate is status]
        await session.execute(sa.update(_RUNS).where(_RUNS.c.id.in_(ids)).values(_columns(status)))
    states = [(row.id, row.last_seq + 1, fates[row.id], row.attempt) for row in rows]
    await insert_states(session, states, why=why)
    return [Reaped(row.id, fates[row.id], row.attempt, row.flow_run_id) for row in rows]


def _fate(row: AnyRow) -> RunStatus:
    if row.cancel_requested_at is not None:
        return RunStatus.CANCELLED
    return RunStatus.QUEUED if row.attempt < row.max_attempts else RunStatus.DEAD


def _columns(status: RunStatus) -> dict[str, Any]:
    if status is RunStatus.QUEUED:
        return {
            "status": status,
            "lease_owner": None,
            "lease_until": None,
            "available_at": now(),
            "last_seq": _RUNS.c.last_seq + 1,
        }
    if status is RunStatus.CANCELLED:
        return ended(status)
    return ended(
        status, RunError(code="worker_lost", message="Its workers stopped answering in every attempt.")
    )
