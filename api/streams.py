"""How many event streams a caller has open at this process, and that none outlives its credential."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Any

from fastapi.sse import format_sse_event

from runtime.errors import NotAllowed, NotAuthenticated, NotFound, TooMany, Unavailable

RETRY_AFTER_SECONDS = 5


class Streams:
    """Counts open streams.

    Args:
        most: how many one caller may have.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    @contextmanager
    def place(self, who: str) -> Iterator[None]:
        """Hold one place for the length of the block.

        Raises:
            TooMany: `too_many_requests`.
        """
        if self._open[who] >= self._most:
            raise TooMany(
                f"{self._most} event streams are open already; close one.",
                detail={"headers": {"Retry-After": str(RETRY_AFTER_SECONDS)}},
            )
        self._open[who] += 1
        try:
            yield
        finally:
            self._open[who] -= 1
            self._open += Counter()


async def while_known(
    source: AsyncGenerator[bytes], ask_again: Callable[[], Awaitable[Any]], every: float
) -> AsyncGenerator[bytes]:
    """Pass a stream on until the caller is no longer let in, asked every so many seconds.

    It then ends with the event `unauthenticated`: whoever reconnects hears a 401.
    """
    loop = asyncio.get_running_loop()
    asked_at = loop.time()
    async with aclosing(source):
        following: asyncio.Future[bytes] | None = None
        try:
            while True:
                following = following or asyncio.ensure_future(anext(source))
                await asyncio.wait({following}, timeout=max(0, asked_at + every - loop.time()))
                if loop.time() >= asked_at + every:
                    asked_at = loop.time()
                    if code := await _refusal(ask_again):
                        yield format_sse_event(event="unauthenticated", data_str=json.dumps({"code": code}))
                        return
                if following.done():
                    chunk, following = following.result(), None
                    yield chunk
        except StopAsyncIteration:
            return
        finally:
            if following is not None:
                following.cancel()
                with suppress(asyncio.CancelledError, StopAsyncIteration):
                    await following


async def _refusal(ask_again: Callable[[], Awaitable[Any]]) -> str | None:
    try:
        await ask_again()
    except (NotAuthenticated, NotAllowed, NotFound) as error:
        return error.code
    except Unavailable:  # Nobody can tell now; the next time, perhaps.
        return None
    return None
