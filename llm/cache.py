"""Answers used again: by the key of their question, or, where a role wants it, for one that means the same.

What is looked up per question is one row at most; what is written (new answers, uses, counts) waits in memory
and is told by the worker about twice a second, so that no question waits for it.
"""

import asyncio
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, Protocol

from contracts.cache import CacheCounts, KeptAnswer, KeptQuestion, Reuse
from contracts.calls import Hit
from llm.backend import Reply
from llm.claims import Claims, ClaimStore
from llm.providers import CachePolicy, Providers
from llm.replay import events_of, recorded, restored, without_secrets
from llm.routing import Hints, Wanted, order_of

if TYPE_CHECKING:
    from dspy._vendor.lm15.types import StreamEvent
    from dspy.lm15 import Request

    from llm.router import RouterBackend
    from llm.semantic.embedding import Embedder
    from llm.semantic.reuse import Reusing
    from llm.semantic.shelf import Shelves
    from runtime.errors import MillraceError

How = Literal["exact", "semantic"]
FRONT_ENTRIES = 1_000
# Another worker's front does not hear of an answer that was removed: it is looked up again after this time.
FRONT_SECONDS = 60.0
FRONT_BYTES = 16 * 1024 * 1024
# A larger answer is rarely asked for twice, and would push a hundred others out.
LARGEST_BYTES = 256 * 1024


class AnswerStore(ClaimStore, Protocol):
    """Where answers are kept for all workers."""

    async def find(self, key: str) -> KeptAnswer | None:
        """Return the answer under a key that may still be used."""


@dataclass(slots=True)
class News:
    """What the store was not told yet: answers, questions, uses, and counts by owner and role."""

    kept: dict[str, KeptAnswer] = field(default_factory=dict)
    questions: list[KeptQuestion] = field(default_factory=list)
    reuses: list[Reuse] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=dict)
    counts: dict[tuple[str, str], CacheCounts] = field(default_factory=dict)


class Cache:
    """The kept answers, as one process uses them.

    Args:
        store: where they are kept.
        clock: monotonic seconds.
    """

    def __init__(self, store: AnswerStore, clock: Callable[[], float] = time.monotonic) -> None:
        self.news = News()
        self.flights: dict[str, asyncio.Event] = {}
        self.claims = Claims(store, clock)
        self.clock = clock
        self._store = store
        self._front: OrderedDict[str, tuple[KeptAnswer, float]] = OrderedDict()
        self._bytes = 0

    def near(self, key: str) -> KeptAnswer | None:
        """Return an answer that stands in memory."""
        found = self._front.get(key)
        if found is None:
            return None
        if found[1] <= self.clock():
            self._drop(key)
            return None
        self._front.move_to_end(key)
        return found[0]

    async def far(self, key: str) -> KeptAnswer | None:
        """Return an answer that the store has; a store that is away has none."""
        answer = await self._store.find(key)
        if answer is not None:
            self._remember(answer)
        return answer

    async def settled(self, key: str, owner: str, until: float) -> KeptAnswer | None:
        """Return the answer that another worker asks for just now; none when it is to be asked here."""
        answer = await self.claims.settled(key, owner, until)
        if answer is not None:
            self._remember(answer)
        return answer

    def landed(self, key: str, flight: asyncio.Event) -> None:
        """Let go of a question, so that the next one of its kind is answered or asked."""
        self.flights.pop(key)
        self.claims.over(key)
        flight.set()

    def keep(self, answer: KeptAnswer) -> bool:
        """Keep a new answer, and return whether it is not too large for that."""
        if answer.size > LARGEST_BYTES:
            return False
        self._remember(answer)
        self.news.kept[answer.key] = answer
        self.count(answer.owner, answer.role).kept += 1
        return True

    @cached_property
    def shelves(self) -> "Shelves":
        """The questions that others can find, by what they mean."""
        from llm.semantic.shelf import Shelves

        return Shelves()

    def forget(self, keys: Iterable[str]) -> None:
        """Use these answers no more: they were found to be wrong."""
        gone = set(keys)
        for key in [key for key, (answer, _) in self._front.items() if answer.key in gone]:
            self._drop(key)
        for key in gone:
            self.news.kept.pop(key, None)
            self.shelves.remove(key)

    def also(self, key: str, answer: KeptAnswer) -> None:
        """Answer another key with this for a while: the question that means the same is asked again soon."""
        self._remember(answer, key)

    def hit(self, answer: KeptAnswer, how: How) -> None:
        """Count a use."""
        self.news.used[answer.key] = self.news.used.get(answer.key, 0) + 1
        counts = self.count(answer.owner, answer.role)
        counts.hits += 1
        counts.semantic += how == "semantic"
        counts.saved_usd += answer.cost_usd or 0
        counts.saved_ms += answer.latency_ms

    def count(self, owner: str, role: str) -> CacheCounts:
        """Return the counts of an owner and a role, to be added to."""
        return self.news.counts.setdefault((owner, role), CacheCounts())

    def take_news(self) -> News:
        """Return what the store must be told."""
        taken, self.news = self.news, News()
        return taken

    def _remember(self, answer: KeptAnswer, key: str | None = None) -> None:
        key = key or answer.key
        self._drop(key)
        self._front[key] = (answer, self.clock() + min(answer.seconds, FRONT_SECONDS))
        self._bytes += answer.size
        while len(self._front) > FRONT_ENTRIES or self._bytes > FRONT_BYTES:
            self._drop(next(iter(self._front)))

    def _drop(self, key: str) -> None:
        if (gone := self._front.pop(key, None)) is not None:
            self._bytes -= gone[0].size


