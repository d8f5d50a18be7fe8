"""Who asks a question that several workers want answered: whoever writes its claim first.

A claim is a row with a short lease, so a worker that dies holds nobody up for longer. Its holder renews it
while it asks (a duty of the worker, see `deployments.worker.models`), and gives it up in the transaction that
keeps the answer. The others look for either, in growing pauses.
"""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from contracts.cache import Claimed, KeptAnswer
from runtime.ids import new_id

# After its holder was killed, others go on without it when this time is over.
LEASE_SECONDS = 6.0
# With more than this left nothing is renewed: most answers are there before it.
RENEW_BELOW_SECONDS = 4.0
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.5
_JITTER = 0.2


class ClaimStore(Protocol):
    """Where claims are written for all workers. A store that is away refuses nobody: then each one asks."""

    async def claim(self, key: str, owner: str, claim_id: UUID, seconds: float) -> Claimed:
        """Write a claim unless somebody has one, or return the answer when there is one by now."""

    async def look(self, key: str) -> Claimed:
        """Return the answer, or whether the key could be claimed."""


@dataclass(slots=True)
class _Held:
    """A claim of this process; `until` in monotonic seconds. One that is `over` waits to be given up."""

    id: UUID
    until: float
    over: bool = False


class Claims:
    """The claims of one process.

    Args:
        store: where they are written.
        clock: monotonic seconds.
    """

    def __init__(self, store: ClaimStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._held: dict[str, _Held] = {}

    async def settled(self, key: str, owner: str, until: float) -> KeptAnswer | None:
        """Return the answer that another worker asks for; none when the caller shall ask.

        Then it has the claim, which `over` ends, or the time is up.

        Args:
            key: of the question.
            owner: whose it is.
            until: for how long to wait at the most, in the clock's seconds.
        """
        held = self._held.get(key)
        if held is not None and held.until > self._clock():
            held.over = False  # the one before failed here, and the next one goes on under its claim
            return None
        mine = self._held[key] = _Held(new_id(), self._clock() + LEASE_SECONDS)
        try:
            pause = _FIRST_PAUSE_SECONDS
            found = await self._store.claim(key, owner, mine.id, LEASE_SECONDS)
            while not found.mine and found.answer is None and (left := until - self._clock()) > 0:
                await asyncio.sleep(min(left, pause * random.uniform(1 - _JITTER, 1)))  # noqa: S311  spreads load
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
                found = await self._store.look(key)
                if found.mine:  # nobody has it now
                    mine.until = self._clock() + LEASE_SECONDS
                    found = await self._store.claim(key, owner, mine.id, LEASE_SECONDS)
        except BaseException:
            mine.over = True  # it may have been written
            raise
        if not found.mine:
            del self._held[key]
        return found.answer

    def over(self, key: str) -> None:
        """Give a claim up at the next turn, if this process has one."""
        if (held := self._held.get(key)) is not None:
            held.over = True

    def take_over(self) -> dict[str, UUID]:
        """Return the claims that are to be given up, by their keys; they are forgotten here."""
        taken = {key: held.id for key, held in self._held.items() if held.over}
        for key in taken:
            del self._held[key]
        return taken

    def ending(self) -> dict[str, UUID]:
        """Return the claims that must be renewed, and count on it that they are."""
        now = self._clock()
        found = {}
        for key, held in self._held.items():
            if not held.over and held.until - now < RENEW_BELOW_SECONDS:
                found[key], held.until = held.id, now + LEASE_SECONDS
        return found
