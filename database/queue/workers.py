"""Which workers are alive, by the database's clock."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite

from contracts.pipelines import Pool
from database.clock import from_now, now
from database.engine import ReadSession, WriteSession
from database.statements import changed_rows, is_sqlite
from database.tables import WorkerRow, core

# As long as a lease: a worker that was silent for longer has lost its runs.
SEEN_WITHIN_SECONDS = 15

_WORKERS = core(WorkerRow)


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process as it last described itself. `models` is what its door to models told."""

    id: str
    pool: str
    host: str
    pid: int
    capacity: int
    running: int
    models: Any
    started_at: datetime
    seen_at: datetime


async def announce_worker(
    session: WriteSession,
    *,
    worker: str,
    pool: Pool,
    host: str,
    pid: int,
    capacity: int,
    running: int,
    models: Any = None,
) -> None:
    """Write that a worker is alive and how many of its `capacity` places are taken; one statement."""
    values = {"id": worker, "pool": pool, "host": host, "pid": pid, "started_at": now()}
    changing = {"capacity": capacity, "running": running, "models": models, "seen_at": now()}
    statement: sa.Insert
    if is_sqlite(session):
        insert = sqlite.insert(_WORKERS).values({**values, **changing})
        statement = insert.on_conflict_do_update(index_elements=["id"], set_=changing)
    else:
        statement = mysql.insert(_WORKERS).values({**values, **changing}).on_duplicate_key_update(changing)
    await session.execute(statement)


async def live_workers(session: ReadSession, within_seconds: float, pool: Pool | None = None) -> list[Worker]:
    """Return the workers that were seen within the last seconds, by pool and id."""
    query = sa.select(*_WORKERS.c).where(_WORKERS.c.seen_at >= from_now(-within_seconds))
    if pool is not None:
        query = query.where(_WORKERS.c.pool == pool)
    rows = await session.execute(query.order_by(_WORKERS.c.pool, _WORKERS.c.id))
    return [Worker(**row) for row in rows.mappings()]


async def forget_worker(session: WriteSession, worker: str) -> None:
    """Forget a worker that has ended in good order."""
    await session.execute(sa.delete(_WORKERS).where(_WORKERS.c.id == worker))


async def forget_lost_workers(session: WriteSession, after_seconds: float) -> int:
    """Forget the workers that were not seen for this long, and return how many they were."""
    lost = sa.delete(_WORKERS).where(_WORKERS.c.seen_at < from_now(-after_seconds))
    return await changed_rows(session, lost)
