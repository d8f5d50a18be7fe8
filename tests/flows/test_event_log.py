"""The writing side of the event log: small batches, in order, and nothing of a lost lease."""

import asyncio
from uuid import UUID

import pytest

from contracts.runs import EventKind
from database.engine import Database
from database.events import read_events
from database.leases import release_run
from flows.durable.event_log import EventLog
from tests.fixtures.made_runs import claimed


@pytest.fixture
async def held(database: Database) -> tuple[UUID, int]:
    """A run of this worker, and its attempt."""
    run = await claimed(database)
    return run.id, run.attempt


async def test_adjacent_tokens_become_one_event_and_order_is_kept(
    database: Database, held: tuple[UUID, int]
) -> None:
    log = EventLog(database)
    for piece in ("The ", "lease ", "ends."):
        log.add(*held, EventKind.TOKEN, {"text": piece, "step": "a"})
    log.add(*held, EventKind.PROGRESS, {"done": 1, "total": 2, "of": "parts"})
    log.add(*held, EventKind.TOKEN, {"text": "More.", "step": "a"})
    await log.drain(held[0])
    told = [event.data for event in await events(database, held[0]) if event.kind is not EventKind.STATE]
    assert [data.get("text") for data in told] == ["The lease ends.", None, "More."]


async def test_events_are_written_without_being_drained(database: Database, held: tuple[UUID, int]) -> None:
    log = EventLog(database)
    log.add(*held, EventKind.PROGRESS, {"done": 1, "total": 1, "of": "parts"})
    await asyncio.sleep(0.2)
    assert any(event.kind is EventKind.PROGRESS for event in await events(database, held[0]))
    await log.close()


async def test_an_attempt_that_lost_its_lease_tells_nothing_any_more(
    database: Database, held: tuple[UUID, int]
) -> None:
    """A stopped worker that wakes up late must not write into the next attempt's log."""
    log = EventLog(database)
    await database.write(release_run, *held)
    before = len(await events(database, held[0]))
    log.add(*held, EventKind.PROGRESS, {"done": 1, "total": 1, "of": "parts"})
    await log.drain(held[0])
    assert len(await events(database, held[0])) == before


async def events(database: Database, run_id: UUID):
    async with database.read() as session:
        return await read_events(session, run_id)
