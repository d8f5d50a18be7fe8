"""The event log's writing side: small batches, one transaction for all runs of the process."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

import structlog

from contracts.runs import EventKind
from database.engine import Database
from database.queue.events import EventBatch, NewEvent, append_batch
from runtime.clock import utcnow
from runtime.errors import Unavailable
from runtime.masking import masked

# A reader polls every 40 ms; a shorter batch would cost writes and show nothing sooner.
BATCH_SECONDS = 0.025
# What a call cost may wait for the next event that somebody watches for: a transaction of its own beside each
# call would slow down the calls.
QUIET_SECONDS = 0.25
QUIET = frozenset({EventKind.COST})
RETRY_SECONDS = 0.5

log = structlog.get_logger()


class EventLog:
    """A buffer of events per attempt of a run, written by one background task."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pending: dict[tuple[UUID, int], list[NewEvent]] = {}
        # Batches that may be written or not, as they were: what is added to one later would be lost.
        self._unsure: list[EventBatch] = []
        self._writing = asyncio.Lock()
        self._flusher: asyncio.Task[None] | None = None
        self._watched = asyncio.Event()

    def add(self, run_id: UUID, attempt: int, kind: EventKind, data: dict[str, object]) -> None:
        """Take an event; it is written with the next batch. Adjacent tokens become one event."""
        events = self._pending.setdefault((run_id, attempt), [])
        if kind is EventKind.TOKEN and events and continues(events[-1], data):
            last = events[-1][1]
            last["text"] = f"{last['text']}{data['text']}"
        else:
            events.append((kind, data, utcnow()))
        if kind not in QUIET:
            self._watched.set()
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush_soon(), name="event-log")

    async def drain(self, run_id: UUID) -> None:
        """Write what this run still has in the buffer.

        Raises:
            Unavailable: the database does not answer; nothing was lost from the buffer.
        """
        unsure = any(batch.run_id == run_id for batch in self._unsure)
        if unsure or any(pending == run_id for pending, _ in self._pending):
            await self._flush()
        else:
            async with self._writing:
                pass

    async def close(self) -> None:
        """Write what is left and stop."""
        self._watched.set()
        if self._flusher is not None:
            await self._flusher

    async def _flush_soon(self) -> None:
        while self._pending or self._unsure:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._watched.wait(), QUIET_SECONDS)
            await asyncio.sleep(BATCH_SECONDS)
            self._watched.clear()
            try:
                await self._flush()
            except Unavailable:
                log.warning("events wait for the database", batches=len(self._unsure))
                await asyncio.sleep(RETRY_SECONDS)

    async def _flush(self) -> None:
        async with self._writing:
            batches = self._unsure + [
                EventBatch(run_id, attempt, safe(events))
                for (run_id, attempt), events in self._pending.items()
            ]
            if not batches:
                return
            self._pending = {}
            # Until the database has answered: also a cancelled write may have been committed.
            self._unsure = [replace(batch, again=True) for batch in batches]
            fenced = await self._database.write(append_batch, batches)
            self._unsure = []
        if fenced:
            # Another attempt owns these runs now: what this one had to tell is no longer true.
            log.info("events of a lost lease dropped", runs=len(fenced))


def safe(events: list[NewEvent]) -> list[NewEvent]:
    """Return events without known secrets; late, because a streamed one comes in pieces."""
    return [(kind, masked(data), at) for kind, data, at in events]


def continues(last: NewEvent, data: dict[str, object]) -> bool:
    """Return whether a token carries on the text of the event before it."""
    kind, said, _at = last
    return kind is EventKind.TOKEN and said.get("step") == data.get("step")
