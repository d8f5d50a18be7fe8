"""Who is asked, and who next: the walk through a role's deployments, with one answer and one honest bill.

LiteLLM's own fallbacks raise the first error instead of the telling one, fall back on refusals, and merge the
usage of two deployments into one bill; so the walk is ours.
"""

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import timedelta
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from llm.asking import Asker
from llm.backend import Reply, Vector
from llm.bounds import most, most_for_text
from llm.connections import Connections
from llm.deployments import Deployment
from llm.errors import ModelRateLimited, ModelUnavailable, RoleDown, elsewhere, sentence
from llm.health import Health
from llm.providers import EMBEDDER, OFFLINE, Providers
from llm.router_errors import cut, from_provider, worst
from llm.routing import Hints, Wanted, chain_of, order_of
from runtime.clock import utcnow
from runtime.errors import MillraceError
from runtime.secret_store.store import SecretStore

if TYPE_CHECKING:
    from decimal import Decimal

    from dspy._vendor.lm15.types import StreamEvent
    from dspy.lm15 import Request

_Answer = TypeVar("_Answer", Reply, Vector)


class RouterBackend:
    """Answers roles from configured deployments, each asked once, without retries.

    Args:
        providers: the checked file.
        deployments: the file's, see `llm.asking.ready`.
        secrets: where the keys are.
        connections: to servers, for the next backend as well; the caller closes them.
        health: what is known of the deployments; it outlives this backend when the file is changed.
    """

    def __init__(
        self,
        providers: Providers,
        deployments: dict[str, Deployment],
        secrets: SecretStore,
        connections: Connections,
        health: Health,
    ) -> None:
        self.providers = providers
        self.deployments = deployments
        self.health = health
        self._asker = Asker(providers.policies, secrets, connections)

    def most(self, role: str, request: "Request", wanted: Wanted | None = None) -> "Decimal | MillraceError":
        """Return the most that a request can cost at the dearest deployment that its role may ask."""
        names = self._names(role, wanted)
        return most(request, {name: self.deployments[name].ceiling for name in names})

    async def complete(self, role: str, request: "Request", hints: Hints = Hints()) -> Reply:  # noqa: B008  frozen
        """Return the first whole answer of the role's deployments.

        Raises:
            ModelError: the most telling failure; `RoleDown` when nobody could even be asked.
        """
        turns = _Turns(self, role, order_of(self.providers, role, request, hints))
        return await self._first(turns, lambda deployment: self._asker.whole(deployment, request))

    async def stream(
        self,
        role: str,
        request: "Request",
        hints: Hints = Hints(),  # noqa: B008  frozen
    ) -> "AsyncGenerator[StreamEvent | Reply]":
        """Yield the events of the first deployment that begins to answer, then the `Reply`.

        After the first piece was passed on, nobody else is asked: the reader has half an answer already.
        """
        turns = _Turns(self, role, order_of(self.providers, role, request, hints))
        while (deployment := await turns.next()) is not None:
            begun, reply = False, None
            since = perf_counter()
            try:
                async with aclosing(self._asker.streamed(deployment, request)) as items:
                    async for item in items:
                        begun = True
                        if isinstance(item, Reply):
                            reply = item
                            self.health.answered(deployment.name, reply, (perf_counter() - since) * 1000)
                        yield item
            except Exception as exc:  # noqa: BLE001  every foreign error is translated
                if begun:
                    error = cut(from_provider(exc, deployment.name), deployment.name)
                    self.health.failed(deployment.name, error)
                    raise error from None
                turns.failed(deployment, exc)
            else:
                return
            finally:
                self._give_back(deployment, reply)
        raise turns.verdict() from None

    def supports(self, role: str, wanted: Wanted | None = None) -> frozenset[str]:
        """Return what all of a role's deployments can do, in the words of `supports` in the file."""
        return frozenset.intersection(
            *(self.deployments[name].supports for name in self._names(role, wanted))
        )

    def cooling_down(self) -> dict[str, float]:
        """Return the deployments that are left alone at the moment, each with the seconds that remain."""
        rests = {name: self.health.breaker.rest(name) for name in self.deployments}
        return {name: seconds for name, seconds in rests.items() if seconds > 0}

    async def probe(self, name: str) -> bool:
        """Ask a deployment for one token, outside of any run, and return whether it answered."""
        from dspy.lm15 import Config, Message, Request

        deployment = self.deployments.get(name)
        if deployment is None:
            return False
        asked = Request(model=deployment.model, messages=(Message.user("ping"),), config=Config(max_tokens=1))
        since = perf_counter()
        reply: Reply | Vector
        try:
            if name in self.providers.chain(EMBEDDER):
                reply = await self._asker.embedded(deployment, "ping")
            else:
                reply = await self._asker.whole(deployment, asked)
        except Exception as exc:  # noqa: BLE001  every foreign error is translated
            self.health.failed(name, from_provider(exc, name))
            return False
        self.health.answered(name, reply, (perf_counter() - since) * 1000)
        return True

    def most_for(self, text: str) -> "Decimal | MillraceError":
        """Return the most that the vector of a text can cost."""
        (name,) = self.providers.chain(EMBEDDER)
        return most_for_text(text, name, self.deployments[name].ceiling)

    async def embed(self, text: str) -> Vector:
        """Return the vector of a text.

        Raises:
            ModelError: as `complete`.
        """
        turns = _Turns(self, EMBEDDER, self.providers.chain(EMBEDDER))
        return await self._first(turns, lambda deployment: self._asker.embedded(deployment, text))

    async def _first(self, turns: "_Turns", ask: "Callable[[Deployment], Awaitable[_Answer]]") -> "_Answer":
        """Return the first whole answer; each deployment gives back the place that it had."""
        while (deployment := await turns.next()) is not None:
            answer: _Answer | None = None
            since = perf_counter()
            try:
                answer = await ask(deployment)
            except Exception as exc:  # noqa: BLE001  every foreign error is translated
                turns.failed(deployment, exc)
            finally:
                self._give_back(deployment, answer)
            if answer is not None:
                self.health.answered(deployment.name, answer, (perf_counter() - since) * 1000)
                return answer
        raise turns.verdict() from None

    def _names(self, role: str, wanted: Wanted | None) -> list[str]:
        return [name for name in chain_of(self.providers, role, wanted) if name != OFFLINE]

    def _give_back(self, deployment: Deployment, reply: Reply | Vector | None) -> None:
        usage = reply.usage if reply is not None else None
        tokens = (usage.input_tokens or 0) + (usage.output_tokens or 0) if usage is not None else 0
        self.health.limiter.give_back(deployment.name, tokens, reply.cost_usd if reply is not None else None)


