"""What a worker does besides running: it keeps its leases, hears cancellations, and buries the dead."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

import anyio
import structlog

from contracts.pipelines import Pool
from database.errors import Fenced
from database.people.sessions import forget_old_sessions
from database.queue.leases import called_off, leases_of, release_run, renew_leases
from database.queue.parking import wake_due
from database.queue.reaper import Reaped, reap_expired, reap_workers
from database.queue.untold import end_overdue
from database.queue.workers import announce_worker, forget_lost_workers, forget_worker
from deployments.worker.canaries import watch_canaries
from deployments.worker.decisions import LOOK_SECONDS, Decisions
from deployments.worker.executions import Executions
from deployments.worker.models import (
    HEAR_SECONDS,
    PROBE_SECONDS,
    REVIEW_SECONDS,
    SHARE_SECONDS,
    TIDY_SECONDS,
    Models,
)
from deployments.worker.neighbours import Neighbours
from deployments.worker.ratings import MOVE_SECONDS, Ratings
from deployments.worker.settings import WorkerSettings
from deployments.worker.straighten import straighten, tell_changes
from deployments.worker.strays import Strays
from deployments.worker.webhooks import Webhooks
from runtime.clock import utcnow
from runtime.errors import MillraceError

log = structlog.get_logger()

CALLED_OFF_SECONDS = 0.4
REAP_SECONDS = 1.0
NEIGHBOURS_SECONDS = 0.5
OVERDUE_SECONDS = 0.5
TELL_SECONDS = 2.0
WAKE_SECONDS = 2.0
HEARTBEAT_SECONDS = 3.0
FORGET_SECONDS = 60.0
# A refresh token that is shown again is told apart from an unknown one for so long.
SESSIONS_KEPT = timedelta(days=30)
STRAIGHTEN_SECONDS = 5.0
WEBHOOK_SECONDS = 1.0
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
    neighbours: Neighbours
    models: Models
    webhooks: Webhooks
    reaped_at: float = field(default_factory=time.monotonic)
    reap_from: float = 0.0
    strays: Strays = field(init=False)

    def __post_init__(self) -> None:
        self.strays = Strays(self.executions, self.worker)

    def tasks(self) -> list[asyncio.Task[None]]:
        """Start the duties."""
        duties = [
            (self.renew, self.settings.worker_lease_seconds * RENEWED_SHARE),
            (self.call_off, CALLED_OFF_SECONDS),
            (self.reap, REAP_SECONDS),
            (self.bury_neighbours, NEIGHBOURS_SECONDS),
            (self.end_overdue, OVERDUE_SECONDS),
            (self.tell_prefect, TELL_SECONDS),
            (self.wake, WAKE_SECONDS),
            (self.announce, HEARTBEAT_SECONDS),
            (self.straighten, STRAIGHTEN_SECONDS),
            (self.deliver_webhooks, WEBHOOK_SECONDS),
            (self.forget_lost, FORGET_SECONDS),
            (self.models.reload, self.models.door.providers.admin.reload_seconds),
            (self.models.share, SHARE_SECONDS),
            (self.models.probe, PROBE_SECONDS),
            (self.models.tell_cache, SHARE_SECONDS),
            (self.models.hear_cache, HEAR_SECONDS),
            (self.models.review_cache, REVIEW_SECONDS),
            (self.models.tidy, TIDY_SECONDS),
        ]
        if self.pool == "batch":
            duties.append((self.watch_canaries, self.settings.canary_look_seconds))
            duties.append((Decisions(self.executions.database).look, LOOK_SECONDS))
            duties.append((Ratings(self.executions.database, self.models.door).move, MOVE_SECONDS))
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
            models={"roles": self.models.door.describe(), "problem": self.models.door.problem},
        )

    async def leave(self) -> None:
        """Give back what is leased to this worker still, and say that it is gone.

        An attempt that ended here without giving up its lease counts, and its lease runs out.
        """
        database = self.executions.database
        async with database.read() as session:
            left = (await leases_of(session, self.worker)).items() - self.executions.let_go
        for run_id, attempt in left:
            with suppress(Fenced):
                await database.write(release_run, run_id, attempt, blameless=True)
                log.warning("a run given back at the last moment", run_id=str(run_id), attempt=attempt)
        await database.write(forget_worker, self.worker)

    async def renew(self) -> None:
        """Renew all leases in one statement; stop what is no longer ours, give back what we never knew."""
        if held := self.executions.held():
            attempts = await self.executions.database.write(
                renew_leases, self.worker, held, self.settings.worker_lease_seconds
            )
            for run_id, attempt in held.items():
                if attempts.get(run_id) != attempt:
                    self.executions.give_up(run_id, attempt)
        await self.strays.give_back()

    async def call_off(self) -> None:
        """Stop the runs whose cancellation somebody asked for, or whose deadline has passed."""
        if not (held := list(self.executions.current)):
            return
        async with self.executions.database.read() as session:
            reasons = await called_off(session, held)
        for run_id, reason in reasons.items():
            self.executions.stop(run_id, reason)

    async def end_overdue(self) -> None:
        """Fail the runs that missed their deadline in the queue."""
        for run_id in await self.executions.database.write(end_overdue):
            log.info("deadline passed before a worker had the run", run_id=str(run_id))

    async def tell_prefect(self) -> None:
        """Tell Prefect of the changes that no worker made: ends in the queue, and of runs that were lost."""
        await tell_changes(self.executions)

    async def reap(self) -> None:
        """Put runs whose worker went silent back in the queue.

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
        say_lost(await self.executions.database.write(reap_expired))
        self.reaped_at = now

    async def bury_neighbours(self) -> None:
        """Put the runs of workers that died on this machine back in the queue, without waiting for leases."""
        if not (dead := self.neighbours.dead()):
            return
        reaped = await self.executions.database.write(reap_workers, dead)
        for worker in dead:
            await self.executions.database.write(forget_worker, worker)
            self.neighbours.forget(worker)
        say_lost(reaped)

    async def wake(self) -> None:
        """Put waiting runs whose time has come back in the queue."""
        await self.executions.database.write(wake_due)

    async def deliver_webhooks(self) -> None:
        """Tell other servers of the runs that have ended."""
        await self.webhooks.deliver()

    async def forget_lost(self) -> None:
        """Forget workers that were killed and could not say goodbye, and sign-ins that ended long ago."""
        await self.executions.database.write(forget_lost_workers, FORGET_SECONDS)
        await self.executions.database.write(forget_old_sessions, utcnow() - SESSIONS_KEPT)

    async def watch_canaries(self) -> None:
        """Promote the canaries that are good enough, and roll back those that are not."""
        await watch_canaries(self.executions.database, self.settings.canary_look_seconds)

    async def straighten(self) -> None:
        """Tell Prefect what it missed."""
        await straighten(self.executions, self.pool)


def say_lost(several: list[Reaped]) -> None:
    """Log the runs that lost their worker; `tell_prefect` tells of those that ended with it."""
    for reaped in several:
        log.warning("a run lost its worker", run_id=str(reaped.id), status=reaped.status)


async def every(seconds: float, duty: Callable[[], Awaitable[object]]) -> None:
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
