"""Concurrency keys: of all runs of one owner and key, one is under way, and the others stand in line.

The slot's row is what they meet at: whoever asks for a key or gives one back holds its lock until the commit.
A run in line is not in the queue (`available_at` is NULL), so it costs those who claim nothing.
"""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite

from database.clock import now
from database.engine import ReadSession, WriteSession
from database.statements import is_sqlite
from database.tables import RunRow, SlotRow, core

_RUNS = core(RunRow)
_SLOTS = core(SlotRow)


async def take_key(session: WriteSession, owner: str, key: str, run_id: UUID) -> bool:
    """Give a run its key, or a place at the end of the line, out of the queue.

    Returns:
        Whether it has the key now. It keeps it over every attempt, and while it waits, until it ends.
    """
    values = {"owner": owner, "key": key, "run_id": run_id, "asked": 1}
    again = {"asked": _SLOTS.c.asked + 1}
    statement: sa.Insert
    if is_sqlite(session):
        insert = sqlite.insert(_SLOTS).values(values)
        statement = insert.on_conflict_do_update(index_elements=["owner", "key"], set_=again)
    else:
        statement = mysql.insert(_SLOTS).values(values).on_duplicate_key_update(again)
    slot = (await session.execute(statement.returning(_SLOTS.c.run_id, _SLOTS.c.asked))).one()
    if slot.run_id == run_id:
        return True
    in_line = sa.update(_RUNS).where(_RUNS.c.id == run_id)
    await session.execute(in_line.values(key_place=slot.asked, available_at=None))
    return False


async def free_keys(session: WriteSession, run_ids: Sequence[UUID]) -> None:
    """Take the keys of runs that have ended, and put the next of each line into the queue."""
    query = sa.select(_SLOTS.c.owner, _SLOTS.c.key).where(_SLOTS.c.run_id.in_(run_ids))
    for owner, key in (await session.execute(query.with_for_update())).all():
        this = (_SLOTS.c.owner == owner, _SLOTS.c.key == key)
        # Locked: one that is being cancelled in line must not come back as the next.
        first = _line(owner, key).limit(1).with_for_update()
        following = (await session.execute(first)).scalar_one_or_none()
        if following is None:
            await session.execute(sa.delete(_SLOTS).where(*this))
            continue
        await session.execute(sa.update(_SLOTS).where(*this).values(run_id=following))
        change = sa.update(_RUNS).where(_RUNS.c.id == following)
        await session.execute(change.values(key_place=None, available_at=now()))


async def runs_in_line(session: ReadSession, owner: str, key: str) -> list[UUID]:
    """Return the runs that wait for a key, the next one first."""
    return list((await session.execute(_line(owner, key))).scalars())


async def key_holder(session: ReadSession, owner: str, key: str) -> UUID | None:
    """Return the run that has a key; none when it is free."""
    query = sa.select(_SLOTS.c.run_id).where(_SLOTS.c.owner == owner, _SLOTS.c.key == key)
    return (await session.execute(query)).scalar_one_or_none()


def _line(owner: str, key: str) -> sa.Select[UUID]:
    waiting = (_RUNS.c.owner == owner, _RUNS.c.concurrency_key == key, _RUNS.c.key_place.is_not(None))
    return sa.select(_RUNS.c.id).where(*waiting).order_by(_RUNS.c.key_place)
