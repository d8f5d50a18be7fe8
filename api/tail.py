"""The tail of the event log: one reader per process, any number of listeners, none of whom misses an event.

The table is the truth and a listener's buffer only a shortcut. A listener that starts in the middle, is
slower than the run, or sees a gap in `seq` reads the table from where it stands. So buffers stay small, a
slow client costs nobody memory, and nothing is lost.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from api.listener import PAGE, PAUSE_AFTER_ERROR_SECONDS, Listener
from contracts.runs import RunStatus
from database.engine import Database, ReadSession
from database.queue.events import last_seqs, read_events

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Watch:
    """A run that somebody listens to; `seq` is unknown until the first look."""

    seq: int | None = None
    listeners: set[Listener] = field(default_factory=set)
    waiting: set[asyncio.Event] = field(default_factory=set)

    def end(self, last: int, asked: "_Asked") -> None:
        """The run has ended with the event `last`, for those who asked before that was read."""
        for listener in self.listeners & asked.listeners:
            listener.end(last)
        for ended in self.waiting & asked.waiting:
            ended.set()

    def close(self) -> None:
        """Nothing more can be told."""
        for listener in self.listeners:
            listener.close()
        for ended in self.waiting:
            ended.set()


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who was there when a look began.

    A run can be retried after its end: who comes while that end is being read asks about the new attempt.
    """

    listeners: frozenset[Listener]
    waiting: frozenset[asyncio.Event]


class EventTail:
    """Reads what is new for every watched run, as long as any is watched, and hands it to the listeners.

    Args:
        database: where the log is.
        poll_seconds: how often to look.
    """

    def __init__(self, database: Database, poll_seconds: float = 0.04) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._watched: dict[UUID, _Watch] = {}
        self._reader: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def listening(self) -> int:
        """How many subscribers there are now."""
        return sum(len(watch.listeners) + len(watch.waiting) for watch in self._watched.values())

    @property
    def reading(self) -> bool:
        """Whether the table is being read."""
        return self._reader is not None and not self._reader.done()

    @asynccontextmanager
    async def listen(self, run_id: UUID, after: int = 0) -> AsyncIterator[Listener]:
        """Follow a run's log from the event behind `after` to its end."""
        listener = Listener(self._database, run_id, after)
        if self._closed:
            listener.close()
        watch = self._watch(run_id)
        watch.listeners.add(listener)
        try:
            yield listener
        finally:
            watch.listeners.discard(listener)
            self._forget(run_id)

    async def finished(self, run_id: UUID) -> None:
        """Return when the run has ended, is gone, or this process is about to end."""
        if self._closed:
            return
        ended = asyncio.Event()
        watch = self._watch(run_id)
        watch.waiting.add(ended)
        try:
            await ended.wait()
        finally:
            watch.waiting.discard(ended)
            self._forget(run_id)

    def close_listeners(self) -> None:
        """End every stream and every wait, so that the server can stop. New ones end at once."""
        self._closed = True
        for watch in self._watched.values():
            watch.close()

    async def close(self) -> None:
        """Stop reading."""
        self.close_listeners()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    def _watch(self, run_id: UUID) -> _Watch:
        watch = self._watched.setdefault(run_id, _Watch())
        if not self.reading:
            self._reader = asyncio.create_task(self._read_on(), name="event-tail")
        return watch

    def _forget(self, run_id: UUID) -> None:
        watch = self._watched.get(run_id)
        if watch is not None and not watch.listeners and not watch.waiting:
            del self._watched[run_id]

    async def _read_on(self) -> None:
        while self._watched and not self._closed:
            pause = self._poll_seconds
            try:
                await self._look()
            except Exception:  # Listeners keep their place; the database comes back.
                log.warning("event_tail_interrupted", exc_info=True)
                pause = PAUSE_AFTER_ERROR_SECONDS
            await asyncio.sleep(pause)

    async def _look(self) -> None:
        asked = {
            run_id: (watch, _Asked(frozenset(watch.listeners), frozenset(watch.waiting)))
            for run_id, watch in self._watched.items()
        }
        async with self._database.read() as session:
            heads = await last_seqs(session, list(asked))
            for run_id, (watch, who) in asked.items():
                if run_id in heads:
                    await _look_at(session, run_id, watch, who, *heads[run_id])
                else:
                    watch.close()


async def _look_at(
    session: ReadSession, run_id: UUID, watch: _Watch, asked: _Asked, last: int, status: RunStatus
) -> None:
    if watch.seq is None or not watch.listeners or last - watch.seq > PAGE:
        watch.seq = last
        for listener in watch.listeners:
            listener.fall_behind()
    elif last > watch.seq:
        events = await read_events(session, run_id, watch.seq, PAGE)
        for listener in watch.listeners:
            listener.offer(events)
        watch.seq = events[-1].seq if events else last
    if status.terminal:
        watch.end(last, asked)
