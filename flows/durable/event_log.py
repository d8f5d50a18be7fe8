"""The event log's writing side: small batches, one transaction for all runs of the process."""

import asyncio
from uuid import UUID

import structlog

from contracts.runs import EventKind
from database.engine import Database
from database.events import EventBatch, NewEvent, append_batch
from runtime.clock import utcnow
from runtime.errors import Unavailable

# A reader polls every 40 ms; a shorter batch would cost writes and show nothing sooner.
BATCH_SECONDS = 0.025
RETRY_SECONDS = 0.5

log = structlog.get_logger()


class EventLog:
    """A buffer of events per attempt of a run, written by one background task."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pending: dict[tuple[UUID, int], list[NewEvent]] = {}
        self._writing = asyncio.Lock()
        self._flusher: asyncio.Task[None] | None = None

    def add(self, run_id: UUID, attempt: int, kind: EventKind, data: dict[str, object]) -> None:
        """Take an event; it is written with the next batch. Adjacent tokens become one event."""
        events = self._pending.setdefault((run_id, attempt), [])
        if kind is EventKind.TOKEN and events and continues(events[-1], data):
            last = events[-1][1]
            last["text"] = f"{last['text']}{data['text']}"
        else:
            events.append((kind, data, utcnow()))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush_soon(), name="event-log")

    async def drain(self, run_id: UUID) -> None:
        """Write what this run still has in the buffer.

        Raises:
            Unavailable: the database does not answer; nothing was lost from the buffer.
        """
        if any(pending == run_id for pending, _ in self._pending):
            await self._flush()
        else:
            async with self._writing:
                pass

    async def close(self) -> None:
        """Write what is left and stop."""
        if self._flusher is not None:
            await self._flusher

    async def _flush_soon(self) -> None:
        await asyncio.sleep(BATCH_SECONDS)
        while self._pending:
            try:
                await self._flush()
            except Unavailable:
                log.warning("events wait for the database", runs=len(self._pending))
                await asyncio.sleep(RETRY_SECONDS)

    async def _flush(self) -> None:
        async with self._writing:
            batch, self._pending = self._pending, {}
            try:
                fenced = await self._database.write(
                    append_batch,
                    [EventBatch(run_id, attempt, events) for (run_id, attempt), events in batch.items()],
                )
            except BaseException:
                for key, events in batch.items():
                    self._pending[key] = events + self._pending.get(key, [])
                raise
        if fenced:
            # Another attempt owns these runs now: what this one had to tell is no longer true.
            log.info("events of a lost lease dropped", runs=len(fenced))


def continues(last: NewEvent, data: dict[str, object]) -> bool:
    """Return whether a token carries on the text of the event before it."""
    kind, said, _at = last
    return kind is EventKind.TOKEN and said.get("step") == data.get("step")