class CachedBackend:
    """Answers what was answered before, and asks for the rest; equal questions at the same time are one.

    Args:
        inner: who is asked.
        cache: where answers are kept.
        embedder: makes vectors of questions for the roles that want it; none leaves it at equal questions.
    """

    def __init__(self, inner: "RouterBackend", cache: Cache, embedder: "Embedder | None" = None) -> None:
        self.inner = inner
        self._cache = cache
        self._embedder = embedder

    def most(self, role: str, request: "Request", wanted: Wanted | None = None) -> "Decimal | MillraceError":
        """Return the most that a request can cost: it may have to be asked."""
        return self.inner.most(role, request, wanted)

    async def complete(self, role: str, request: "Request", hints: Hints) -> Reply:
        """Return the kept answer, or a new one; the errors are those of who is asked."""
        key = key_of(self.inner.providers, role, request, hints)
        if key is None:
            return await self.inner.complete(role, request, hints)
        kept, flight = await self._found(key, role, request, hints)
        if kept is not None:
            return _reply(kept, _how(key, kept))
        meant: Reusing | None = None
        try:
            meant = self._meant(role, request, hints)
            if meant is not None:
                if (kept := await meant.found()) is not None:
                    self._cache.also(key, kept)
                    return _reply(kept, "semantic")
                meant.begin()
            since = perf_counter()
            reply = await self.inner.complete(role, request, hints)
            answer = self._keep(key, role, request, hints, reply, since)
            if meant is not None and answer is not None:
                await meant.learn(answer)
            return reply
        finally:
            await self._landed(key, flight, meant)

    async def stream(
        self, role: str, request: "Request", hints: Hints
    ) -> "AsyncGenerator[StreamEvent | Reply]":
        """Yield the kept answer as a stream, or a new one as it comes."""
        key = key_of(self.inner.providers, role, request, hints)
        kept, flight = (None, None) if key is None else await self._found(key, role, request, hints)
        meant: Reusing | None = None
        answer: KeptAnswer | None = None
        try:
            if key is not None and kept is None:
                meant = self._meant(role, request, hints)
            if key is not None and meant is not None and (kept := await meant.found()) is not None:
                self._cache.also(key, kept)
            if key is not None and kept is not None:
                reply = _reply(kept, _how(key, kept))
                for event in events_of(reply.response):
                    yield event
                yield reply
                return
            if meant is not None:
                meant.begin()
            since = perf_counter()
            async with aclosing(self.inner.stream(role, request, hints)) as items:
                async for item in items:
                    if key is not None and isinstance(item, Reply):
                        answer = self._keep(key, role, request, hints, item, since)
                    yield item
            if meant is not None and answer is not None:
                await meant.learn(answer)
        finally:
            if key is not None:
                await self._landed(key, flight, meant)

    def _meant(self, role: str, request: "Request", hints: Hints) -> "Reusing | None":
        """Return what is to be done about a question that may be said in other words; none otherwise."""
        policies = {str(name): policy for name, policy in self.inner.providers.cache.semantic.items()}
        if (policy := policies.get(role)) is None or self._embedder is None or hints.owner is None:
            return None
        from llm.semantic.question import question_of
        from llm.semantic.reuse import Reusing

        if (question := question_of(request)) is None:
            return None
        parts = _parts(self.inner.providers, role, request, hints)
        owner = hints.owner
        return Reusing(self._cache, policy, self._embedder, question, owner=owner, role=role, parts=parts)

    async def _landed(self, key: str, flight: asyncio.Event | None, meant: "Reusing | None") -> None:
        """Let the others go on, whatever came of it."""
        if flight is not None:
            self._cache.landed(key, flight)
        if meant is not None:
            await meant.close()

    async def _found(
        self, key: str, role: str, request: "Request", hints: Hints
    ) -> tuple[KeptAnswer | None, asyncio.Event | None]:
        """Return a kept answer; or none, and then the caller asks and ends the flight that it is given.

        Whoever waits for others, here or in other workers, does so for as long as the call may take. Then it
        asks by itself, and has no flight.
        """
        cache, owner = self._cache, hints.owner or ""
        until = cache.clock() + _seconds(self.inner.providers, role, request, hints)
        while (kept := cache.near(key)) is None:
            if (flight := cache.flights.get(key)) is not None:
                try:
                    async with asyncio.timeout(until - cache.clock()):
                        await flight.wait()
                except TimeoutError:
                    cache.count(owner, role).misses += 1
                    return None, None
                continue
            flight = cache.flights[key] = asyncio.Event()
            try:
                kept = await cache.far(key) or await cache.settled(key, owner, until)
            except BaseException:
                cache.landed(key, flight)
                raise
            if kept is None:
                cache.count(owner, role).misses += 1
                return None, flight
            cache.landed(key, flight)
            break
        cache.hit(kept, _how(key, kept))
        return kept, None

    def _keep(
        self, key: str, role: str, request: "Request", hints: Hints, reply: Reply, since: float
    ) -> KeptAnswer | None:
        """Keep an answer of the deployment that the key names, not one of its stand-ins; return it."""
        order = order_of(self.inner.providers, role, request, hints)
        if not order or reply.deployment != order[0] or reply.response.finish_reason == "length":
            return None
        response, usage = recorded(without_secrets(reply)), reply.response.usage
        answer = KeptAnswer(
            key=key,
            owner=hints.owner or "",
            role=role,
            response=response,
            deployment=reply.deployment,
            model=reply.model,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=reply.cost_usd,
            latency_ms=(perf_counter() - since) * 1000,
            seconds=self.inner.providers.cache.ttl_seconds,
            size=len(json.dumps(response, ensure_ascii=False).encode(errors="replace")),
        )
        return answer if self._cache.keep(answer) else None


