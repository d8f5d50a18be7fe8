"""A worker that stops: what it has not begun costs no attempt."""

import asyncio
from dataclasses import replace
from typing import Any, cast
from uuid import UUID, uuid4

import anyio
import pytest
import sqlalchemy as sa
from prefect.client.schemas.objects import FlowRun, WorkPool

from database.engine import Database
from database.queue.leases import claim_runs
from database.tables import RunRow, core
from deployments.worker.executions import Executions
from deployments.worker.flow_runs import FlowRuns
from deployments.worker.prefect_worker import MillraceWorker
from deployments.worker.upkeep import Upkeep
from tests.fixtures.made_runs import claimed


class SlowPrefect:
    """Never answers."""

    async def read_flow_run(self, _flow_run_id: UUID) -> None:
        await asyncio.Event().wait()


async def test_a_run_that_was_still_starting_when_its_worker_stopped_costs_no_attempt(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease ran out and it counted as lost; three deployments in a row made it dead."""
    worker = MillraceWorker("batch")
    monkeypatch.setattr(worker, "_limiter", anyio.CapacityLimiter(5))
    # No model is asked here.
    worker.executions = Executions(database, object(), FlowRuns(SlowPrefect(), database))  # type: ignore[arg-type]
    run = await claimed(database)
    for attempt in range(2, 6):
        bound = replace(run, flow_run_id=uuid4())
        worker.take_slot(bound)
        taking = asyncio.create_task(worker.take(bound))
        await worker.executions.drain(0)
        assert taking.cancelled()
        assert worker.free_slots() == 5
        assert worker.executions.starting == {}
        (run,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
        assert run.attempt == attempt


async def test_a_flow_run_that_was_being_adopted_when_its_worker_stopped_costs_no_attempt(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row was committed, and the worker that had its lease was gone before it knew."""
    worker = stopping(database, monkeypatch)
    flow_run = FlowRun(id=uuid4(), flow_id=uuid4(), parameters={"params": {}}, name="scheduled")
    proposed, go = asyncio.Event(), asyncio.Event()

    async def pending(_flow_run: FlowRun) -> bool:
        proposed.set()
        await go.wait()
        return True

    async def pipeline_of(*_: object) -> str:
        return "analysis"

    monkeypatch.setattr(worker, "_propose_pending_state", pending)
    monkeypatch.setattr(FlowRuns, "pipeline_of", pipeline_of)
    adopting = asyncio.create_task(worker._submit_run(flow_run))  # noqa: SLF001  as the base class does
    await proposed.wait()
    draining = asyncio.create_task(worker.executions.drain(0))
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(adopting, draining)
    (run,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    assert (run.flow_run_id, run.attempt) == (flow_run.id, 2)
    assert await maximum(database, run.id) == 4


async def test_a_worker_that_stops_adopts_nothing_more(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = stopping(database, monkeypatch)
    await worker.executions.drain(0)
    assert await worker.get_and_submit_flow_runs() == []
    await worker._submit_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="late"))  # noqa: SLF001  as above
    assert await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15) == []


async def test_a_claim_that_was_cut_off_at_the_stop_of_its_worker_costs_no_attempt(
    database: Database,
) -> None:
    """Committed or not: whoever leaves looks once more what is leased to it."""
    run = await claimed(database, worker="leaving")
    executions = Executions(database, object(), object())  # type: ignore[arg-type]  nothing is executed
    upkeep = Upkeep("leaving", "batch", executions, *cast("Any", [None] * 5))
    await upkeep.leave()
    (again,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    assert (again.id, again.attempt) == (run.id, 2)
    assert await maximum(database, run.id) == 4


def stopping(database: Database, monkeypatch: pytest.MonkeyPatch) -> MillraceWorker:
    """Return a worker with one place taken, as the base class takes it for what Prefect has scheduled."""
    worker = MillraceWorker("batch")
    monkeypatch.setattr(worker, "_limiter", anyio.CapacityLimiter(5))
    monkeypatch.setattr(worker, "_release_limit_slot", lambda _flow_run_id: None)
    pool = WorkPool(name="batch", type="millrace", base_job_template=worker.get_default_base_job_template())
    monkeypatch.setattr(worker, "_work_pool", pool)
    worker.executions = Executions(database, object(), FlowRuns(SlowPrefect(), database))  # type: ignore[arg-type]
    return worker


async def maximum(database: Database, run_id: UUID) -> int:
    """Return the number of the last attempt that a run may have: one more for each that cost it nothing."""
    runs = core(RunRow)
    async with database.read() as session:
        return int(
            (await session.execute(sa.select(runs.c.max_attempts).where(runs.c.id == run_id))).scalar_one()
        )
