"""What a worker does besides running: it keeps its leases, hears cancellations, and buries the dead."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
import structlog
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Crashed

from contracts.pipelines import Pool
from contracts.runs import RunStatus
from database.leases import cancel_requested, renew_leases
from database.reaper import reap_expired
from database.workers import announce_worker, forget_worker
from deployments.worker.executions import Executions
from deployments.worker.settings import WorkerSettings
from runtime.errors import MillraceError

log = structlog.get_logger()

CANCEL_CHECK_SECONDS = 0.4
REAP_SECONDS = 2.0
HEARTBEAT_SECONDS = 3.0

# What Prefect is told of a run that ended without a worker.
FATES: dict[RunStatus, Callable[[], State[Any]]] = {
    RunStatus.DEAD: lambda: Crashed(message="Its workers went away in every attempt."),
    RunStatus.CANCELLED: lambda: Cancelled(message="Cancelled on request."),
}


@dataclass(slots=True)
class Upkeep:
    """The periodic duties of one worker, each one statement for all of its runs."""

    worker: str
    pool: Pool
    executions: Executions
    settings: WorkerSettings
    limiter: anyio.CapacityLimiter

    def tasks(self) -> list[asyncio.Task[None]]:
        """Start the duties."""
        duties = (
            (self.renew, self.settings.worker_lease_seconds / 3),
            (self.hear_cancellations, CANCEL_CHECK_SECONDS),
            (self.reap, REAP_SECONDS),
            (self.announce, HEARTBEAT_SECONDS),
        )
        return [asyncio.create_task(every(seconds, duty), name=duty.__name__) for duty, seconds in duties]

    async def announce(self) -> None:
        """Say that this worker is alive, how busy it is, and which models it reaches."""
        await self.executions.database.write(
            announce_worker,
            worker=self.worker,
            pool=self.pool,
            host=socket.gethostname(),
            pid=os.getpid(),
            capacity=int(self.limiter.total_tokens),
            running=len(self.executions.current),
            models=self.executions.door.describe(),
        )

    async def leave(self) -> None:
        """Say that this worker is gone."""
        await self.executions.database.write(forget_worker, self.worker)

    async def renew(self) -> None:
        """Renew all leases in one statement; what is no longer ours is stopped."""
        if not (held := list(self.executions.current)):
            return
        ours = await self.executions.database.write(
            renew_leases, self.worker, held, self.settings.worker_lease_seconds
        )
        for lost in set(held) - ours:
            self.executions.stop(lost, "fenced")

    async def hear_cancellations(self) -> None:
        """Stop the runs whose cancellation somebody asked for."""
        if not (held := list(self.executions.current)):
            return
        async with self.executions.database.read() as session:
            asked = await cancel_requested(session, held)
        for run_id in asked:
            self.executions.stop(run_id, "cancelled")

    async def reap(self) -> None:
        """Put runs whose worker went silent back in the queue, and tell Prefect."""
        for reaped in await self.executions.database.write(reap_expired):
            log.warning("lease ran out", run_id=str(reaped.id), status=reaped.status)
            if reaped.status in FATES and reaped.flow_run_id is not None:
                await self.executions.flow_runs.force(reaped.flow_run_id, FATES[reaped.status]())


async def every(seconds: float, duty: Callable[[], Awaitable[None]]) -> None:
    """Do a duty again and again; trouble with the database or Prefect waits for the next time."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await duty()
        except MillraceError as error:
            log.warning("a duty waits", duty=duty.__name__, code=error.code)
