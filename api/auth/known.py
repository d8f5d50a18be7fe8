"""What this process knows of callers, for a few seconds: most requests ask the database nothing for it."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from contracts.people import ApiKey
from database.people.sessions import Known
from runtime.errors import MillraceError, Unavailable

MOST = 10_000
# The last part of the time that somebody is relied on, in which they are asked for again; so many at once.
ASKED_AGAIN = 0.25
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Seen:
    """A person behind a credential that was found good.

    `session_id` or `key` tells which credential it was; `until` is when it stops to be good by itself.
    """

    person: Known
    session_id: UUID | None = None
    key: ApiKey | None = None
    until: datetime | None = None


Ask = Callable[[], Awaitable[Seen]]


class KnownCallers:
    """Remembers who was behind a credential, by its hash or its session's id.

    Nobody is relied on for longer than `seconds` after the question was asked. Who still calls when most of
    that time is over is asked for again beside their request, so that theirs need not wait for the answer.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: OrderedDict[str, tuple[float, Seen]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[None]] = {}
        # How often somebody was forgotten: what was asked before that is not remembered after it.
        self._forgotten = 0

    async def who(self, name: str, ask: Ask) -> Seen:
        """Return who it is: as remembered, else by asking.

        Raises:
            MillraceError: whatever `ask` raises.
        """
        until, seen = self._seen.get(name, (0.0, None))
        left = until - time.monotonic()
        if seen is None or left <= 0:
            return await self._asked(name, ask)
        if left < self._seconds * ASKED_AGAIN and name not in self._asking and len(self._asking) < AT_ONCE:
            task = self._asking[name] = asyncio.create_task(self._again(name, ask))
            task.add_done_callback(lambda _: self._asking.pop(name, None))
        return seen

    async def _asked(self, name: str, ask: Ask) -> Seen:
        began, forgotten = time.monotonic(), self._forgotten
        seen = await ask()
        if forgotten == self._forgotten:
            self._seen[name] = (began + self._seconds, seen)
            self._seen.move_to_end(name)
            while len(self._seen) > MOST:
                self._seen.popitem(last=False)
        return seen

    async def _again(self, name: str, ask: Ask) -> None:
        try:
            await self._asked(name, ask)
        except Unavailable:
            # What is remembered is good for the rest of its time.
            return
        except MillraceError:
            # The next request asks for itself, and is told.
            self._seen.pop(name, None)

    def forget(self, user_id: UUID) -> None:
        """Forget all that is known of a person: something about them has changed."""
        self._forgotten += 1
        for name in [name for name, (_, seen) in self._seen.items() if seen.person.user_id == user_id]:
            del self._seen[name]

    def clear(self) -> None:
        """Forget everybody."""
        self._forgotten += 1
        self._seen.clear()

    async def close(self) -> None:
        """Ask no more."""
        for task in list(self._asking.values()):
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
