"""Flow runs that a worker told wrongly of, because it did not know better, with a real Prefect."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import UUID

import prefect.flow_engine
import prefect.results
import pytest
from prefect import flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectAlreadyExists
from prefect.states import Completed, Crashed, Pending, Running, Suspended

from contracts.runs import RunError, RunStatus, Waiting, WaitKind
from database.engine import Database
from database.queue.leases import Claimed, bind_flow_run, finish_run
from database.queue.parking import park_run
from deployments.worker import engine_seams
from deployments.worker import straighten as straightening
from deployments.worker.executions import Executions
from deployments.worker.flow_runs import FlowRuns
from flows.durable.pipeline import CANCELLED_BY_US
from llm.door import Door
from tests.fixtures.made_runs import claimed

FOR_ANNA = Waiting(kind=WaitKind.PERSON, reason="Anna must say yes", about="anna")
GONE = RunError(code="worker_lost", message="Its workers went away.")


@flow(name="straightened")
async def nothing() -> None:
    """What the flow runs are of; it is never executed."""


@pytest.fixture
async def deployment(client: PrefectClient) -> UUID:
    """A deployment in the pool `batch`: workers look at the flow runs of their pool only."""
    with suppress(ObjectAlreadyExists):
        await client.create_work_pool(WorkPoolCreate(name="batch", type="millrace"))
    return await client.create_deployment(
        await client.create_flow(nothing), name="straightened", work_pool_name="batch"
    )


@pytest.fixture
async def executions(database: Database, client: PrefectClient) -> AsyncIterator[Executions]:
    door = Door.open()
    yield Executions(database, door, FlowRuns(client, database))
    await door.close()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is too young to be looked at."""
    monkeypatch.setattr(straightening, "SETTLED_SECONDS", -60)
    monkeypatch.setattr(straightening, "ORPHANED_SECONDS", -60)


async def begun(database: Database, client: PrefectClient, deployment: UUID) -> tuple[Claimed, FlowRun]:
    """Return a run that a worker has, and its flow run."""
    run = await claimed(database)
    flow_run = await client.create_flow_run_from_deployment(
        deployment, parameters={"params": run.params}, state=Pending(), idempotency_key=str(run.id)
    )
    await database.write(bind_flow_run, run.id, 1, flow_run.id)
    return run, flow_run


async def states_of(client: PrefectClient, flow_run: FlowRun) -> list[StateType]:
    return [state.type for state in await client.read_flow_run_states(flow_run.id)]


async def started_slowly(
    executions: Executions, run: Claimed, flow_run: FlowRun, monkeypatch: pytest.MonkeyPatch
) -> asyncio.Event:
    """Start a run with a Prefect that does not answer before its first line; return what its end sets."""
    for name in (*engine_seams.SEAMS, engine_seams.TELL):  # what the worker takes over is given back
        monkeypatch.setattr(prefect.flow_engine, name, getattr(prefect.flow_engine, name))
    storage = getattr(prefect.results, engine_seams.RESULT_STORAGE)
    monkeypatch.setattr(prefect.results, engine_seams.RESULT_STORAGE, storage)
    engine_seams.own_the_process()
    asked, ended, propose = asyncio.Event(), asyncio.Event(), engine_seams.propose_state

    async def slow(*args: Any, **kwargs: Any) -> State:
        asked.set()
        await asyncio.sleep(0 if kwargs.get("force") else 60)
        return await propose(*args, **kwargs)

    monkeypatch.setattr(engine_seams, "propose_state", slow)
    executions.start(run, flow_run, when_done=ended.set)
    await asyncio.wait_for(asked.wait(), 60)
    return ended


@pytest.mark.parametrize("late", [Crashed(), Suspended(), Running(), Pending()], ids=lambda late: late.name)
async def test_what_a_woken_worker_said_after_the_end_is_put_right(
    database: Database, client: PrefectClient, deployment: UUID, executions: Executions, late: State
) -> None:
    """A run that succeeded elsewhere was shown as crashed or suspended for ever."""
    run, flow_run = await begun(database, client, deployment)
    await database.write(finish_run, run.id, 1, RunStatus.SUCCEEDED, result={})
    await client.set_flow_run_state(flow_run.id, Completed(), force=True)
    await client.set_flow_run_state(flow_run.id, late, force=True)

    await straightening.straighten(executions, "batch")

    assert (await client.read_flow_run(flow_run.id)).state.type is StateType.COMPLETED


async def test_what_is_rightly_crashed_or_suspended_stays_as_it_is(
    database: Database, client: PrefectClient, deployment: UUID, executions: Executions
) -> None:
    dead, crashed = await begun(database, client, deployment)
    await client.set_flow_run_state(crashed.id, Crashed(), force=True)
    await database.write(finish_run, dead.id, 1, RunStatus.DEAD, error=GONE)
    waits, suspended = await begun(database, client, deployment)
    await client.set_flow_run_state(suspended.id, Suspended(message=FOR_ANNA.reason), force=True)
    await database.write(park_run, waits.id, 1, FOR_ANNA, told=True)

    await straightening.straighten(executions, "batch")

    assert await states_of(client, crashed) == [StateType.PENDING, StateType.CRASHED]
    assert await states_of(client, suspended) == [StateType.PENDING, StateType.PAUSED]


async def test_an_attempt_that_lost_its_lease_while_it_began_tells_prefect_nothing(
    database: Database,
    client: PrefectClient,
    deployment: UUID,
    executions: Executions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine calls what is stopped before its first line crashed, by force, whoever has it by now."""
    run, flow_run = await begun(database, client, deployment)
    ended = await started_slowly(executions, run, flow_run, monkeypatch)
    await client.set_flow_run_state(flow_run.id, Completed(), force=True)

    executions.give_up(run.id, run.attempt)
    await asyncio.wait_for(ended.wait(), 60)

    assert await states_of(client, flow_run) == [StateType.PENDING, StateType.COMPLETED]


async def test_an_attempt_that_is_cancelled_while_it_begins_is_told_as_cancelled(
    database: Database,
    client: PrefectClient,
    deployment: UUID,
    executions: Executions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is still ours, so Prefect hears how it ended."""
    run, flow_run = await begun(database, client, deployment)
    ended = await started_slowly(executions, run, flow_run, monkeypatch)

    executions.stop(run.id, "cancelled")
    await asyncio.wait_for(ended.wait(), 60)

    state = (await client.read_flow_run(flow_run.id)).state
    assert (state.type, state.message) == (StateType.CANCELLED, CANCELLED_BY_US)
