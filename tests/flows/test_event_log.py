"""The writing side of the event log: small batches, in order, and nothing of a lost lease."""

import asyncio
from uuid import UUID

import pytest

from contracts.runs import EventKind
from database.engine import Database
from database.patience import AWAY
from database.queue.events import read_events
from database.queue.leases import mark_running, release_run
from flows.durable.event_log import EventLog
from runtime.errors import Unavailable
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
    await last_is(database, held[0], EventKind.PROGRESS)
    await log.close()


async def test_costs_wait_for_what_somebody_watches_but_not_for_long(
    database: Database, held: tuple[UUID, int]
) -> None:
    """Many calls in a row: a transaction beside each of them would slow them down."""
    log = EventLog(database)
    log.add(*held, EventKind.COST, {"usd": "1"})
    log.add(*held, EventKind.STEP, {"status": "finished"})
    await last_is(database, held[0], EventKind.STEP)
    assert [event.kind for event in await events(database, held[0])][-2:] == [EventKind.COST, EventKind.STEP]
    log.add(*held, EventKind.COST, {"usd": "2"})
    await last_is(database, held[0], EventKind.COST)
    assert (await events(database, held[0]))[-1].data == {"usd": "2"}
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


class Breaking(Database):
    """A database whose connection breaks once: before the commit, or after it with the answer."""

    def __init__(self, database: Database, *, committed: bool) -> None:
        super().__init__(database.engine)
        self.broken, self.committed = False, committed

    async def write(self, work, *args, **kwargs):
        result = await super().write(work, *args, **kwargs) if self.broken or self.committed else None
        if not self.broken:
            self.broken = True
            raise Unavailable("the connection broke", code=AWAY)
        return result


@pytest.mark.parametrize("committed", [True, False])
async def test_tokens_do_not_appear_twice_after_a_commit_whose_answer_was_lost(
    database: Database, held: tuple[UUID, int], committed: bool
) -> None:
    log = EventLog(Breaking(database, committed=committed))
    log.add(*held, EventKind.TOKEN, {"text": "The lease ", "step": "a"})
    with pytest.raises(Unavailable):
        await log.drain(held[0])
    await database.write(mark_running, *held)
    log.add(*held, EventKind.TOKEN, {"text": "ends.", "step": "a"})
    await log.drain(held[0])
    await log.close()
    found = await events(database, held[0])
    assert [event.data["text"] for event in found if event.kind is EventKind.TOKEN] == ["The lease ", "ends."]
    assert [event.seq for event in found] == list(range(1, 6))


async def last_is(database: Database, run_id: UUID, kind: EventKind) -> None:
    """Wait until the last event of the log is of this kind."""
    async with asyncio.timeout(60):
        while (await events(database, run_id))[-1].kind is not kind:  # noqa: ASYNC110  it is in a database
            await asyncio.sleep(0.02)


async def events(database: Database, run_id: UUID):
    async with database.read() as session:
        return await read_events(session, run_id)
