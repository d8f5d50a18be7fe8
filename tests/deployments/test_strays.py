"""Runs that are leased to a worker which does not know it: the connection broke after the claim's commit."""

import asyncio

from contracts.runs import RunStatus
from database.engine import Database
from database.queue.leases import Claimed, claim_runs
from database.queue.runs import get_run
from deployments.worker.executions import Executions
from deployments.worker.strays import Strays
from tests.fixtures.made_runs import claimed

SOON = 0.05


async def look(strays: Strays) -> None:
    """Look twice, with as much time between as a claim under way may need."""
    await strays.give_back()
    await asyncio.sleep(2 * SOON)
    await strays.give_back()


async def status(database: Database, run: Claimed) -> RunStatus:
    async with database.read() as session:
        return (await get_run(session, "local", run.id)).status


async def again(database: Database) -> list[Claimed]:
    return await database.write(claim_runs, pool="batch", worker="worker-2", limit=5, lease_seconds=15)


def made(database: Database, patience: float = SOON) -> tuple[Executions, Strays]:
    # Nothing is executed here, so nothing asks for a model or Prefect.
    executions = Executions(database, object(), object())  # type: ignore[arg-type]
    return executions, Strays(executions, "worker-1", patience)


async def test_claims_whose_answers_are_lost_do_not_make_a_run_dead_that_never_began(database: Database):
    run = await claimed(database)
    _executions, strays = made(database)
    for attempt in range(2, 7):
        await look(strays)
        (run,) = await database.write(claim_runs, pool="batch", worker="worker-1", limit=1, lease_seconds=15)
        assert run.attempt == attempt
    assert await status(database, run) is RunStatus.QUEUED


async def test_a_claim_that_is_just_under_way_is_not_given_back(database: Database):
    run = await claimed(database)
    _executions, patient = made(database, patience=600)
    await patient.give_back()
    await patient.give_back()
    assert await again(database) == []
    executions, strays = made(database)
    task = asyncio.current_task()
    assert task is not None
    executions.starting[run.id, run.attempt] = task
    await look(strays)
    assert await again(database) == []


async def test_an_attempt_that_broke_here_is_left_to_the_reaper_and_counts(database: Database):
    """Given back blameless, it would be begun and break for ever."""
    run = await claimed(database)
    executions, strays = made(database)
    executions.let_go.add((run.id, run.attempt))
    await look(strays)
    assert await again(database) == []
    assert executions.let_go == {(run.id, run.attempt)}


async def test_what_ended_in_good_order_is_forgotten(database: Database):
    executions, strays = made(database)
    other = await claimed(database, worker="worker-2")
    executions.let_go.add((other.id, other.attempt))
    await look(strays)
    assert executions.let_go == set()
    assert await again(database) == []
