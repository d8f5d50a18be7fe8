"""What the door asks of a call ledger; `flows/` binds it to the database.

A finished call is found again under `(run, step, fingerprint, n)`: the run and the attempt are the
ledger's own, the rest is in `CallRequest`. `n` counts identical calls inside one attempt of a step, so
two identical calls get two recorded answers, and a repeated step meets the same answers in the same order.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from contracts.calls import CallAnswer, CallRequest
from llm.stopping import Stop
from runtime.errors import MillraceError

# How long who is cancelled stays for an answer to be written.
LAST_WRITE_SECONDS = 10.0


class Ledger(Protocol):
    """The journal of one run's calls. Every method is one statement or one short transaction."""

    async def reserve(self, call: CallRequest) -> CallAnswer | None:
        """Return the recorded answer of a finished call, or write that the call is now started."""

    async def commit(self, call: CallRequest, answer: CallAnswer) -> None:
        """Write the answer of a started call."""

    async def fail(self, call: CallRequest, error: MillraceError, latency_ms: float) -> None:
        """Write that a started call ended without an answer."""


@dataclass(slots=True)
class StepCalls:
    """The calls of one attempt of one step: where they are written, and how often each was made."""

    ledger: Ledger
    step: str
    made: Counter[str] = field(default_factory=Counter)
    deployments: set[str] = field(default_factory=set)
    stop: Stop = field(default_factory=Stop)
    # Whose the run is, and the version of the program that thinks: no answer is used again without an owner.
    owner: str | None = None
    program: str | None = None
    _behind: bool = False
    _unwritten: set[asyncio.Task[None]] = field(default_factory=set)
    _unwritable: BaseException | None = None

    @asynccontextmanager
    async def written_behind(self) -> AsyncIterator[None]:
        """Let a program go on with an answer while it is being written, inside.

        The next call is not made before all answers are written, so a killed process loses one for each of
        the program's threads at most, as it would lose the calls in flight. For programs that only think
        until the end of this: whoever acts upon an answer must know that it is there.

        Raises:
            BaseException: what a write raised, unless the program has ended by an error of its own.
        """
        self._behind = True
        try:
            yield
        except BaseException:
            self._behind = False
            if self._unwritten:  # as long as `to_the_end` waits for one
                await asyncio.wait(self._unwritten, timeout=LAST_WRITE_SECONDS)
            raise
        self._behind = False
        await self.written()

    async def commit(self, call: CallRequest, answer: CallAnswer) -> None:
        """Write an answer, or begin to."""
        entry = self.ledger.commit(call, answer)
        if self._behind:
            self._unwritten.add(asyncio.ensure_future(entry))
        else:
            await to_the_end(entry)

    async def written(self) -> None:
        """Return when all answers so far are written; when one could not be, never again."""
        if self._unwritten:
            done, _ = await asyncio.wait(self._unwritten)
            self._unwritten -= done
            failures = [error for entry in done if (error := entry.exception()) is not None]
            self._unwritable = self._unwritable or next(iter(failures), None)
        if self._unwritable is not None:
            raise self._unwritable

    def number(self, fingerprint: str) -> int:
        """Return how many calls of this fingerprint came before, and count this one."""
        n = self.made[fingerprint]
        self.made[fingerprint] += 1
        return n


async def to_the_end(entry: Coroutine[Any, Any, None]) -> None:
    """Await a journal entry even when the caller is cancelled meanwhile: the answer was paid for."""
    writing = asyncio.ensure_future(entry)
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait({writing}, timeout=LAST_WRITE_SECONDS)
        raise
