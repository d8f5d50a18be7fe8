"""One subscriber's place in the event log of one run."""

import asyncio
from collections import deque
from uuid import UUID

from contracts.runs import Event
from database.engine import Database
from database.queue.events import last_seqs, read_events
from runtime.errors import Unavailable

BUFFERED_EVENTS = 1024
PAGE = 500
PAUSE_AFTER_ERROR_SECONDS = 0.5


class Listener:
    """One subscriber's place in the log of one run.

    Args:
        database: where the log is.
        run_id: whose log.
        seq: the last event that the subscriber has; 0 for none.
    """

    def __init__(self, database: Database, run_id: UUID, seq: int) -> None:
        self.run_id = run_id
        self.seq = seq
        self._database = database
        self._buffer: deque[Event] = deque()
        self._behind = True
        self._last: int | None = None
        self._closed = False
        self._woken = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether nothing comes any more: the run has ended and all was delivered, or the process ends."""
        return self._closed or (self._last is not None and self.seq >= self._last)

    async def next(self, timeout: float) -> list[Event]:  # noqa: ASYNC109  a heartbeat, not a deadline
        """Return the next events in order.

        An empty list says that `timeout` seconds were silent, that the database is away for now (the place
        is kept), or that the log is `over`.
        """
        while not self.over:
            try:
                events = await self._catch_up() if self._behind else self._take()
            except Unavailable:
                self._behind = True
                await asyncio.sleep(min(timeout, PAUSE_AFTER_ERROR_SECONDS))
                return []
            if events:
                self.seq = events[-1].seq
                return events
            if self._behind or self._buffer or self.over:
                continue
            self._woken.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._woken.wait()
            except TimeoutError:
                return []
        return []

    def offer(self, events: list[Event]) -> None:
        """Take new events; what does not fit is read from the table later."""
        if len(self._buffer) + len(events) > BUFFERED_EVENTS:
            self.fall_behind()
        else:
            self._buffer.extend(events)
            self._woken.set()

    def fall_behind(self) -> None:
        """Forget what is buffered and read the table next."""
        self._buffer.clear()
        self._behind = True
        self._woken.set()

    def end(self, last: int) -> None:
        """Note that `last` is the final event of the run."""
        self._last = last
        self._woken.set()

    def close(self) -> None:
        """Stop listening before the run's end."""
        self._closed = True
        self._woken.set()

    async def _catch_up(self) -> list[Event]:
        # First the flag: the tail may set it again while we read.
        self._behind = False
        async with self._database.read() as session:
            head = (await last_seqs(session, [self.run_id])).get(self.run_id)
            events = await read_events(session, self.run_id, self.seq, PAGE)
        if head is None:
            self._closed = True
            return []
        last, status = head
        # Whoever cleans the database up may have taken an ended run's events; a caller may name one to come.
        self.seq = min(self.seq, last) if events or not status.terminal else last
        self._behind = len(events) == PAGE
        if status.terminal:
            self._last = last
        return events

    def _take(self) -> list[Event]:
        taken: list[Event] = []
        expected = self.seq + 1
        while self._buffer:
            event = self._buffer.popleft()
            if event.seq > expected:
                self.fall_behind()
                break
            if event.seq == expected:
                taken.append(event)
                expected += 1
        return taken
