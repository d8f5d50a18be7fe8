"""What a worker does besides running: it keeps its leases, hears cancellations, and buries the dead."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import structlog

from contracts.pipelines import Pool
from database.leases import cancel_requested, renew_leases
from database.reaper import reap_expired
from database.workers import announce_worker, forget_lost_workers, forget_worker
from deployments.worker.executions import Executions
from deployments.worker.settings import WorkerSettings
from deployments.worker.straighten import FATES, straighten
from runtime.errors import MillraceError

log = structlog.get_logger()

CANCEL_CHECK_SECONDS = 0.4
REAP_SECONDS = 1.0
HEARTBEAT_SECONDS = 3.0
FORGET_SECONDS = 60.0
STRAIGHTEN_SECONDS = 15.0
# Parts of a lease: it is renewed after this one, so it outlives a silence of the rest; a reaper that could
# not look for that long must suspect itself and not the others.
RENEWED_SHARE = 1 / 3
BLIND_SHARE = 0.6


@dataclass(slots=True)
class Upkeep:
    """The periodic duties of one worker, each one statement for all of its runs."""

    worker: str
    pool: Pool
    executions: Executions
    settings: WorkerSettings
    limiter: anyio.CapacityLimiter
    reaped_at: float = field(default_factory=time.monotonic)
    reap_from: float = 0.0

    def tasks(self) -> list[asyncio.Task[None]]:
        """Start the duties."""
        duties = (
            (self.renew, self.settings.worker_lease_seconds * RENEWED_SHARE),
            (self.hear_cancellations, CANCEL_CHECK_SECONDS),
            (self.reap, REAP_SECONDS),
            (self.announce, HEARTBEAT_SECONDS),
            (self.straighten, STRAIGHTEN_SECONDS),
            (self.forget_lost, FORGET_SECONDS),
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
        if not (held := self.executions.held()):
            return
        attempts = await self.executions.database.write(
            renew_leases, self.worker, held, self.settings.worker_lease_seconds
        )
        for run_id, attempt in held.items():
            if attempts.get(run_id) != attempt:
                self.executions.give_up(run_id, attempt)

    async def hear_cancellations(self) -> None:
        """Stop the runs whose cancellation somebody asked for."""
        if not (held := list(self.executions.current)):
            return
        async with self.executions.database.read() as session:
            asked = await cancel_requested(session, held)
        for run_id in asked:
            self.executions.stop(run_id, "cancelled")

    async def reap(self) -> None:
        """Put runs whose worker went silent back in the queue, and tell Prefect.

        When the database was away, or this process was stopped, for so long that leases of living workers
        may have run out, those get the time to renew them first.
        """
        now, lease = time.monotonic(), self.settings.worker_lease_seconds
        looked_away = now - self.reaped_at > lease * BLIND_SHARE
        if looked_away or now < self.reap_from:
            await self.executions.database.ping()
            if looked_away:
                self.reap_from = time.monotonic() + lease * RENEWED_SHARE + 1
            self.reaped_at = now
            return
        for reaped in await self.executions.database.write(reap_expired):
            log.warning("lease ran out", run_id=str(reaped.id), status=reaped.status)
            if reaped.status in FATES and reaped.flow_run_id is not None:
                await self.executions.flow_runs.force(reaped.flow_run_id, FATES[reaped.status]())
        self.reaped_at = now

    async def forget_lost(self) -> None:
        """Forget workers that were killed and could not say goodbye."""
        await self.executions.database.write(forget_lost_workers, FORGET_SECONDS)

    async def straighten(self) -> None:
        """Tell Prefect what it missed."""
        await straighten(self.executions, self.pool)


async def every(seconds: float, duty: Callable[[], Awaitable[None]]) -> None:
    """Do a duty again and again; whatever goes wrong waits for the next time."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await duty()
        except MillraceError as error:
            log.warning("a duty waits", duty=duty.__name__, code=error.code)
        except Exception:
            # A worker whose leases nobody renews is worse than one that logs the same line for a while.
            log.exception("a duty failed", duty=duty.__name__)
