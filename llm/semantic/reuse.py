"""One question on its way to an answer that was given to another one, or to one that others will find."""

import asyncio
import hashlib
import json
import logging
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from contracts.cache import KeptAnswer, KeptQuestion, Reuse
from llm.replay import restored
from llm.semantic.embedding import Embedder
from llm.semantic.question import Question

if TYPE_CHECKING:
    from llm.cache import Cache
    from llm.providers import SemanticPolicy
    from llm.semantic.shelf import Shelf

_log = logging.getLogger(__name__)
_CHANCE = random.SystemRandom()
# How much of an answer a judge needs to see.
_SHOWN_CHARS = 20_000


class Reusing:
    """What the semantic cache does about one question; end it with `close`.

    Args:
        cache: answers, counts and shelves of this process.
        policy: of the role.
        embedder: makes the vector, at most once.
        question: what is asked.
        owner: whose it is.
        role: in whose name.
        parts: what else the answer depends on, besides the rest of the request; JSON-ready.
    """

    def __init__(
        self,
        cache: "Cache",
        policy: "SemanticPolicy",
        embedder: Embedder,
        question: Question,
        *,
        owner: str,
        role: str,
        parts: list[Any],
    ) -> None:
        self._cache, self._policy, self._embedder = cache, policy, embedder
        self._text, self._owner, self._role = question.text, owner, role
        everything = [*parts, embedder.identity, question.rest]
        self._scope = hashlib.sha256(
            json.dumps(everything, sort_keys=True).encode(errors="replace")
        ).hexdigest()
        self._asking: asyncio.Task[bytes] | None = None

    @property
    def shelf(self) -> "Shelf":
        """The kept questions among which this one may be."""
        return self._cache.shelves.of(self._owner, self._role, self._policy.entries)

    async def found(self) -> KeptAnswer | None:
        """Return an answer to a question that means the same; without a likely one no vector is asked for."""
        if self._policy.mode != "answer" or not self.shelf.likely(self._scope, self._text):
            return None
        near = await self._nearest()
        if near is None:
            return None
        question, similarity = near
        kept = await self._answer(question.key)
        if kept is not None:
            self._cache.hit(kept, "semantic")
            self._sample(question, kept, None, similarity)
        return kept

    def begin(self) -> None:
        """Ask for the vector beside the question itself, so that nobody waits for it."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._embedder.vector(self._text), name="question-vector")

    async def learn(self, answer: KeptAnswer) -> None:
        """Let others find this question's answer; in shadow mode, tell what it would have got."""
        vector = await self._vector()
        if vector is None:
            return
        near = await self._nearest()
        if near is not None and self._policy.mode == "shadow":
            kept = await self._answer(near[0].key)
            if kept is not None:
                self._cache.count(self._owner, self._role).shadow += 1
                self._sample(near[0], kept, answer, near[1])
        elif near is None and self._policy.mode == "shadow":
            # Beside the loop: 10,000 long vectors are 60 MB to read.
            best = await asyncio.to_thread(self.shelf.nearest_of_all, self._scope, vector)
            self._cache.count(self._owner, self._role).guarded += best >= self._policy.similarity
        question = KeptQuestion(answer.key, self._owner, self._role, self._scope, self._text, vector)
        self.shelf.add(question)
        self._cache.news.questions.append(question)

    async def close(self) -> None:
        """Stop what is still under way."""
        if self._asking is not None and not self._asking.done():
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait({self._asking})

    async def _vector(self) -> bytes | None:
        """Return the question's vector; none where there is none to be had, and then nothing is said."""
        self.begin()
        assert self._asking is not None  # noqa: S101  begun above
        await asyncio.wait({self._asking})
        if self._asking.cancelled():
            return None
        # Also a run that was parked or stopped meanwhile: it hears of that at its own next call.
        if (error := self._asking.exception()) is not None:
            _log.debug("no vector: %s", type(error).__name__)
            return None
        return self._asking.result()

    async def _nearest(self) -> tuple[KeptQuestion, float] | None:
        vector = await self._vector()
        near = None if vector is None else self.shelf.nearest(self._scope, self._text, vector)
        return near if near is not None and near[1] >= self._policy.similarity else None

    async def _answer(self, key: str) -> KeptAnswer | None:
        kept = self._cache.near(key) or await self._cache.far(key)
        if kept is None:  # too old, or removed for want of room
            self._cache.shelves.remove(key)
        return kept

    def _sample(
        self, question: KeptQuestion, kept: KeptAnswer, fresh: KeptAnswer | None, similarity: float
    ) -> None:
        """Keep a use for the judge, as often as the policy says."""
        if _CHANCE.random() >= self._policy.review_share:
            return
        reuse = Reuse(
            owner=self._owner,
            role=self._role,
            key=kept.key,
            question=self._text,
            kept_question=question.text,
            kept_answer=_words(kept),
            fresh_answer=None if fresh is None else _words(fresh),
            similarity=round(similarity, 6),
        )
        self._cache.news.reuses.append(reuse)


def _words(kept: KeptAnswer) -> str:
    return (restored(kept.response).text or "")[:_SHOWN_CHARS]
