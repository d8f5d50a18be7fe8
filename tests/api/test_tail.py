"""The tail itself: no event lost to a slow listener, a gap, an outage or a race."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from api import listener
from api import tail as tail_module
from api.listener import Listener
from api.tail import EventTail
from contracts.runs import Event, Origin, RunStatus
from database.engine import Database, open_database
from database.queue.again import retry_run
from database.queue.events import last_seqs, read_events
from database.queue.runs import accept_run
from database.settings import DatabaseSettings
from runtime.errors import Unavailable
from tests.api.worker import begin, fail, say, succeed, until


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Database]:
    """A database without an API before it."""
    opened = open_database(DatabaseSettings(database_url=SecretStr(store_url)))
    yield opened
    await opened.close()


@pytest.fixture
async def tail(store: Database) -> AsyncIterator[EventTail]:
    """A tail that looks every 5 ms."""
    following = EventTail(store, poll_seconds=0.005)
    yield following
    await following.close()


@pytest.fixture
async def run_id(store: Database) -> UUID:
    """A run that was just accepted."""
    run, _ = await store.write(
        accept_run, pipeline="probe", pool="interactive", params={}, owner="local", origin=Origin.API
    )
    return run.id


async def log_behind(store: Database, run_id: UUID, seq: int) -> list[Event]:
    async with store.read() as session:
        return await read_events(session, run_id, seq)


async def all_of(tail: EventTail, run_id: UUID, after: int = 0) -> list[Event]:
    heard = []
    async with tail.listen(run_id, after) as hearing:
        while not hearing.over:
            heard += await hearing.next(1)
    return heard


async def test_a_listener_slower_than_the_run_misses_nothing(
    tail: EventTail, store: Database, run_id: UUID, monkeypatch: pytest.MonkeyPatch
):
    """Its small buffer overflows; it reads the table from where it stands."""
    monkeypatch.setattr(listener, "BUFFERED_EVENTS", 5)
    claimed = await begin(store)
    heard = []
    async with tail.listen(run_id) as hearing:
        heard += await hearing.next(1)
        for number in range(30):
            await say(store, run_id, str(number))
            await asyncio.sleep(0.01)
        await succeed(store, claimed)
        while not hearing.over:
            heard += await hearing.next(1)

    assert list(range(1, 35)) == [event.seq for event in heard]


async def test_a_log_longer_than_a_page_comes_whole(
    tail: EventTail, store: Database, run_id: UUID, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(listener, "PAGE", 7)
    claimed = await begin(store)
    await say(store, run_id, *map(str, range(50)))
    await succeed(store, claimed)

    assert list(range(1, 55)) == [event.seq for event in await all_of(tail, run_id)]


async def test_a_writer_faster_than_every_look_loses_nothing(tail: EventTail, store: Database, run_id: UUID):
    """Bursts of more than a page between two looks, with listeners that join in the middle."""
    claimed = await begin(store)
    listening = [asyncio.create_task(all_of(tail, run_id))]
    for burst in range(8):
        await say(store, run_id, *(f"{burst}-{n}" for n in range(700)))
        listening.append(asyncio.create_task(all_of(tail, run_id)))
        await asyncio.sleep(0.003 * burst)
    await succeed(store, claimed)

    expected = list(range(1, 8 * 700 + 5))
    for heard in await asyncio.gather(*listening):
        assert expected == [event.seq for event in heard]


async def test_a_place_ahead_of_the_log_is_taken_back(tail: EventTail, store: Database, run_id: UUID):
    """A made-up place must not swallow what is still to come."""
    claimed = await begin(store)
    listening = asyncio.create_task(all_of(tail, run_id, after=1000))
    await asyncio.sleep(0.05)
    await succeed(store, claimed)

    assert [event.seq for event in await listening] == [4]


async def test_a_run_whose_events_were_cleared_away_still_ends(
    tail: EventTail, store: Database, run_id: UUID
):
    """By whoever cleans the database up."""
    await succeed(store, await begin(store))
    await store.write(lambda session: session.execute(text("DELETE FROM run_events")))

    async with asyncio.timeout(60):
        assert await all_of(tail, run_id) == []


async def test_a_run_that_is_gone_ends_its_listeners_and_waiters(
    tail: EventTail, store: Database, run_id: UUID
):
    async with asyncio.timeout(60):
        listening = asyncio.create_task(all_of(tail, run_id))
        waiting = asyncio.create_task(tail.finished(run_id))
        await asyncio.sleep(0.05)
        await store.write(lambda session: session.execute(text("DELETE FROM runs")))
        assert [event.seq for event in await listening] == [1]
        await waiting


async def test_an_outage_delays_but_loses_nothing(
    tail: EventTail, store: Database, run_id: UUID, monkeypatch: pytest.MonkeyPatch
):
    """The table is moved away for a while, as a database would be."""
    monkeypatch.setattr(listener, "PAUSE_AFTER_ERROR_SECONDS", 0.01)
    monkeypatch.setattr("api.tail.PAUSE_AFTER_ERROR_SECONDS", 0.01)
    claimed = await begin(store)
    listening = asyncio.create_task(all_of(tail, run_id))
    await asyncio.sleep(0.03)
    with monkeypatch.context() as outage:
        outage.setattr(store, "read", _away)
        await asyncio.sleep(0.05)
    await say(store, run_id, "after")
    await succeed(store, claimed)

    async with asyncio.timeout(60):
        assert [event.seq for event in await listening] == [1, 2, 3, 4, 5]


async def test_an_event_that_comes_while_the_table_is_read_is_heard_at_once(
    store: Database, run_id: UUID, monkeypatch: pytest.MonkeyPatch
):
    """The read began too early to see it, and the wake-up came too early to be waited for."""
    hearing = Listener(store, run_id, seq=1)

    async def read_too_early(*args: Any) -> list[Event]:
        seen = await read_events(*args)
        await say(store, run_id, "late")
        hearing.offer(await log_behind(store, run_id, 1))
        monkeypatch.undo()
        return seen

    monkeypatch.setattr(listener, "read_events", read_too_early)
    assert [event.seq for event in await hearing.next(1)] == [2]


async def test_an_event_before_the_first_look_is_heard(
    tail: EventTail, store: Database, run_id: UUID, monkeypatch: pytest.MonkeyPatch
):
    """After the listener's own reading and before the tail knows where the log stands."""
    may_look = asyncio.Event()

    async def look_late(*args: Any) -> dict[UUID, tuple[int, RunStatus]]:
        await may_look.wait()
        return await last_seqs(*args)

    monkeypatch.setattr("api.tail.last_seqs", look_late)
    async with tail.listen(run_id) as hearing:
        assert [event.seq for event in await hearing.next(1)] == [1]
        await say(store, run_id, "between")
        may_look.set()
        assert [event.seq for event in await hearing.next(1)] == [2]


