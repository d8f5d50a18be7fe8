"""Runs and the runs that they start: an end of one reaches the others."""

from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import sqlalchemy as sa

from contracts.runs import TERMINAL, RunStatus
from database.engine import ReadSession, WriteSession
from database.tables import RunRow, core
from runtime.errors import Conflict

_RUNS = core(RunRow)


async def has_ended(session: ReadSession, run_id: UUID) -> bool:
    """Return whether a run has ended; it cannot end before the transaction does, if it has not."""
    query = sa.select(_RUNS.c.status).where(_RUNS.c.id == run_id).with_for_update(read=True)
    return (await session.execute(query)).scalar_one() in TERMINAL


async def refuse_key_from_above(session: ReadSession, owner: str, parent_id: UUID, key: str) -> None:
    """Return unless a run that this parent is, or that is above it, is under way with the key.

    It keeps the key while it waits for what it started, and that would wait for the key: for ever.

    Raises:
        Conflict: `key_of_parent`.
    """
    above = sa.select(_RUNS.c.id, _RUNS.c.parent_id).where(_RUNS.c.id == parent_id)
    line = above.cte("above", recursive=True)
    line = line.union_all(sa.select(_RUNS.c.id, _RUNS.c.parent_id).where(_RUNS.c.id == line.c.parent_id))
    has_it = (_RUNS.c.owner == owner, _RUNS.c.concurrency_key == key, _RUNS.c.finished_at.is_(None))
    query = sa.select(_RUNS.c.id).join(line, line.c.id == _RUNS.c.id).where(*has_it).limit(1)
    if (holder := (await session.execute(query)).scalar_one_or_none()) is not None:
        raise Conflict(
            f"Run {holder}, which started this one, has {key} until it ends, and would wait for it: do this"
            " work in that run, or under another key.",
            "key_of_parent",
        )


async def wake_parents(session: WriteSession, run_ids: Sequence[UUID]) -> None:
    """Wake the runs that wait for these, which have ended."""
    # Late, because waking writes events, and what writes them ends runs.
    from database.queue.parking import wake_waiting_for

    query = sa.select(_RUNS.c.id).where(_RUNS.c.id.in_(run_ids), _RUNS.c.parent_id.is_not(None))
    for child in (await session.execute(query)).scalars().all():
        await wake_waiting_for(session, str(child))


async def cancel_children(session: WriteSession, run_ids: Sequence[UUID]) -> None:
    """Call off what cancelled runs have started: nobody will read its result, and it costs money."""
    from database.queue.runs import request_cancel

    parent = _RUNS.alias()
    query = (
        sa.select(_RUNS.c.owner, _RUNS.c.id)
        .join(parent, parent.c.id == _RUNS.c.parent_id)
        .where(_RUNS.c.parent_id.in_(run_ids), _RUNS.c.finished_at.is_(None))
        .where(parent.c.status == RunStatus.CANCELLED)
        .order_by(_RUNS.c.id)
    )
    for owner, child in (await session.execute(query)).all():
        # It may have ended since it was read.
        with suppress(Conflict):
            await request_cancel(session, owner, child)
