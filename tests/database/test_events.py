"""The log of a run: in order, without gaps, and readable from any place in it."""

import asyncio

import pytest

from contracts.runs import EventKind, RunStatus
from database.engine import open_database
from database.errors import Fenced
from database.queue.events import EventBatch, append_batch, append_events, last_seqs, read_events
from database.settings import DatabaseSettings
from runtime.clock import utcnow
from runtime.ids import new_id
from tests.fixtures.made_runs import accepted, claimed


def tokens(*texts):
    return [(EventKind.TOKEN, {"text": text}, utcnow()) for text in texts]


async def log(database, run_id, **place):
    async with database.read() as session:
        return await read_events(session, run_id, **place)


async def test_events_come_back_in_their_order_with_their_time(database):
    run = await claimed(database)
    written = tokens("a", "b", "c")
    await database.write(append_events, run.id, 1, written)
    events = await log(database, run.id, after_seq=2)
    assert [event.seq for event in events] == [3, 4, 5]
    assert [(event.kind, event.data, event.at) for event in events] == written


async def test_a_watcher_that_comes_back_goes_on_where_it_was(database):
    run = await claimed(database)
    await database.write(append_events, run.id, 1, tokens(*"abcdefgh"))
    assert [event.seq for event in await log(database, run.id, after_seq=5, limit=3)] == [6, 7, 8]
    assert await log(database, run.id, after_seq=10) == []


async def test_numbers_have_no_gaps_when_many_write_at_once(database, database_url):
    """A watcher takes a gap for something that it missed."""
    run = await claimed(database)
    other = open_database(DatabaseSettings(database_url=database_url))
    await asyncio.gather(
        *(
            where.write(append_events, run.id, 1, tokens(f"{n}a", f"{n}b"))
            for n in range(10)
            for where in (database, other)
        )
    )
    events = await log(database, run.id)
    assert [event.seq for event in events] == list(range(1, 43))
    texts = [event.data["text"] for event in events[2:]]
    assert all(texts[n][:-1] == texts[n + 1][:-1] for n in range(0, 40, 2)), "a batch stays together"
    await other.close()


async def test_one_batch_holds_events_of_many_runs_and_several_of_one(database):
    first, second = await claimed(database), await claimed(database)
    batches = [
        EventBatch(first.id, 1, tokens("a")),
        EventBatch(second.id, 1, tokens("x", "y")),
        EventBatch(first.id, 1, tokens("b")),
    ]
    assert await database.write(append_batch, batches) == set()
    assert [event.data["text"] for event in await log(database, first.id, after_seq=2)] == ["a", "b"]
    assert [event.data["text"] for event in await log(database, second.id, after_seq=2)] == ["x", "y"]


async def test_an_empty_batch_is_no_work(database):
    assert await database.write(append_batch, []) == set()


async def test_a_run_that_is_not_there_is_fenced(database):
    missing = new_id()
    assert await database.write(append_batch, [EventBatch(missing, 1, tokens("a"))]) == {missing}
    with pytest.raises(Fenced):
        await database.write(append_events, missing, None, tokens("a"))


async def test_events_that_belong_to_no_attempt_are_written_whoever_holds_the_run(database):
    run = await accepted(database)
    await database.write(append_events, run.id, None, tokens("note"))
    assert [event.seq for event in await log(database, run.id)] == [1, 2]


async def test_one_statement_tells_all_watchers_what_is_new(database):
    busy = await claimed(database)
    quiet = await accepted(database)
    await database.write(append_events, busy.id, 1, tokens("a"))
    async with database.read() as session:
        found = await last_seqs(session, iter([quiet.id, busy.id, new_id()]))
        assert await last_seqs(session, []) == {}
    assert found == {quiet.id: (1, RunStatus.ACCEPTED), busy.id: (3, RunStatus.QUEUED)}