async def test_a_gap_is_filled_from_the_table(store: Database, run_id: UUID):
    hearing = Listener(store, run_id, seq=0)
    await hearing.next(1)
    await say(store, run_id, "missed", "offered")
    hearing.offer(await log_behind(store, run_id, 2))

    assert [event.seq for event in await hearing.next(1)] == [2, 3]


async def test_an_event_that_was_heard_is_not_heard_again(store: Database, run_id: UUID):
    """The table and the buffer overlap whenever somebody joins."""
    hearing = Listener(store, run_id, seq=0)
    await say(store, run_id, "a", "b")
    hearing.offer(await log_behind(store, run_id, 0))
    await hearing.next(1)
    await say(store, run_id, "c")
    hearing.offer(await log_behind(store, run_id, 1))

    assert [event.seq for event in await hearing.next(1)] == [4]


async def test_a_reading_that_fails_is_done_again(
    store: Database, run_id: UUID, monkeypatch: pytest.MonkeyPatch
):
    """Also when no further event comes that would show the gap."""
    monkeypatch.setattr(listener, "PAUSE_AFTER_ERROR_SECONDS", 0.01)
    await succeed(store, await begin(store))

    async def fail_once(*_args: Any) -> list[Event]:
        monkeypatch.setattr(listener, "read_events", read_events)
        raise Unavailable("The results database does not answer.", "database_unavailable")

    monkeypatch.setattr(listener, "read_events", fail_once)
    hearing = Listener(store, run_id, seq=0)
    assert await hearing.next(1) == []
    assert [event.seq for event in await hearing.next(1)] == [1, 2, 3, 4]


async def test_the_end_of_an_earlier_attempt_does_not_answer_who_waits_for_a_retry(
    tail: EventTail, store: Database, run_id: UUID, monkeypatch: pytest.MonkeyPatch
):
    """The end was read before the retry, and told to somebody who came after it."""
    claim = await begin(store)
    await fail(store, claim)
    read, retried = asyncio.Event(), asyncio.Event()
    last_seqs = tail_module.last_seqs

    async def held_up(session, run_ids):
        heads = await last_seqs(session, run_ids)
        read.set()
        await retried.wait()
        return heads

    monkeypatch.setattr(tail_module, "last_seqs", held_up)
    early = asyncio.create_task(tail.finished(run_id))
    await read.wait()
    await store.write(retry_run, "local", run_id)
    late = asyncio.create_task(tail.finished(run_id))
    await asyncio.sleep(0)
    monkeypatch.setattr(tail_module, "last_seqs", last_seqs)
    retried.set()
    await early
    again = await begin(store)
    assert not late.done()
    await succeed(store, again)
    async with asyncio.timeout(60):
        await late


async def test_nobody_listening_means_nobody_reading(tail: EventTail, run_id: UUID):
    assert not tail.reading
    async with tail.listen(run_id):
        assert tail.reading
    await until(lambda: not tail.reading)

    async with tail.listen(run_id):
        assert tail.reading


async def test_a_closed_tail_lets_nobody_hang(tail: EventTail, run_id: UUID):
    waiting = asyncio.create_task(tail.finished(run_id))
    await asyncio.sleep(0.02)
    await tail.close()

    async with asyncio.timeout(60):
        await waiting
        await tail.finished(run_id)
        assert await all_of(tail, run_id) == []


def _away() -> None:
    raise Unavailable("The results database does not answer.", "database_unavailable")
