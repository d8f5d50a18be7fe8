"""How much a deployment may be asked: calls in flight, calls and tokens a minute, money a day.

Limits a minute hold for all workers together: each process takes its share of them.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from llm.providers import Limits

MINUTE = 60.0
# A caller that waits looks again so often; a place that is given back wakes it at once.
LOOK_AGAIN_SECONDS = 0.25


@dataclass(slots=True)
class _Use:
    """What one deployment does now: calls in flight, and what began within the last minute."""

    in_flight: int = 0
    begun: deque[float] = field(default_factory=deque)
    tokens: deque[tuple[float, int]] = field(default_factory=deque)
    usd_today: Decimal = Decimal(0)


class Limiter:
    """The use of all deployments by this process, against their limits.

    Args:
        limits: deployment -> what it bears.
        usd_per_day: of all deployments together.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        limits: dict[str, Limits],
        usd_per_day: Decimal | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self.usd_per_day = usd_per_day
        # How many processes share the limits, as the database tells.
        self.workers = 1
        self._clock = clock
        self._uses: dict[str, _Use] = {}
        self._freed = asyncio.Event()

    def spent(self, usd: dict[str, Decimal]) -> None:
        """Hear what all workers together have spent today."""
        for name in {*usd, *self._uses}:
            self._use(name).usd_today = usd.get(name, Decimal(0))

    def over_budget(self, name: str) -> bool:
        """Return whether the money for today is spent: the deployment's own, or that of all."""
        own = self.limits[name].usd_per_day
        if own is not None and self._use(name).usd_today >= own:
            return True
        total = sum((use.usd_today for use in self._uses.values()), Decimal(0))
        return self.usd_per_day is not None and total >= self.usd_per_day

    def take(self, name: str) -> bool:
        """Take a place for a call if there is one now; give it back with `give_back`."""
        limits, use, now = self.limits[name], self._use(name), self._clock()
        _drop_old(use, now)
        if limits.concurrency is not None and use.in_flight >= limits.concurrency:
            return False
        if (most := self._share(limits.requests_per_minute)) is not None and len(use.begun) >= most:
            return False
        used = sum(count for _, count in use.tokens)
        if (most := self._share(limits.tokens_per_minute)) is not None and used >= most:
            return False
        use.in_flight += 1
        if limits.requests_per_minute is not None:
            use.begun.append(now)
        return True

    async def wait(self, names: list[str], seconds: float) -> str | None:
        """Return the first of these deployments that has a place, and take it; none after so many seconds."""
        end = self._clock() + seconds
        while (left := end - self._clock()) > 0:
            for name in names:
                if self.take(name):
                    return name
            freed = self._freed
            try:
                async with asyncio.timeout(min(LOOK_AGAIN_SECONDS, left)):
                    await freed.wait()
            except TimeoutError:
                continue
        return None

    def give_back(self, name: str, tokens: int = 0, usd: Decimal | None = None) -> None:
        """Give a place back, and tell what the call used."""
        use = self._use(name)
        use.in_flight -= 1
        if tokens and self.limits.get(name, Limits()).tokens_per_minute is not None:
            use.tokens.append((self._clock(), tokens))
        if usd:
            use.usd_today += usd
        self._freed.set()
        self._freed = asyncio.Event()

    def _share(self, limit: int | None) -> int | None:
        return None if limit is None else max(limit // max(self.workers, 1), 1)

    def _use(self, name: str) -> _Use:
        return self._uses.setdefault(name, _Use())


def _drop_old(use: _Use, now: float) -> None:
    while use.begun and now - use.begun[0] >= MINUTE:
        use.begun.popleft()
    while use.tokens and now - use.tokens[0][0] >= MINUTE:
        use.tokens.popleft()
