"""Waiting for a database that is away, for those who hold what must not be lost."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from runtime.errors import Unavailable

T = TypeVar("T")

AWAY = "database_unavailable"
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0

log = structlog.get_logger()


async def outlast(work: Callable[[], Awaitable[T]]) -> T:
    """Await `work()` until the database answers it, however long it is away.

    For a run under way, which can do nothing without its database: an outage costs it time and no step, no
    attempt and no paid answer. Callers that somebody waits for (the API) fail at once instead. A connection
    that is lost during the commit leaves open whether it happened, so `work` must be safe to repeat.
    """
    pause, waited = _FIRST_PAUSE_SECONDS, 0.0
    while True:
        try:
            return await work()
        except Unavailable as error:
            if error.code != AWAY:
                raise
            if waited == 0:
                log.warning("waiting for the results database", reason=error.message)
        await asyncio.sleep(pause)
        waited += pause
        pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)
