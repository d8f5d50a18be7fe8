"""Runs that wait: nothing holds them, and no wake is lost or felt twice."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from contracts.runs import RunStatus, Waiting, WaitKind
from database.engine import open_database
from database.errors import Fenced
from database.journal.calls import commit_call, reserve_call
from database.queue.events import read_events
from database.queue.leases import adopt_run, bind_flow_run, claim_runs, finish_run, has_claimable
from database.queue.parking import (
    cancel_waiting,
    park_run,
    resume_run,
    waiting_flow_runs,
    wake_due,
    wake_run,
    wake_waiting_for,
)
from database.queue.reaper import reap_expired
from database.queue.runs import get_run, request_cancel
from database.settings import DatabaseSettings
from database.tables import RunRow, core
from runtime.clock import utcnow
from runtime.errors import Conflict, NotFound
from tests.database.test_leases import ADOPTION
from tests.fixtures.made_runs import ANSWER, CALL, claimed

RUNS = core(RunRow)
FOR_ANNA = Waiting(kind=WaitKind.PERSON, reason="Anna must say yes", about="anna")


async def waits(database, **about):
    run = await claimed(database)
    await database.write(park_run, run.id, 1, FOR_ANNA.model_copy(update=about))
    return run


async def claim(database, worker="w"):
    (run,) = await database.write(claim_runs, pool="batch", worker=worker, limit=1, lease_seconds=15)
    return run


async def now_of(database, run):
    async with database.read() as session:
        return await get_run(session, "local", run.id)


async def test_a_parked_run_says_why_and_holds_nothing(database):
    run = await claimed(database)
    assert await database.write(park_run, run.id, 1, FOR_ANNA) is RunStatus.WAITING

    parked = await now_of(database, run)
    assert (parked.status, parked.waiting) == (RunStatus.WAITING, FOR_ANNA)
    async with database.read() as session:
        assert not await has_claimable(session, "batch")
        last = (await read_events(session, run.id))[-1]
    assert last.data["status"] == "waiting"
    assert last.data["waiting"]["reason"] == "Anna must say yes"
    assert await database.write(reap_expired) == []


async def test_a_woken_run_begins_its_next_attempt_and_no_longer_says_why(database):
    run = await waits(database)
    assert await database.write(wake_run, run.id)
    assert (await now_of(database, run)).waiting is None
    assert (await claim(database)).attempt == 2


async def test_waking_twice_is_waking_once(database):
    run = await waits(database)
    woken = await asyncio.gather(*(database.write(wake_run, run.id) for _ in range(10)))
    assert woken.count(True) == 1


async def test_a_run_may_wait_a_hundred_times(database):
    """Three attempts are for workers that die; a wait is no such attempt."""
    run = await claimed(database)
    for attempt in range(1, 101):
        await database.write(park_run, run.id, attempt, FOR_ANNA)
        await database.write(wake_run, run.id)
        assert (await claim(database)).attempt == attempt + 1
    assert (await now_of(database, run)).status is RunStatus.QUEUED
    for expected in (RunStatus.QUEUED, RunStatus.QUEUED, RunStatus.DEAD):
        await lose(database, run)
        (reaped,) = await database.write(reap_expired)
        assert reaped.status is expected
        if expected is RunStatus.QUEUED:
            await claim(database)


async def lose(database, run):
    past = sa.update(RUNS).where(RUNS.c.id == run.id).values(lease_until=utcnow() - timedelta(hours=1))
    await database.write(lambda session: session.execute(past))


async def test_what_came_before_the_commit_of_the_parking_is_not_missed(database):
    run = await claimed(database)

    async def came(_session):
        return True

    assert await database.write(park_run, run.id, 1, FOR_ANNA, came) is RunStatus.QUEUED
    assert (await now_of(database, run)).waiting is None
    assert (await claim(database)).attempt == 2


async def test_a_wake_that_races_with_the_parking_is_never_lost(database, database_url):
    """The decision is a row: whoever writes it wakes the run, and who parks reads it. Two processes."""
    other = open_database(DatabaseSettings(database_url=SecretStr(database_url)))
    for _ in range(30):
        run, thing = await claimed(database), await claimed(database, worker="the thing")
        await asyncio.gather(
            database.write(park_run, run.id, 1, FOR_ANNA, decision_of(thing)),
            other.write(decide, thing, run),
        )
        assert (await now_of(database, run)).status is RunStatus.QUEUED
        assert (await claim(database)).id == run.id
    await other.close()


def decision_of(thing):
    async def decided(session):
        query = sa.select(RUNS.c.priority).where(RUNS.c.id == thing.id)
        return (await session.execute(query)).scalar_one() == 1

    return decided


async def decide(session, thing, run):
    await session.execute(sa.update(RUNS).where(RUNS.c.id == thing.id).values(priority=1))
    await asyncio.sleep(0)
    await wake_run(session, run.id)


async def test_only_the_attempt_that_holds_the_run_may_park_it(database):
    run = await claimed(database)
    await lose(database, run)
    await database.write(reap_expired)
    with pytest.raises(Fenced):
        await database.write(park_run, run.id, 1, FOR_ANNA)


async def test_a_run_that_was_to_be_cancelled_does_not_go_to_sleep(database):
    run = await claimed(database)
    await database.write(request_cancel, "local", run.id)
    assert await database.write(park_run, run.id, 1, FOR_ANNA) is RunStatus.CANCELLED
    assert (await now_of(database, run)).status is RunStatus.CANCELLED


async def test_a_waiting_run_is_cancelled_at_once(database):
    run = await waits(database)
    cancelled = await database.write(request_cancel, "local", run.id)
    assert (cancelled.status, cancelled.waiting) == (RunStatus.CANCELLED, None)
    assert not await database.write(wake_run, run.id)


async def test_a_waiting_run_that_prefect_cancelled_is_cancelled(database):
    run, other = await claimed(database), await waits(database)
    flow_run_id = uuid4()
    await database.write(bind_flow_run, run.id, 1, flow_run_id)
    assert await database.write(cancel_waiting, [flow_run_id]) == []
    await database.write(park_run, run.id, 1, FOR_ANNA)
    async with database.read() as session:
        assert await waiting_flow_runs(session, "batch", 10) == [flow_run_id]
    assert await database.write(cancel_waiting, [flow_run_id]) == [run.id]
    assert (await now_of(database, other)).status is RunStatus.WAITING


async def test_an_alarm_wakes_a_run_once_and_not_before_its_time(database):
    due = await waits(database, wake_at=utcnow() - timedelta(seconds=1))
    later = await waits(database, wake_at=utcnow() + timedelta(hours=1))
    never = await waits(database)
    woken = await asyncio.gather(*(database.write(wake_due) for _ in range(5)))
    assert [run_id for some in woken for run_id in some] == [due.id]
    assert (await now_of(database, later)).status is RunStatus.WAITING
    assert (await now_of(database, never)).status is RunStatus.WAITING


async def test_all_that_wait_for_one_thing_wake_together(database):
    first, second = await waits(database), await waits(database)
    other = await waits(database, about="bert")
    assert await database.write(wake_waiting_for, "anna") == [first.id, second.id]
    assert await database.write(wake_waiting_for, "anna") == []
    assert (await now_of(database, other)).status is RunStatus.WAITING


async def test_a_waiting_run_is_resumed_by_its_owner_only(database):
    run = await waits(database)
    with pytest.raises(NotFound):
        await database.write(resume_run, "someone else", run.id)
    assert (await database.write(resume_run, "local", run.id)).status is RunStatus.QUEUED
    with pytest.raises(Conflict) as refused:
        await database.write(resume_run, "local", run.id)
    assert refused.value.code == "not_waiting"


async def test_a_waiting_run_that_prefect_resumes_goes_on(database):
    """Its flow run comes back as scheduled, by the road of the UI."""
    flow_run_id = uuid4()
    run = await database.write(adopt_run, flow_run_id=flow_run_id, worker="w", **ADOPTION)
    await database.write(park_run, run.id, 1, FOR_ANNA)
    again = await database.write(adopt_run, flow_run_id=flow_run_id, worker="w", **ADOPTION)
    assert (again.id, again.attempt) == (run.id, 2)
    assert (await now_of(database, run)).waiting is None
    await database.write(finish_run, run.id, 2, RunStatus.SUCCEEDED, {})


async def test_a_call_in_flight_when_its_run_parked_is_still_written_down(database):
    """A thread that was asking a model while another part of the run stopped: the answer was paid."""
    run = await claimed(database)
    await database.write(reserve_call, run.id, 1, CALL)
    await database.write(park_run, run.id, 1, FOR_ANNA)
    await database.write(commit_call, run.id, 1, CALL, ANSWER)
    with pytest.raises(Fenced):
        await database.write(reserve_call, run.id, 1, replace(CALL, n=1))
