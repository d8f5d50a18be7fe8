"""Runs whose worker stopped answering."""

import asyncio
from uuid import uuid4

import pytest

from contracts.runs import RunStatus
from database.errors import Fenced
from database.queue.leases import bind_flow_run, claim_runs, mark_running
from database.queue.reaper import reap_expired, reap_workers
from database.queue.runs import get_run, request_cancel
from tests.fixtures.made_runs import claimed

MOMENT = 0.05


async def test_a_lost_run_goes_back_to_the_queue_and_keeps_its_flow_run(database):
    """The next worker tells Prefect about the same flow run."""
    run = await claimed(database, lease_seconds=MOMENT)
    flow_run_id = uuid4()
    await database.write(bind_flow_run, run.id, 1, flow_run_id)
    await database.write(mark_running, run.id, 1)
    await asyncio.sleep(2 * MOMENT)
    (reaped,) = await database.write(reap_expired)
    assert (reaped.id, reaped.status, reaped.attempt) == (run.id, RunStatus.QUEUED, 1)
    assert reaped.flow_run_id == flow_run_id
    (again,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    assert (again.id, again.attempt, again.flow_run_id) == (run.id, 2, flow_run_id)


async def test_a_run_with_a_live_lease_is_left_alone(database):
    await claimed(database)
    assert await database.write(reap_expired) == []


async def test_a_run_lost_in_every_attempt_is_dead_and_says_so(database):
    run = await claimed(database, lease_seconds=MOMENT)
    for expected in (RunStatus.QUEUED, RunStatus.QUEUED, RunStatus.DEAD):
        await asyncio.sleep(2 * MOMENT)
        (reaped,) = await database.write(reap_expired)
        assert reaped.status is expected
        await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=MOMENT)
    async with database.read() as session:
        dead = await get_run(session, "local", run.id)
    assert dead.status is RunStatus.DEAD
    assert dead.error.code == "worker_lost"
    assert dead.finished_at is not None


async def test_a_lost_run_that_was_to_be_cancelled_is_cancelled(database):
    run = await claimed(database, lease_seconds=MOMENT)
    await database.write(request_cancel, "local", run.id)
    await asyncio.sleep(2 * MOMENT)
    (reaped,) = await database.write(reap_expired)
    assert (reaped.id, reaped.status) == (run.id, RunStatus.CANCELLED)


async def test_reapers_that_meet_reap_each_run_once(database):
    ids = {(await claimed(database, lease_seconds=MOMENT)).id for _ in range(10)}
    await asyncio.sleep(2 * MOMENT)
    found = await asyncio.gather(*(database.write(reap_expired) for _ in range(5)))
    reaped = [one.id for some in found for one in some]
    assert len(reaped) == 10
    assert set(reaped) == ids


async def test_the_runs_of_a_worker_that_is_known_to_be_gone_are_free_at_once(database):
    lost = await claimed(database, worker="gone", lease_seconds=600)
    kept = await claimed(database, worker="alive", lease_seconds=600)
    (reaped,) = await database.write(reap_workers, ["gone", "never seen"])
    assert (reaped.id, reaped.status, reaped.attempt) == (lost.id, RunStatus.QUEUED, 1)
    (again,) = await database.write(claim_runs, pool="batch", worker="alive", limit=5, lease_seconds=15)
    assert (again.id, again.attempt) == (lost.id, 2)
    await database.write(mark_running, kept.id, kept.attempt)


async def test_a_worker_that_was_wrongly_taken_for_gone_changes_nothing_any_more(database):
    run = await claimed(database, worker="slow", lease_seconds=600)
    await database.write(reap_workers, ["slow"])
    with pytest.raises(Fenced):
        await database.write(mark_running, run.id, run.attempt)
    assert await database.write(reap_workers, ["slow"]) == []
