"""Runs that end without a worker: Prefect is told later, and the clock ends what is overdue."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from pydantic import ValidationError

from contracts.runs import RunOptions, RunStatus
from database.queue.leases import bind_flow_run, called_off, claim_runs, finish_run, unclaim_run
from database.queue.reaper import reap_expired
from database.queue.runs import get_run, request_cancel
from database.queue.untold import end_overdue, mark_told, untold_changes
from runtime.clock import utcnow
from tests.fixtures.made_runs import accepted, claimed, comes_due


async def untold(database):
    async with database.read() as session:
        return await untold_changes(session)


async def found(database, run_id):
    async with database.read() as session:
        return await get_run(session, "local", run_id)


async def back_in_the_queue(database):
    """Return a run that has a flow run already and that no worker has."""
    run, flow_run_id = await claimed(database), uuid4()
    await database.write(bind_flow_run, run.id, 1, flow_run_id)
    await database.write(unclaim_run, run.id, 1, 60)
    return run, flow_run_id


async def test_a_run_cancelled_in_the_queue_is_told_to_prefect_once(database):
    """No worker has it, and Prefect would show it as pending for ever."""
    run, flow_run_id = await back_in_the_queue(database)
    assert await untold(database) == []
    await database.write(request_cancel, "local", run.id)
    (change,) = await untold(database)
    assert (change.run_id, change.flow_run_id, change.status) == (run.id, flow_run_id, RunStatus.CANCELLED)
    await database.write(mark_told, change)
    assert await untold(database) == []


async def test_a_run_that_prefect_never_saw_needs_no_telling(database):
    run = await accepted(database)
    await database.write(request_cancel, "local", run.id)
    assert await untold(database) == []


async def test_an_end_that_its_worker_tells_is_not_told_twice(database):
    run = await claimed(database)
    await database.write(bind_flow_run, run.id, 1, uuid4())
    await database.write(finish_run, run.id, 1, RunStatus.SUCCEEDED, {})
    assert await untold(database) == []


async def test_a_dead_run_is_told_to_prefect(database):
    run = await claimed(database, lease_seconds=0.02)
    await database.write(bind_flow_run, run.id, 1, uuid4())
    for _ in range(3):
        await asyncio.sleep(0.05)
        await database.write(reap_expired)
        await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=0.02)
    assert [change.status for change in await untold(database)] == [RunStatus.DEAD]


async def test_a_run_that_is_late_in_the_queue_fails_and_is_never_claimed(database):
    run = await accepted(database, options=RunOptions(deadline_seconds=3600))
    assert await database.write(end_overdue) == []
    await comes_due(database, run.id, "deadline_at")
    assert await database.write(end_overdue) == [run.id]
    late = await found(database, run.id)
    assert (late.status, late.error.code) == (RunStatus.FAILED, "deadline_exceeded")
    assert await database.write(end_overdue) == []
    assert await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15) == []


async def test_a_late_run_that_a_worker_has_is_stopped_by_it(database):
    run = await accepted(database, options=RunOptions(deadline_at=utcnow() + timedelta(hours=1)))
    await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    async with database.read() as session:
        assert await called_off(session, [run.id]) == {}
    await comes_due(database, run.id, "deadline_at")
    assert await database.write(end_overdue) == []
    async with database.read() as session:
        assert await called_off(session, [run.id]) == {run.id: "overdue"}


def test_two_deadlines_are_one_too_many():
    with pytest.raises(ValidationError, match="not both"):
        RunOptions(deadline_at=utcnow(), deadline_seconds=1)
