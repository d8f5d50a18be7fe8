"""How work reaches a worker: rows of the run table, and wake-ups from Prefect's events."""

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter

from database.queue.interrupting import call_off_flow_runs
from database.queue.leases import claim_runs, has_claimable
from database.queue.parking import cancel_waiting
from runtime.errors import MillraceError

if TYPE_CHECKING:
    from deployments.worker.prefect_worker import MillraceWorker

log = structlog.get_logger()

CLAIM_AT_ONCE = 10
RECONNECT_SECONDS = 1.0
# Events of one burst arrive within milliseconds; one poll of Prefect serves them all.
COALESCE_SECONDS = 0.02


async def claim_forever(worker: "MillraceWorker") -> None:
    """Claim rows of the worker's pool as long as there is room, oldest first, until the worker stops."""
    database, settings = worker.executions.database, worker.settings
    starting: set[asyncio.Task[None]] = set()
    while not worker.executions.draining:
        try:
            free = worker.free_slots()
            claimed = []
            # Without Prefect nothing can begin; what is claimed now would only be put back.
            if free > 0 and await worker.executions.flow_runs.reachable() and await waiting(worker):
                claimed = await database.write(
                    claim_runs,
                    pool=worker.pool,
                    worker=worker.name,
                    limit=min(free, CLAIM_AT_ONCE),
                    lease_seconds=settings.worker_lease_seconds,
                )
            for run in claimed:
                worker.take_slot(run)
                task = asyncio.create_task(worker.take(run), name=f"take-{run.id}")
                starting.add(task)
                task.add_done_callback(starting.discard)
            await asyncio.sleep(0 if len(claimed) == CLAIM_AT_ONCE else settings.worker_poll_seconds)
        except MillraceError as error:
            log.warning("cannot look for work", code=error.code)
            await asyncio.sleep(RECONNECT_SECONDS)
        except Exception:
            # A worker that looks for no work and goes on living would be the worst of both.
            log.exception("looking for work failed")
            await asyncio.sleep(RECONNECT_SECONDS)


async def waiting(worker: "MillraceWorker") -> bool:
    """Return whether the pool has a row to claim: a read that takes no lock."""
    async with worker.executions.database.read() as session:
        return await has_claimable(session, worker.pool)


async def wake_on_events(worker: "MillraceWorker") -> None:
    """Fetch scheduled flow runs the moment Prefect says that there is one, and stop cancelled ones.

    Prefect's event bus is in memory and may drop events: the base class polls as the safety net.
    """
    # A suspended flow run has no process, so Prefect takes it to Cancelled at once.
    names = [f"prefect.flow-run.{state}" for state in ("Scheduled", "Cancelling", "Cancelled")]
    wake = asyncio.Event()
    fetching = asyncio.create_task(fetch_on(wake, worker), name="fetch-scheduled")
    try:
        while True:
            try:
                async with get_events_subscriber(
                    filter=EventFilter(event=EventNameFilter(name=names))
                ) as events:
                    async for event in events:
                        if event.event.endswith("Scheduled"):
                            wake.set()
                        elif event.event.endswith("Cancelling"):
                            await cancel_flow_run(worker, event.resource.id)
                        else:
                            await cancel_what_waits(worker, event.resource.id)
            except Exception as error:  # noqa: BLE001  any trouble with the socket: reconnect, polling goes on
                log.info("event subscription lost", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)
    finally:
        fetching.cancel()


async def fetch_on(wake: asyncio.Event, worker: "MillraceWorker") -> None:
    """Ask Prefect for scheduled flow runs once per burst of wake-ups."""
    while True:
        await wake.wait()
        await asyncio.sleep(COALESCE_SECONDS)
        wake.clear()
        try:
            await worker.get_and_submit_flow_runs()
        except Exception as error:  # noqa: BLE001  the safety net asks again
            log.info("fetching scheduled runs failed", error=type(error).__name__)


async def cancel_flow_run(worker: "MillraceWorker", resource_id: str) -> None:
    """Stop the attempt behind a flow run that somebody cancels in Prefect; one in the queue ends there."""
    flow_run_id = named(resource_id)
    for run_id, execution in list(worker.executions.current.items()):
        if execution.flow_run_id == flow_run_id:
            worker.executions.stop(run_id, "cancelled")
    try:
        await worker.executions.database.write(call_off_flow_runs, [flow_run_id])
    except MillraceError as error:
        # `straighten` asks again.
        log.warning("a cancellation waits", code=error.code)


async def cancel_what_waits(worker: "MillraceWorker", resource_id: str) -> None:
    """Cancel the waiting run behind a flow run that somebody cancelled in Prefect."""
    try:
        await worker.executions.database.write(cancel_waiting, [named(resource_id)])
    except MillraceError as error:
        # `straighten` asks again.
        log.warning("a cancellation waits", code=error.code)


def named(resource_id: str) -> UUID:
    """Return the flow run that an event is about."""
    return UUID(resource_id.removeprefix("prefect.flow-run."))
