"""A worker's side of a run, played with the functions that a real worker calls."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

from contracts.pipelines import Pool
from contracts.runs import EventKind, RunError, RunStatus
from database.engine import Database
from database.queue.events import append_events
from database.queue.leases import Claimed, claim_runs, finish_run, mark_running
from runtime.clock import utcnow

WORKER = "test-worker"


async def begin(store: Database, pool: Pool = "interactive") -> Claimed:
    """Take the longest waiting run, as soon as there is one, and mark it running."""
    claimed: list[Claimed] = []
    async with asyncio.timeout(60):
        while not claimed:
            await asyncio.sleep(0.005)
            claimed = await store.write(claim_runs, pool=pool, worker=WORKER, limit=1, lease_seconds=15)
    await store.write(mark_running, claimed[0].id, claimed[0].attempt)
    return claimed[0]


async def say(store: Database, run_id: UUID, *words: str) -> None:
    """Append a token event for each word."""
    events = [(EventKind.TOKEN, {"text": word}, utcnow()) for word in words]
    await store.write(append_events, run_id, None, events)


async def succeed(store: Database, claimed: Claimed, result: dict[str, Any] | None = None) -> None:
    """End a run well."""
    await store.write(finish_run, claimed.id, claimed.attempt, RunStatus.SUCCEEDED, result or {"steps": 3})


async def fail(store: Database, claimed: Claimed) -> None:
    """End a run badly."""
    error = RunError(code="model_unavailable", message="No model answers.", retryable=True)
    await store.write(finish_run, claimed.id, claimed.attempt, RunStatus.FAILED, None, error)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that nothing announces."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
