"""Stopping a run's model calls wherever they are made: on its own task, and in the threads of an optimizer.

Cancelling the run's task reaches only what that task awaits. A thread that it started goes on, and would pay
for calls that nobody wants any more; so each call passes a flag that all threads of the run share.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


class RunStopped(BaseException):
    """The run was stopped: no further call is made.

    A `BaseException`, because optimizers count ordinary errors per example and go on. It is turned into
    Prefect's Cancelled or Failed where a flow ends (`flows.durable.pipeline`).
    """


@dataclass(slots=True)
class Stop:
    """The flag of one run. Calls run on the door's event loop, and there it is pulled."""

    pulled: bool = False
    _in_flight: set[asyncio.Task[Any]] = field(default_factory=set)

    def pull(self) -> None:
        """Let no further call begin, and cancel those in flight; whoever waits for one gets `RunStopped`."""
        self.pulled = True
        for call in self._in_flight:
            call.cancel()

    def check(self) -> None:
        """Return unless the run was stopped.

        Raises:
            RunStopped: it was.
        """
        if self.pulled:
            raise RunStopped

    @contextmanager
    def breaking(self) -> Iterator[None]:
        """Let `pull` break off what the current task awaits inside; nothing may be yielded from there.

        For what must stay in one task, as a generator must; `while_running` makes a task of its own.

        Raises:
            RunStopped: the run was stopped before or meanwhile.
        """
        self.check()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  somebody awaits
        self._in_flight.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if self.pulled and not task.uncancel():
                raise RunStopped from None
            raise
        finally:
            self._in_flight.discard(task)
        self.check()

    async def next_of(self, items: AsyncGenerator[T]) -> T | None:
        """Return the next item, none at the end.

        Raises:
            RunStopped: the run was stopped before or meanwhile.
        """
        with self.breaking():
            return await anext(items, None)

    async def while_running(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what the call returns.

        Raises:
            RunStopped: the run was stopped before the call or during it.
        """
        if self.pulled:
            call.close()
        self.check()
        task = asyncio.ensure_future(call)
        self._in_flight.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if self.pulled and not (caller and caller.cancelling()):
                raise RunStopped from None
            raise
        finally:
            self._in_flight.discard(task)
