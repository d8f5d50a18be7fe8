"""Between event loops and threads: work runs on the door's loop, whoever waits for it."""

import asyncio
import queue
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import aclosing
from typing import Any, TypeVar

from runtime.errors import MillraceError

T = TypeVar("T")
_END = object()


async def awaited_on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work` run on `loop`; a cancelled caller cancels it there."""
    if asyncio.get_running_loop() is loop:
        return await work
    result: T = await asyncio.wrap_future(_submitted(loop, work))
    return result


def waited_for(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work` run on `loop`, from a thread that has no loop of its own.

    Raises:
        MillraceError: `sync_call_on_loop`, when called on the loop's own thread, which would wait for itself.
    """
    _refuse_own_thread(loop, work)
    future = _submitted(loop, work)
    try:
        result: T = future.result()
    except BaseException:
        future.cancel()
        raise
    return result


async def streamed_from(loop: asyncio.AbstractEventLoop, source: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """Yield what `source` yields on `loop`; closing this generator closes that one."""
    if asyncio.get_running_loop() is loop:
        async with aclosing(source):
            async for item in source:
                yield item
        return
    here = asyncio.get_running_loop()
    items: asyncio.Queue[Any] = asyncio.Queue()
    pump = _submitted(loop, _pumped(source, lambda item: here.call_soon_threadsafe(items.put_nowait, item)))
    try:
        while (item := await items.get()) is not _END:
            yield item
        await asyncio.wrap_future(pump)
    finally:
        pump.cancel()


def iterated_from(loop: asyncio.AbstractEventLoop, source: AsyncGenerator[T]) -> Generator[T]:
    """Yield what `source` yields on `loop`, in a thread that has no loop of its own.

    Raises:
        MillraceError: `sync_call_on_loop`, as `waited_for`.
    """
    _refuse_own_thread(loop, None)
    items: queue.SimpleQueue[Any] = queue.SimpleQueue()
    pump = _submitted(loop, _pumped(source, items.put))
    try:
        while (item := items.get()) is not _END:
            yield item
        pump.result()
    finally:
        pump.cancel()


async def _pumped(source: AsyncGenerator[T], put: Any) -> None:
    """Own a generator for its whole life in one task, as it must be, and pass on what it yields."""
    try:
        async with aclosing(source):
            async for item in source:
                put(item)
    finally:
        put(_END)


def _submitted(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> Any:
    try:
        return asyncio.run_coroutine_threadsafe(work, loop)
    except RuntimeError:
        work.close()
        raise MillraceError("the model door is closed: its loop has ended", code="door_closed") from None


def _refuse_own_thread(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any] | None) -> None:
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        return
    if running is loop:
        if work is not None:
            work.close()
        raise MillraceError(
            "a synchronous model call on the event loop would wait for itself: "
            "use `await program.acall(...)`, or `asyncio.to_thread(program, ...)`",
            code="sync_call_on_loop",
        )
