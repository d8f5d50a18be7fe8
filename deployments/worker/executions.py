"""The runs that this process executes now, each an asyncio task."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import httpx
import structlog
from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Abort, Pause
from prefect.flow_engine import run_flow_async

from database.engine import Database
from database.errors import Fenced
from database.queue.leases import Claimed
from deployments.worker.flow_runs import FlowRuns
from deployments.worker.outcomes import Execution, Outcomes, StopReason
from flows.catalogue import load_flow
from flows.durable.event_log import EventLog
from flows.durable.run import Run, enter_run
from flows.durable.versions import Versions
from llm.door import Door
from runtime.errors import Unavailable

log = structlog.get_logger()

# How long a run waits in the queue that Prefect did not let begin.
PREFECT_RETRY_SECONDS = 1.0
# How long a stopping worker waits for runs to let go, and for a database that is away.
LEAVE_SECONDS = 10.0


class Executions:
    """Starts and stops attempts; the registry that leases and cancellation look at."""

    def __init__(self, database: Database, door: Door, flow_runs: FlowRuns) -> None:
        self.database = database
        self.door = door
        self.flow_runs = flow_runs
        self.outcomes = Outcomes(database, flow_runs)
        self.events = EventLog(database)
        self.versions = Versions(database)
        self.current: dict[UUID, Execution] = {}
        # Claimed and not yet executing: their leases are ours to keep as well.
        self.starting: dict[tuple[UUID, int], asyncio.Task[Any]] = {}
        # Flow runs of Prefect on their way into the table.
        self.adopting: set[asyncio.Task[Any]] = set()
        # Attempts that were here and are no more, until the database says that their leases are gone too.
        self.let_go: set[tuple[UUID, int]] = set()
        # The worker stops: nothing begins here any more.
        self.draining = False

    def start(self, claimed: Claimed, flow_run: FlowRun, *, when_done: Callable[[], None]) -> None:
        """Begin to execute a run whose flow run is pending in Prefect."""
        run = Run(
            id=claimed.id,
            attempt=claimed.attempt,
            owner=claimed.owner,
            pipeline=claimed.pipeline,
            forked=claimed.forked,
            started_by=claimed.started_by,
            grants=claimed.grants,
            agent_id=claimed.agent_id,
            database=self.database,
            door=self.door,
            events=self.events,
            versions=self.versions,
        )
        # A worker that was frozen past its lease may get its own run back while the old attempt still lives.
        self.stop(run.id, "fenced")
        execution = Execution(run, flow_run.id)
        execution.task = asyncio.create_task(self._execute(execution, flow_run), name=f"run-{run.id}")
        self.current[run.id] = execution

        def forget(_task: asyncio.Task[None]) -> None:
            self.let_go.add((run.id, run.attempt))
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
        """Cancel an attempt; it takes effect at its next await, in its threads at their next model call.

        One that is ending is left to end.
        """
        execution = self.current.get(run_id)
        if execution is None or execution.task is None or execution.stopped or execution.run.ending:
            return
        execution.stopped = reason
        execution.run.called_off = reason if reason in {"cancelled", "overdue"} else None
        execution.run.lease_lost = reason == "fenced"
        execution.run.stop.pull()
        execution.task.cancel()

    @contextmanager
    def adoption(self) -> Iterator[None]:
        """Let a worker that stops wait for what happens inside."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  somebody awaits
        self.adopting.add(task)
        try:
            yield
        finally:
            self.adopting.discard(task)

    async def drain(self, seconds: float) -> None:
        """Let runs finish for up to `seconds`, then put the rest back in the queue.

        Those that only wait for Prefect go back at once: they would begin here just to be stopped. So does
        what is being adopted: cancelled in its commit, it would be leased to a worker that is gone.
        """
        self.draining = True
        if self.adopting:
            await asyncio.wait(set(self.adopting), timeout=LEAVE_SECONDS)
        await self._put_back_starting()
        if tasks := self._tasks():
            log.info("draining", runs=len(tasks), seconds=seconds)
            await asyncio.wait(tasks, timeout=seconds)
        for run_id in list(self.current):
            self.stop(run_id, "draining")
        if left := self._tasks():
            await asyncio.wait(left, timeout=LEAVE_SECONDS)
        await self.events.close()

    async def _put_back_starting(self) -> None:
        # Tasks that were made a moment ago enter themselves with their first line.
        await asyncio.sleep(0)
        if not (starting := dict(self.starting)):
            return
        for task in starting.values():
            task.cancel()
        await asyncio.wait(starting.values(), timeout=LEAVE_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                put_back = self.outcomes.put_back
                await asyncio.gather(*(put_back(run_id, attempt, 0) for run_id, attempt in starting))

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
                # What was in providers.yaml when somebody asked for this run holds for it.
                await self.door.reload()
                state = await run_in_engine(load_flow(run.pipeline), flow_run)
            except Pause as pause:
                await self.outcomes.park(execution, pause)
                return
            except Abort as told:
                # The lease is lost, or Prefect refused a change of state (a repeated one whose first answer
                # was lost): what is still ours goes back to the queue.
                log.info("the engine let go of a run", reason=str(told))
            except httpx.HTTPError as error:
                log.warning("Prefect does not answer", error=type(error).__name__)
                if not run.begun:
                    await self.outcomes.put_back(run.id, run.attempt, PREFECT_RETRY_SECONDS)
                    return
            except asyncio.CancelledError:
                if current := asyncio.current_task():
                    current.uncancel()
            except Exception:
                log.exception("the engine failed")
            try:
                await self.outcomes.settle(execution, state)
            except Fenced:
                log.info("the lease was lost")
            except Unavailable as error:
                # Prefect: `straighten` tells it later.
                log.warning("could not settle a run", code=error.code)


async def run_in_engine(flow: Flow[..., Any], flow_run: FlowRun) -> State[Any]:
    """Run one flow run in this process and return its last state."""
    ended = await run_flow_async(
        flow, flow_run=flow_run, parameters=dict(flow_run.parameters), return_type="state"
    )
    assert isinstance(ended, State)  # noqa: S101  what `return_type="state"` promises
    return ended
