"""What is known of each deployment: what this process saw, and what other workers told."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from contracts.models import Seen, bucket_of
from llm.breaker import Breaker
from llm.limits import Limiter
from llm.providers import Limits, Providers
from runtime.clock import utcnow

if TYPE_CHECKING:
    from llm.backend import Reply, Vector
    from runtime.errors import MillraceError


class Health:
    """Everything that decides whether a deployment is asked now, and what came of it.

    Args:
        providers: the checked file.
        clock: monotonic seconds.
    """

    def __init__(self, providers: Providers, clock: Callable[[], float] = time.monotonic) -> None:
        self.breaker = Breaker(providers.policies, clock)
        self.limiter = Limiter(_limits(providers), providers.policies.usd_per_day, clock)
        # Deployments that were switched off by the API: of the file's, fewer are asked, never more.
        self.switched_off: frozenset[str] = frozenset()
        self._seen: dict[str, Seen] = {}

    def reconfigure(self, providers: Providers) -> None:
        """Go on with what is known under a changed file."""
        self.breaker.policies = providers.policies
        self.limiter.limits, self.limiter.usd_per_day = _limits(providers), providers.policies.usd_per_day

    def answered(self, name: str, reply: "Reply | Vector", milliseconds: float) -> None:
        """Count an answer."""
        self.breaker.answered(name)
        seen, usage = self._of(name), reply.usage
        seen.answers += 1
        seen.answered_at = utcnow()
        seen.input_tokens += usage.input_tokens or 0
        seen.output_tokens += usage.output_tokens or 0
        seen.cost_usd += reply.cost_usd or 0
        seen.unpriced += reply.cost_usd is None
        bucket = bucket_of(milliseconds)
        seen.latencies[bucket] = seen.latencies.get(bucket, 0) + 1

    def failed(self, name: str, error: "MillraceError") -> None:
        """Count a failure."""
        self.breaker.failed(name, error)
        seen = self._of(name)
        seen.failures += 1
        seen.failed_at, seen.error = utcnow(), error.code

    def heed(
        self,
        *,
        rests: dict[str, float],
        known: frozenset[str],
        switched_off: frozenset[str],
        usd_today: dict[str, Decimal],
        workers: int,
    ) -> None:
        """Take over what all workers together know.

        Args:
            rests: deployment -> for how many seconds others leave it alone.
            known: deployments of which they know at all; of those, who does not rest there rests nowhere.
            switched_off: deployments that people switched off.
            usd_today: what all workers spent since midnight UTC.
            workers: how many they are.
        """
        for name, seconds in rests.items():
            self.breaker.heed(name, seconds)
        for name in known - rests.keys():
            self.breaker.mend(name)
        self.switched_off = switched_off
        self.limiter.workers = workers
        self.limiter.spent(usd_today)

    def take_seen(self) -> dict[str, Seen]:
        """Return what was seen since the last question, by deployment."""
        taken, self._seen = self._seen, {}
        return taken

    def give_back_seen(self, taken: dict[str, Seen]) -> None:
        """Put back what could not be told; what came meanwhile is added to it."""
        for name, later in self._seen.items():
            if (earlier := taken.get(name)) is not None:
                _add(later, earlier)
        self._seen = {**taken, **self._seen}

    def _of(self, name: str) -> Seen:
        return self._seen.setdefault(name, Seen())


def _limits(providers: Providers) -> dict[str, Limits]:
    return {name: providers.limits_of(name) for name in providers.providers}


def _add(to: Seen, other: Seen) -> None:
    for name in ("answers", "failures", "input_tokens", "output_tokens", "cost_usd", "unpriced"):
        setattr(to, name, getattr(to, name) + getattr(other, name))
    for bucket, count in other.latencies.items():
        to.latencies[bucket] = to.latencies.get(bucket, 0) + count
    to.answered_at = to.answered_at or other.answered_at
    if to.failed_at is None:
        to.failed_at, to.error = other.failed_at, other.error