def key_of(providers: Providers, role: str, request: "Request", hints: Hints) -> str | None:
    """Return the key of a question; none when its answer is not to be used again.

    In it: owner, role, program version, the model that is asked first, the messages with all parameters, and
    which of several equal questions of a step this is, so that best-of-N stays N answers.
    """
    if hints.owner is None or hints.fingerprint is None:
        return None
    order = order_of(providers, role, request, hints)
    if not order or not _wanted(providers.cache, role, request, providers.providers[order[0]].temperature):
        return None
    parts = [*_parts(providers, role, request, hints), hints.fingerprint]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _parts(providers: Providers, role: str, request: "Request", hints: Hints) -> list[Any]:
    """Return what an answer depends on besides its request, JSON-ready."""
    first = providers.providers[order_of(providers, role, request, hints)[0]]
    asked = [hints.owner, role, hints.program, first.kind, first.model, first.base_url]
    return [*asked, first.temperature, first.max_tokens, first.options, hints.n]


def _seconds(providers: Providers, role: str, request: "Request", hints: Hints) -> float:
    """Return how long the deployment that the key names may take."""
    first = providers.providers[order_of(providers, role, request, hints)[0]]
    return first.timeout_seconds or providers.policies.timeout_seconds


def _wanted(policy: CachePolicy, role: str, request: "Request", usual: float | None) -> bool:
    exact = {str(name): when for name, when in policy.exact.items()}
    match exact.get(role, "deterministic"):
        case "always":
            return True
        case "never":
            return False
    asked = request.config.temperature
    return (usual if asked is None else asked) == 0


def _how(key: str, kept: KeptAnswer) -> How:
    """Return how an answer comes to be that of a key: its own, or that of a question that means the same."""
    return "exact" if kept.key == key else "semantic"


def _reply(kept: KeptAnswer, how: How) -> Reply:
    hit = Hit(how, kept.key, kept.cost_usd)
    return Reply(restored(kept.response), kept.deployment, kept.model, Decimal(0), hit=hit)
