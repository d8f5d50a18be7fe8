"""The runs that this process executes now, each an asyncio task."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar
from uuid import UUID

import httpx
import structlog
from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Abort, Pause
from prefect.flow_engine import run_flow_async
from prefect.states import Cancelled

from contracts.runs import RunError, RunStatus
from database.engine import Database, WriteSession
from database.errors import Fenced
from database.leases import Claimed, finish_run, release_run, unclaim_run
from database.patience import outlast
from deployments.worker.flow_runs import FlowRuns
from flows.catalogue import load_flow
from flows.durable.event_log import EventLog
from flows.durable.run import Run, enter_run
from llm.door import Door
from runtime.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger()

StopReason = Literal["cancelled", "fenced", "draining"]

# How long a run waits in the queue that Prefect did not let begin.
PREFECT_RETRY_SECONDS = 1.0


@dataclass(slots=True)
class Execution:
    """One attempt of one run in this process, and why it was stopped, if it was."""

    run: Run
    flow_run_id: UUID
    task: asyncio.Task[None] | None = None
    stopped: StopReason | None = None


class Executions:
    """Starts, stops and settles attempts; the registry that leases and cancellation look at."""

    def __init__(self, database: Database, door: Door, flow_runs: FlowRuns) -> None:
        self.database = database
        self.door = door
        self.flow_runs = flow_runs
        self.events = EventLog(database)
        self.current: dict[UUID, Execution] = {}
        # Claimed and not yet executing: their leases are ours to keep as well.
        self.starting: dict[tuple[UUID, int], asyncio.Task[Any]] = {}

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
        # A worker that was frozen past its lease may get its own run back while the old attempt still lives.
        self.stop(run.id, "fenced")
        execution = Execution(run, flow_run.id)
        execution.task = asyncio.create_task(self._execute(execution, flow_run), name=f"run-{run.id}")
        self.current[run.id] = execution

        def forget(_task: asyncio.Task[None]) -> None:
            if self.current.get(run.id) is execution:
                del self.current[run.id]
            when_done()

        execution.task.add_done_callback(forget)

    def held(self) -> dict[UUID, int]:
        """Return the attempts whose leases this process keeps."""
        current = {run_id: execution.run.attempt for run_id, execution in self.current.items()}
        # The tuples of its keys are run and attempt.
        return current | dict(self.starting.keys())

    def give_up(self, run_id: UUID, attempt: int) -> None:
        """Stop an attempt whose lease is lost: another worker may execute the run by now."""
        if (starting := self.starting.get((run_id, attempt))) is not None:
            starting.cancel()
        execution = self.current.get(run_id)
        if execution is not None and execution.run.attempt == attempt:
            self.stop(run_id, "fenced")

    def stop(self, run_id: UUID, reason: StopReason) -> None:
        """Cancel an attempt; it takes effect at its next await. One that is ending is left to end."""
        execution = self.current.get(run_id)
        if execution is None or execution.task is None or execution.stopped or execution.run.ending:
            return
        execution.stopped = reason
        execution.run.cancel_asked = reason == "cancelled"
        execution.run.lease_lost = reason == "fenced"
        execution.task.cancel()

    async def drain(self, seconds: float) -> None:
        """Let runs finish for up to `seconds`, then put the rest back in the queue."""
        if tasks := self._tasks():
            log.info("draining", runs=len(tasks), seconds=seconds)
            await asyncio.wait(tasks, timeout=seconds)
        for run_id in list(self.current):
            self.stop(run_id, "draining")
        if left := self._tasks():
            await asyncio.wait(left, timeout=10)
        await self.events.close()

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [each.task for each in self.current.values() if each.task is not None]

    async def _execute(self, execution: Execution, flow_run: FlowRun) -> None:
        run = execution.run
        with structlog.contextvars.bound_contextvars(
            run_id=str(run.id), attempt=run.attempt, pipeline=run.pipeline
        ):
            enter_run(run)
            state: State[Any] | None = None
            try:
                state = await run_in_engine(load_flow(run.pipeline), flow_run)
            except Pause:
                # The engine was told to leave the run alone; whoever told it has written why.
                return
            except Abort as told:
                # The lease is lost, or Prefect refused a change of state (a repeated one whose first answer
                # was lost): what is still ours goes back to the queue.
                log.info("the engine let go of a run", reason=str(told))
            except httpx.HTTPError as error:
                log.warning("Prefect does not answer", error=type(error).__name__)
                if not run.begun:
                    await self._put_back(run)
                    return
            except asyncio.CancelledError:
                if current := asyncio.current_task():
                    current.uncancel()
            except Exception:
                log.exception("the engine failed")
            try:
                await self._settle(execution, state)
            except Fenced:
                log.info("the lease was lost")
            except Unavailable as error:
                # Prefect: `straighten` tells it later.
                log.warning("could not settle a run", code=error.code)

    async def _put_back(self, run: Run) -> None:
        """Give back a run whose first line was not reached; the attempt does not count."""
        with suppress(Fenced):
            await self.write(unclaim_run, run.id, run.attempt, PREFECT_RETRY_SECONDS)

    async def _settle(self, execution: Execution, state: State[Any] | None) -> None:
        """Make the row's state agree with how the engine ended, where the flow could not do it itself."""
        run, stopped = execution.run, execution.stopped
        if stopped == "fenced":
            return
        if stopped == "cancelled":
            await self.write(finish_run, run.id, run.attempt, RunStatus.CANCELLED)
            if state is None or not state.is_cancelled():
                await self.flow_runs.force(execution.flow_run_id, Cancelled(message="Cancelled on request."))
        elif state is not None and state.is_failed():
            error = RunError(code="invalid_parameters", message=state.message or "The flow failed.")
            await self.write(finish_run, run.id, run.attempt, RunStatus.FAILED, error=error)
        elif state is None or not state.is_final():
            await self.write(release_run, run.id, run.attempt)

    async def write(
        self,
        query: Callable[Concatenate[WriteSession, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a query function in one transaction, once the database answers."""
        return await outlast(lambda: self.database.write(query, *args, **kwargs))


async def run_in_engine(flow: Flow[..., Any], flow_run: FlowRun) -> State[Any]:
    """Run one flow run in this process and return its last state."""
    ended = await run_flow_async(
        flow, flow_run=flow_run, parameters=dict(flow_run.parameters), return_type="state"
    )
    assert isinstance(ended, State)  # noqa: S101  what `return_type="state"` promises
    return ended