class _Turns:
    """The deployments of one call in the order of asking; a busy one comes last, once it has a place."""

    def __init__(self, backend: RouterBackend, role: str, order: Sequence[str]) -> None:
        self._backend = backend
        self._role = role
        self._left = deque(order)
        self._busy: list[str] = []
        self._asked = 0
        self._failures: list[MillraceError] = []

    async def next(self) -> Deployment | None:
        """Return who is asked next, with a place taken for the call; none when nobody is left."""
        policies, limiter = self._backend.providers.policies, self._backend.health.limiter
        if policies.fallbacks is not None and self._asked > policies.fallbacks:
            return None
        while self._left:
            name = self._left.popleft()
            if (refusal := self._refusal(name)) is not None:
                self._failures.append(refusal)
            elif limiter.take(name):
                return self._turn(name)
            else:
                self._busy.append(name)
        if self._busy:
            if (free := await limiter.wait(self._busy, policies.timeout_seconds)) is not None:
                self._busy.remove(free)
                return self._turn(free)
            self._failures += [_busy(name, policies.timeout_seconds) for name in self._busy]
            self._asked += 1  # it was tried, for as long as a call may take
            self._busy.clear()
        return None

    def failed(self, deployment: Deployment, exc: Exception) -> None:
        """Remember a failure, or raise it when no other deployment could do better."""
        error = from_provider(exc, deployment.name)
        self._backend.health.failed(deployment.name, error)
        if not elsewhere(error):
            raise error from None
        self._failures.append(error)

    def verdict(self) -> MillraceError:
        """Return the error of the whole call, once everybody has failed or could not be asked."""
        if self._asked:
            return worst(self._failures)
        return _role_down(self._role, self._failures)

    def _turn(self, name: str) -> Deployment:
        self._asked += 1
        return self._backend.deployments[name]

    def _refusal(self, name: str) -> ModelUnavailable | None:
        """Return why a deployment is not asked now, if so."""
        health = self._backend.health
        if name in health.switched_off:
            return _unasked(name, "switched off", "model_switched_off", None)
        if (seconds := health.breaker.rest(name)) > 0:
            return _unasked(name, "left alone after failures", "model_cooling_down", seconds)
        if health.limiter.over_budget(name):
            return _unasked(name, "its money for today is spent", "model_over_budget", _until_midnight())
        return None


def _unasked(name: str, words: str, code: str, seconds: float | None) -> ModelUnavailable:
    detail = {"deployment": name} | ({} if seconds is None else {"retry_after": round(seconds, 3)})
    return ModelUnavailable(sentence(words, detail), code=code, detail=detail)


def _busy(name: str, seconds: float) -> ModelRateLimited:
    detail = {"deployment": name}
    words = f"its limits left no place for {seconds:g} s"
    return ModelRateLimited(sentence(words, detail), code="model_busy", detail=detail)


def _role_down(role: str, failures: Sequence[MillraceError]) -> MillraceError:
    """Return the error for a role of which nobody may be asked now: a run can wait for one of them."""
    waits = [seconds for error in failures if (seconds := error.detail.get("retry_after")) is not None]
    reasons = {str(error.detail.get("deployment")): error.code for error in failures}
    detail = {"role": role, "deployments": reasons} | ({"retry_after": min(waits)} if waits else {})
    told = ", ".join(f"{name} ({code})" for name, code in reasons.items()) or "none is enabled"
    when = f"; try again in {min(waits):g} s" if waits else ""
    return RoleDown(f"nobody can answer the role `{role}` now: {told}{when}", detail=detail)


def _until_midnight() -> float:
    now = utcnow()
    tomorrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (tomorrow - now).total_seconds()
