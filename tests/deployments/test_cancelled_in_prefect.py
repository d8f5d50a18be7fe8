"""A flow run that was cancelled in Prefect while its run stood in the queue, with a real Prefect."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Cancelling, Pending, Running, Suspended

from contracts.runs import RunStatus, Waiting, WaitKind
from database.engine import Database
from database.queue.again import retry_run
from database.queue.leases import Claimed, bind_flow_run, claim_runs, finish_run
from database.queue.parking import cancel_waiting, park_run, wake_run
from database.queue.runs import get_run, request_cancel
from deployments.worker import straighten as straightening
from deployments.worker.executions import Executions
from deployments.worker.flow_runs import REFUSED, FlowRuns
from deployments.worker.prefect_worker import MillraceWorker
from deployments.worker.straighten import tell_changes
from flows.durable.pipeline import CANCELLED_BY_US
from llm.door import Door
from runtime.errors import BadInput, Unavailable
from tests.fixtures.made_runs import claimed

FOR_ANNA = Waiting(kind=WaitKind.PERSON, reason="Anna must say yes", about="anna")


@flow
async def nothing() -> None:
    """What the flow run is of; it is never executed."""


@pytest.fixture
async def worker(database: Database, client: PrefectClient) -> AsyncIterator[MillraceWorker]:
    """A worker that looks for nothing by itself."""
    door = Door.open()
    made = MillraceWorker("batch")
    made.executions = Executions(database, door, FlowRuns(client, database))
    yield made
    await made.executions.drain(0)
    await door.close()


async def suspended(database: Database, client: PrefectClient) -> Claimed:
    """Return a run that waits, in Prefect as well."""
    run = await claimed(database)
    flow_run = await client.create_flow_run(nothing, state=Pending())
    await database.write(bind_flow_run, run.id, 1, flow_run.id)
    await client.set_flow_run_state(flow_run.id, Suspended(message="Anna must say yes"), force=True)
    await database.write(park_run, run.id, 1, FOR_ANNA, told=True)
    return run


async def claim(database: Database) -> Claimed:
    (run,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    return run


async def status_of(database: Database, run: Claimed) -> RunStatus:
    async with database.read() as session:
        return (await get_run(session, "local", run.id)).status


async def flow_run_of(database: Database, run: Claimed) -> UUID:
    async with database.read() as session:
        flow_run_id = (await get_run(session, "local", run.id)).flow_run_id
    assert flow_run_id
    return flow_run_id


async def cancel_in_prefect(client: PrefectClient, run: Claimed) -> None:
    """What the Cancel button does."""
    assert run.flow_run_id
    await client.set_flow_run_state(run.flow_run_id, State(type=StateType.CANCELLING))
    assert (await client.read_flow_run(run.flow_run_id)).state.type is StateType.CANCELLED


async def test_a_run_that_is_cancelled_in_prefect_just_after_it_was_woken_does_not_go_on(
    database: Database, client: PrefectClient, worker: MillraceWorker
):
    """It did not wait any more, so nobody heard, and the next claim took the flow run back to pending."""
    run = await suspended(database, client)
    await database.write(wake_run, run.id)
    again = await claim(database)
    await cancel_in_prefect(client, again)
    assert again.flow_run_id
    assert await database.write(cancel_waiting, [again.flow_run_id]) == []

    assert not await worker.start_claimed(again)

    assert await status_of(database, run) is RunStatus.CANCELLED
    state = (await client.read_flow_run(again.flow_run_id)).state
    assert state.type is StateType.CANCELLED


@pytest.mark.parametrize("button", ["suspended", "pending"])
async def test_a_run_that_is_cancelled_in_prefect_while_it_is_claimed_does_not_go_on(
    database: Database,
    client: PrefectClient,
    worker: MillraceWorker,
    monkeypatch: pytest.MonkeyPatch,
    button: str,
):
    """The claim had read the state a moment before, and took the flow run back to pending by force."""
    run = await suspended(database, client)
    await database.write(wake_run, run.id)
    again = await claim(database)
    assert again.flow_run_id
    read = client.read_flow_run

    async def read_and_cancel(flow_run_id: UUID) -> FlowRun:
        monkeypatch.setattr(client, "read_flow_run", read)
        found = await read(flow_run_id)
        cancelled = {"suspended": State(type=StateType.CANCELLING), "pending": Cancelling()}[button]
        await client.set_flow_run_state(flow_run_id, cancelled, force=button == "pending")
        return found

    monkeypatch.setattr(client, "read_flow_run", read_and_cancel)

    assert not await worker.start_claimed(again)

    assert await status_of(database, run) is RunStatus.CANCELLED
    await tell_changes(worker.executions)
    assert (await client.read_flow_run(again.flow_run_id)).state.type is StateType.CANCELLED


async def test_a_run_whose_parameters_prefect_refuses_is_not_shown_as_suspended_for_ever(
    database: Database, client: PrefectClient, worker: MillraceWorker, monkeypatch: pytest.MonkeyPatch
):
    """It ended before anything was executed, so nobody told Prefect of its end."""
    run = await suspended(database, client)
    await database.write(wake_run, run.id)
    again = await claim(database)
    assert again.flow_run_id

    async def refuse(*_: object) -> None:
        raise BadInput("Prefect refused the run's parameters", code=REFUSED)

    monkeypatch.setattr(worker.executions.flow_runs.__class__, "of", refuse)

    assert not await worker.start_claimed(again)

    assert await status_of(database, run) is RunStatus.FAILED
    await tell_changes(worker.executions)
    assert (await client.read_flow_run(again.flow_run_id)).state.type is StateType.FAILED


async def test_a_flow_run_that_prefect_refuses_keeps_no_other_from_being_straightened(
    database: Database, client: PrefectClient, worker: MillraceWorker, monkeypatch: pytest.MonkeyPatch
):
    """The first refusal ended the round, every time, and all behind it stayed as they were for ever."""
    runs = [await suspended(database, client) for _ in range(2)]
    flow_runs = [await flow_run_of(database, run) for run in runs]
    for run, flow_run_id in zip(runs, flow_runs, strict=True):
        await database.write(request_cancel, "local", run.id)
        await client.set_flow_run_state(flow_run_id, Running(), force=True)
    under_way = [await client.read_flow_run(each) for each in flow_runs]
    force = worker.executions.flow_runs.force

    async def refuse_first(_self: FlowRuns, flow_run_id: UUID, state: State) -> None:
        if flow_run_id == flow_runs[0]:
            raise Unavailable("Prefect refused a state", code=REFUSED)
        await force(flow_run_id, state)

    async def all_of_them(*_: object) -> list[FlowRun]:
        return under_way

    monkeypatch.setattr(FlowRuns, "force", refuse_first)
    monkeypatch.setattr(straightening.shadows, "under_way", all_of_them)
    monkeypatch.setattr(straightening, "SETTLED_SECONDS", -60)
    monkeypatch.setattr(straightening, "ORPHANED_SECONDS", -60)

    await straightening.straighten(worker.executions, "batch")

    assert (await client.read_flow_run(flow_runs[1])).state.type is StateType.CANCELLED


async def test_a_run_that_is_retried_after_it_was_cancelled_in_prefect_goes_on(
    database: Database, client: PrefectClient, worker: MillraceWorker
):
    """In Prefect it is still cancelled, by the old wish."""
    run = await suspended(database, client)
    await database.write(wake_run, run.id)
    again = await claim(database)
    await cancel_in_prefect(client, again)
    await database.write(finish_run, run.id, again.attempt, RunStatus.CANCELLED)
    await database.write(retry_run, "local", run.id)

    flow_run = await worker.executions.flow_runs.of(await claim(database))

    assert (flow_run.id, flow_run.state.type) == (again.flow_run_id, StateType.PENDING)


async def test_what_a_worker_tells_prefect_late_of_a_cancelled_run_does_not_end_its_retry(
    database: Database, client: PrefectClient, worker: MillraceWorker
):
    """The row ends first: somebody may retry the run before Prefect has heard of its end."""
    run = await suspended(database, client)
    await database.write(wake_run, run.id)
    again = await claim(database)
    await database.write(finish_run, run.id, again.attempt, RunStatus.CANCELLED)
    await database.write(retry_run, "local", run.id)
    assert again.flow_run_id
    await client.set_flow_run_state(again.flow_run_id, Cancelled(message=CANCELLED_BY_US), force=True)

    flow_run = await worker.executions.flow_runs.of(await claim(database))

    assert (flow_run.id, flow_run.state.type) == (again.flow_run_id, StateType.PENDING)


async def test_a_retried_run_that_is_cancelled_in_prefect_once_more_does_not_go_on(
    database: Database, client: PrefectClient, worker: MillraceWorker
):
    run = await suspended(database, client)
    await database.write(wake_run, run.id)
    again = await claim(database)
    await database.write(finish_run, run.id, again.attempt, RunStatus.FAILED)
    await database.write(retry_run, "local", run.id)
    assert again.flow_run_id
    await client.set_flow_run_state(again.flow_run_id, Cancelled(), force=True)

    assert not await worker.start_claimed(await claim(database))

    assert await status_of(database, run) is RunStatus.CANCELLED
