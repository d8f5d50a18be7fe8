"""When a failing deployment is left alone, and for how long.

A deployment that failed more than `allowed_fails` times within the cooldown time, without a success in
between, is left alone. After that a single further failure is enough, until it has answered again. What
other workers saw arrives by `heed`; what this one saw leaves by `tripped`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from llm.errors import ModelError, ModelRefused
from llm.providers import Policies
from runtime.errors import MillraceError

# A provider that asks for a longer rest than this is tried again all the same.
LONGEST_SECONDS = 600.0
# Two clocks tell the end of one rest.
_SAME_SECONDS = 0.5


@dataclass(slots=True)
class _State:
    """Times are monotonic seconds: of the failures that count, and of the end of the rest."""

    failures: list[float] = field(default_factory=list)
    until: float = 0.0
    on_trial: bool = False


class Breaker:
    """The rests of all deployments, as this process knows them.

    Args:
        policies: how much failure is borne.
        clock: monotonic seconds.
    """

    def __init__(self, policies: Policies, clock: Callable[[], float] = time.monotonic) -> None:
        self.policies = policies
        self.tripped: dict[str, float] = {}
        self._clock = clock
        self._states: dict[str, _State] = {}

    def rest(self, name: str) -> float:
        """Return for how many seconds a deployment is still left alone; 0 when it may be asked."""
        state = self._states.get(name)
        return 0.0 if state is None else max(state.until - self._clock(), 0.0)

    def answered(self, name: str) -> None:
        """Forget a deployment's failures: it works."""
        if (state := self._states.get(name)) is not None and state.until <= self._clock():
            del self._states[name]

    def failed(self, name: str, error: MillraceError) -> None:
        """Count a failure; the last one that is borne begins the rest."""
        if not isinstance(error, ModelError) or isinstance(error, ModelRefused):
            return  # the request was wrong, not the deployment
        now, state = self._clock(), self._states.setdefault(name, _State())
        if state.until > now:
            return  # a call that began before the rest
        window = self.policies.cooldown_seconds
        state.failures = [*(at for at in state.failures if now - at < window), now]
        if state.on_trial or len(state.failures) > self.policies.allowed_fails:
            wanted = error.retry_after or 0.0
            self._rest(state, now, min(max(window, wanted), LONGEST_SECONDS))
            self.tripped[name] = state.until - now

    def heed(self, name: str, seconds: float) -> None:
        """Leave a deployment alone because another worker does."""
        now, state = self._clock(), self._states.setdefault(name, _State())
        if now + seconds > state.until + _SAME_SECONDS:
            self._rest(state, now, seconds)

    def mend(self, name: str) -> None:
        """End a rest early, unless it began here and nobody was told yet: somebody had an answer."""
        if name not in self.tripped and (state := self._states.get(name)) is not None:
            state.until = min(state.until, self._clock())

    def take_tripped(self) -> dict[str, float]:
        """Return the rests that began here since the last question, in seconds from their begin."""
        taken, self.tripped = self.tripped, {}
        return taken

    @staticmethod
    def _rest(state: _State, now: float, seconds: float) -> None:
        state.until, state.failures, state.on_trial = now + seconds, [], True
