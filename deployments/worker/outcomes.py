"""What becomes of an attempt when the engine lets go of it: it is settled, parked, or given back."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar
from uuid import UUID

import structlog
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from prefect.states import Cancelled, Failed, Suspended

from contracts.runs import CalledOff, RunError, RunStatus
from database.engine import Database, WriteSession
from database.errors import Fenced
from database.patience import outlast
from database.queue.leases import finish_run, release_run, unclaim_run
from database.queue.parking import park_run
from database.queue.untold import OVERDUE
from deployments.worker.flow_runs import FlowRuns
from flows.durable.parking import Parked
from flows.durable.pipeline import CANCELLED_BY_US
from flows.durable.run import Run
from runtime.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger()

StopReason = CalledOff | Literal["fenced", "draining"]

# How long a run that is about to wait holds its slot for a Prefect that does not answer.
TELL_SECONDS = 3.0


@dataclass(slots=True)
class Execution:
    """One attempt of one run in this process, and why it was stopped, if it was."""

    run: Run
    flow_run_id: UUID
    task: asyncio.Task[None] | None = None
    stopped: StopReason | None = None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Writes how attempts ended, to the run table first and then to Prefect."""

    database: Database
    flow_runs: FlowRuns

    async def settle(self, execution: Execution, state: State[Any] | None) -> None:
        """Make the row's state agree with how the engine ended, where the flow could not do it itself.

        Raises:
            Fenced: the attempt is over.
            Unavailable: Prefect does not answer.
        """
        run, stopped = execution.run, execution.stopped
        if stopped == "fenced":
            return
        if stopped == "cancelled":
            await self.write(finish_run, run.id, run.attempt, RunStatus.CANCELLED)
            if state is None or not state.is_cancelled():
                await self.flow_runs.force(execution.flow_run_id, Cancelled(message=CANCELLED_BY_US))
        elif stopped == "overdue":
            await self.write(finish_run, run.id, run.attempt, RunStatus.FAILED, error=OVERDUE)
            if state is None or not state.is_failed():
                await self.flow_runs.force(execution.flow_run_id, Failed(message=OVERDUE.message))
        elif state is not None and state.is_failed():
            error = RunError(code="invalid_parameters", message=state.message or "The flow failed.")
            await self.write(finish_run, run.id, run.attempt, RunStatus.FAILED, error=error)
        elif state is None or not state.is_final():
            await self.write(release_run, run.id, run.attempt, blameless=stopped == "draining")

    async def park(self, execution: Execution, parked: Pause) -> None:
        """Let a run wait. One that somebody else paused is left as it is.

        Prefect is told first, while the lease still keeps every other worker from the run: told later, it
        could be told after somebody has woken it. One that does not answer now is told by the upkeep.
        """
        if not isinstance(parked, Parked):
            return
        run = execution.run
        run.ending = True
        try:
            await outlast(lambda: run.events.drain(run.id))
            told = await self._suspended(execution.flow_run_id, parked.waiting.reason)
            status = await self.write(park_run, run.id, run.attempt, parked.waiting, parked.until, told=told)
            log.info("run parked", status=status, kind=parked.waiting.kind)
        except Fenced:
            log.info("the lease was lost")
        except Unavailable as error:
            log.warning("could not park a run", code=error.code)
        except Exception:
            # Its lease runs out, and the next attempt parks it.
            log.exception("could not park a run")

    async def put_back(self, run_id: UUID, attempt: int, delay_seconds: float) -> None:
        """Give back a run whose first line was not reached; the attempt does not count."""
        with suppress(Fenced):
            await self.write(unclaim_run, run_id, attempt, delay_seconds)

    async def write(
        self,
        query: Callable[Concatenate[WriteSession, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a query function in one transaction, once the database answers."""
        return await outlast(lambda: self.database.write(query, *args, **kwargs))

    async def _suspended(self, flow_run_id: UUID, reason: str) -> bool:
        """Return whether Prefect has heard, within a moment, that a flow run waits."""
        try:
            async with asyncio.timeout(TELL_SECONDS):
                await self.flow_runs.force(flow_run_id, Suspended(message=reason))
        except (Unavailable, TimeoutError):
            return False
        return True
