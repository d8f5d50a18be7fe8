"""The runs that this process executes now, each an asyncio task."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import structlog
from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Abort, Pause
from prefect.flow_engine import run_flow_async
from prefect.states import Cancelled

from contracts.runs import RunError, RunStatus
from database.engine import Database
from database.errors import Fenced
from database.leases import Claimed, finish_run, release_run
from deployments.worker.flow_runs import FlowRuns
from flows.catalogue import load_flow
from flows.durable.event_log import EventLog
from flows.durable.run import Run, enter_run
from llm.door import Door
from runtime.errors import Unavailable

log = structlog.get_logger()

StopReason = Literal["cancelled", "fenced", "draining"]


@dataclass(slots=True)
class Execution:
    """One attempt of one run in this process, and why it was stopped, if it was."""

    run: Run
    flow_run_id: UUID
    task: asyncio.Task[None]
    stopped: StopReason | None = None


class Executions:
    """Starts, stops and settles attempts; the registry that leases and cancellation look at."""

    def __init__(self, database: Database, door: Door, flow_runs: FlowRuns) -> None:
        self.database = database
        self.door = door
        self.flow_runs = flow_runs
        self.events = EventLog(database)
        self.current: dict[UUID, Execution] = {}

    def start(self, claimed: Claimed, flow_run: FlowRun, *, when_done: Callable[[], None]) -> None:
        """Begin to execute a run whose flow run is pending in Prefect."""
        run = Run(
            id=claimed.id,
            attempt=claimed.attempt,
            owner=claimed.owner,
            pipeline=claimed.pipeline,
            database=self.database,
            door=self.door,
            events=self.events,
        )
        task = asyncio.create_task(self._execute(run, flow_run), name=f"run-{run.id}")
        self.current[run.id] = Execution(run, flow_run.id, task)

        def forget(_task: asyncio.Task[None]) -> None:
            self.current.pop(run.id, None)
            when_done()

        task.add_done_callback(forget)

    def stop(self, run_id: UUID, reason: StopReason) -> None:
        """Cancel an attempt; it takes effect at its next await."""
        execution = self.current.get(run_id)
        if execution is None or execution.stopped:
            return
        execution.stopped = reason
        execution.run.cancel_asked = reason == "cancelled"
        execution.task.cancel()

    async def drain(self, seconds: float) -> None:
        """Let runs finish for up to `seconds`, then put the rest back in the queue."""
        tasks = [execution.task for execution in self.current.values()]
        if tasks:
            log.info("draining", runs=len(tasks), seconds=seconds)
            await asyncio.wait(tasks, timeout=seconds)
        for run_id in list(self.current):
            self.stop(run_id, "draining")
        if left := [execution.task for execution in self.current.values()]:
            await asyncio.wait(left, timeout=10)
        await self.events.close()

    async def _execute(self, run: Run, flow_run: FlowRun) -> None:
        with structlog.contextvars.bound_contextvars(
            run_id=str(run.id), attempt=run.attempt, pipeline=run.pipeline
        ):
            enter_run(run)
            state: State[Any] | None = None
            try:
                state = await run_in_engine(load_flow(run.pipeline), flow_run)
            except (Abort, Pause):
                # The engine was told to leave the run alone; whoever told it has written why.
                return
            except asyncio.CancelledError:
                if current := asyncio.current_task():
                    current.uncancel()
            except Exception:
                log.exception("the engine failed")
            try:
                await self._settle(run, flow_run.id, state)
            except Fenced:
                log.info("the lease was lost")
            except Unavailable as error:
                # The lease runs out and the reaper takes it from there.
                log.warning("could not settle a run", code=error.code)

    async def _settle(self, run: Run, flow_run_id: UUID, state: State[Any] | None) -> None:
        """Make the row's state agree with how the engine ended, where the flow could not do it itself."""
        execution = self.current.get(run.id)
        stopped = execution.stopped if execution else None
        if stopped == "fenced":
            return
        if stopped == "cancelled":
            await self.database.write(finish_run, run.id, run.attempt, RunStatus.CANCELLED)
            if state is None or not state.is_cancelled():
                await self.flow_runs.force(flow_run_id, Cancelled(message="Cancelled on request."))
        elif state is not None and state.is_failed():
            error = RunError(code="invalid_parameters", message=state.message or "The flow failed.")
            await self.database.write(finish_run, run.id, run.attempt, RunStatus.FAILED, error=error)
        elif state is None or not state.is_final():
            await self.database.write(release_run, run.id, run.attempt)


async def run_in_engine(flow: Flow[..., Any], flow_run: FlowRun) -> State[Any]:
    """Run one flow run in this process and return its last state."""
    ended = await run_flow_async(
        flow, flow_run=flow_run, parameters=dict(flow_run.parameters), return_type="state"
    )
    assert isinstance(ended, State)  # noqa: S101  what `return_type="state"` promises
    return ended
