"""Telling Prefect what became of runs without a worker, while things go on."""

from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.schemas.objects import State

from contracts.runs import RunStatus
from database.engine import Database
from database.queue.again import retry_run
from database.queue.leases import Claimed, bind_flow_run, claim_runs, unclaim_run
from database.queue.runs import request_cancel
from database.queue.untold import untold_changes
from deployments.worker.executions import Executions
from deployments.worker.flow_runs import FlowRuns
from deployments.worker.straighten import tell_changes
from runtime.errors import Unavailable
from tests.fixtures.made_runs import claimed


class Prefect:
    """Notes what it is told, and may do something first, or answer with an error."""

    def __init__(self) -> None:
        self.told: list[tuple[UUID, str]] = []
        self.meanwhile = None
        self.answers: dict[UUID, int] = {}

    async def set_flow_run_state(self, flow_run_id: UUID, state: State, *, force: bool) -> None:
        assert force
        if (code := self.answers.get(flow_run_id)) is not None:
            asked = httpx.Request("POST", "http://prefect/api")
            raise httpx.HTTPStatusError("no", request=asked, response=httpx.Response(code, request=asked))
        self.told.append((flow_run_id, state.name))
        if self.meanwhile is not None:
            await self.meanwhile()


@pytest.fixture
def prefect() -> Prefect:
    return Prefect()


@pytest.fixture
def executions(database: Database, prefect: Prefect) -> Executions:
    # No model is asked here.
    return Executions(database, object(), FlowRuns(prefect, database))  # type: ignore[arg-type]


async def cancelled(database: Database) -> tuple[Claimed, UUID]:
    """Return a run that was cancelled in the queue, and its flow run."""
    run, flow_run_id = await claimed(database), uuid4()
    await database.write(bind_flow_run, run.id, run.attempt, flow_run_id)
    await database.write(unclaim_run, run.id, run.attempt, 60)
    await database.write(request_cancel, "local", run.id)
    return run, flow_run_id


async def untold(database: Database) -> list[tuple[UUID, RunStatus]]:
    async with database.read() as session:
        return [(change.run_id, change.status) for change in await untold_changes(session)]


async def test_a_run_that_was_retried_meanwhile_is_not_called_cancelled_while_it_runs(
    database: Database, executions: Executions, prefect: Prefect
) -> None:
    _first, first = await cancelled(database)
    second, _flow_run = await cancelled(database)

    async def retried() -> None:
        await database.write(retry_run, "local", second.id)
        await database.write(claim_runs, pool="batch", worker="worker-2", limit=1, lease_seconds=15)

    prefect.meanwhile = retried
    await tell_changes(executions)
    assert prefect.told == [(first, "Cancelled")]
    assert await untold(database) == []


async def test_a_change_that_prefect_refuses_does_not_keep_the_others_from_being_told(
    database: Database, executions: Executions, prefect: Prefect
) -> None:
    _first, first = await cancelled(database)
    _second, second = await cancelled(database)
    prefect.answers[first] = 422
    await tell_changes(executions)
    assert prefect.told == [(second, "Cancelled")]
    assert await untold(database) == []


async def test_changes_wait_for_a_prefect_that_is_away(
    database: Database, executions: Executions, prefect: Prefect
) -> None:
    run, flow_run_id = await cancelled(database)
    prefect.answers[flow_run_id] = 503
    with pytest.raises(Unavailable):
        await tell_changes(executions)
    assert await untold(database) == [(run.id, RunStatus.CANCELLED)]
