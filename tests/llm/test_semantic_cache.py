"""Answers used again for questions that mean the same, over a real provider on loopback."""

import asyncio
from collections import Counter
from pathlib import Path

import dspy
import pytest
import yaml
from dspy.lm15 import Message, Request

from contracts.calls import CallAnswer, CallRequest
from llm.door import Door
from llm.ledger import StepCalls
from llm.settings import LlmSettings
from runtime.errors import BadInput
from tests.fixtures.answer_shelf import Shelf
from tests.fixtures.model_server import ModelServer
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.llm.conftest import QUIET, asked

pytestmark = QUIET

QUESTION, AGAIN, OTHER = (
    "What is the capital of Peru?",
    "Could you please tell me what the capital of Peru is?",
    "What is the capital of Chile?",
)


@pytest.fixture
async def open_cached(server: ModelServer, tmp_path: Path):
    """Opens a door whose chat answers are used again for other words; `small` makes the vectors."""
    server.vectors = {QUESTION: [1.0, 0.0, 0.0], AGAIN: [0.99, 0.1, 0.0], OTHER: [0.98, 0.15, 0.0]}
    doors: list[Door] = []

    def open_(
        policy: dict[str, object] | None = None, *, embedder: bool = True, temperature: float | None = 0
    ) -> Door:
        own = {"kind": "openai_compatible", "base_url": server.url}
        cost = {"input_per_million": 1, "output_per_million": 2}
        providers = {
            "first": {**own, "model": "first", "cost": cost, "temperature": temperature},
            "small": {**own, "model": "small", "cost": {"input_per_million": 100, "output_per_million": 0}},
        }
        routing = {"default": ["first"], **({"embedder": ["small"]} if embedder else {})}
        semantic = {"chat": {"mode": "answer", "review_share": 1, **(policy or {})}}
        told = {
            "providers": providers,
            "routing": routing,
            "policies": {"timeout_seconds": 60},
            "cache": {"semantic": semantic},
        }
        path = tmp_path / "providers.yaml"
        path.write_text(yaml.safe_dump(told))
        doors.append(Door.open(LlmSettings(providers_file=path), answers=Shelf()))
        return doors[-1]

    yield open_
    server.vectors = {}
    for door in doors:
        await door.close()


async def ask(
    door: Door, text: str = QUESTION, *, ledger: NotebookLedger | None = None, **calls: str
) -> NotebookLedger:
    """Ask in a new run, and return its ledger."""
    ledger = ledger or NotebookLedger()
    await door.lm("chat", StepCalls(ledger, "answer#1", **{"owner": "ada", **calls})).acall(
        request=asked(text)
    )
    return ledger


def of_kind(ledger: NotebookLedger, kind: str) -> list[CallAnswer | None]:
    return [row.answer for row in ledger.rows.values() if row.call.kind == kind]


def model_answer(ledger: NotebookLedger) -> CallAnswer:
    (answer,) = of_kind(ledger, "model")
    assert answer is not None
    return answer


async def test_a_question_in_other_words_is_answered_without_asking(open_cached, server: ModelServer):
    door = open_cached()
    first = model_answer(await ask(door))
    ledger = await ask(door, AGAIN)

    again = model_answer(ledger)
    assert server.stats["first"].requests == 1
    assert (again.cached, again.cache_hit, again.cost_usd) == (True, "semantic", 0)
    assert again.saved_usd == first.cost_usd
    assert again.saved_usd
    assert again.response["message"] == first.response["message"]
    news = door.cache.take_news()
    assert again.cache_key in news.kept
    counts = news.counts["ada", "chat"]
    assert (counts.hits, counts.semantic, counts.saved_usd) == (1, 1, first.cost_usd)


async def test_the_vector_is_a_call_in_the_ledger_with_its_price(open_cached, server: ModelServer):
    ledger = await ask(open_cached())

    (vector,) = of_kind(ledger, "embedding")
    served = server.stats["small"]
    assert served.requests == 1
    assert (vector.deployment, vector.input_tokens) == ("small", served.input_tokens)
    assert vector.cost_usd * 1_000_000 == served.input_tokens * 100
    (row,) = [row for row in ledger.rows.values() if row.call.kind == "embedding"]
    assert (row.call.role, row.call.request) == ("embedder", {"input": QUESTION})
    assert row.call.most_usd > vector.cost_usd


async def test_a_run_that_is_resumed_gets_its_vector_from_the_ledger(open_cached, server: ModelServer):
    ledger, door = NotebookLedger(), open_cached()
    # Long enough for the vector, which is asked for beside it.
    server.behaviour["first"].latency_ms = 2000
    server.fail("first", "status", status=400)
    with pytest.raises(dspy.LMError):
        await ask(door, ledger=ledger)

    await ask(door, ledger=ledger)

    assert (server.stats["first"].requests, server.stats["small"].requests) == (2, 1)


@pytest.mark.parametrize("mode", ["answer", "shadow"])
async def test_what_is_only_near_is_asked(open_cached, server: ModelServer, mode: str):
    """Peru and Chile are 0.98 similar: a threshold would have answered."""
    door = open_cached({"mode": mode})
    await ask(door)

    ledger = await ask(door, OTHER)

    assert not model_answer(ledger).cached
    assert server.stats["first"].requests == 2
    # What a threshold would have answered is looked for in shadow mode only: it reads every vector.
    assert door.cache.take_news().counts["ada", "chat"].guarded == (mode == "shadow")


async def test_what_is_not_near_enough_is_asked(open_cached, server: ModelServer):
    door = open_cached({"similarity": 0.999})
    await ask(door)
    await ask(door, AGAIN)

    assert server.stats["first"].requests == 2


@pytest.mark.parametrize(
    "other", [{"owner": "uma"}, {"program": "chat:2"}], ids=["another tenant", "another program"]
)
async def test_nobody_elses_answer_is_used(open_cached, server: ModelServer, other: dict[str, str]):
    door = open_cached()
    await ask(door)

    await ask(door, AGAIN, **other)

    assert server.stats["first"].requests == 2


async def test_other_instructions_are_another_question(open_cached, server: ModelServer):
    door = open_cached()
    for system in ("Answer in French.", "Answer in German."):
        request = Request(model="millrace/chat", messages=(Message.user(QUESTION),), system=system)
        await door.lm("chat", StepCalls(NotebookLedger(), "a", owner="ada")).acall(request=request)

    assert server.stats["first"].requests == 2


async def test_in_shadow_mode_the_model_answers_and_both_answers_are_kept_for_the_judge(
    open_cached, server: ModelServer
):
    door = open_cached({"mode": "shadow"})
    server.behaviour["first"].text = "It is Lima."
    await ask(door)
    server.behaviour["first"].text = "Lima, of course."

    ledger = await ask(door, AGAIN)

    assert not model_answer(ledger).cached
    assert server.stats["first"].requests == 2
    news = door.cache.take_news()
    (reuse,) = news.reuses
    assert (reuse.question, reuse.kept_question) == (AGAIN, QUESTION)
    assert (reuse.kept_answer, reuse.fresh_answer) == ("It is Lima.", "Lima, of course.")
    assert reuse.similarity > 0.95
    counts = news.counts["ada", "chat"]
    assert (counts.shadow, counts.semantic, counts.hits) == (1, 0, 0)


async def test_a_sample_of_the_answers_is_kept_for_the_judge(open_cached):
    door = open_cached()
    await ask(door)
    await ask(door, AGAIN)
    none = open_cached({"review_share": 0})
    await ask(none)
    await ask(none, AGAIN)

    (reuse,) = door.cache.take_news().reuses
    assert reuse.fresh_answer is None
    assert none.cache.take_news().reuses == []


async def test_without_a_vector_the_question_is_asked_as_ever(open_cached, server: ModelServer):
    server.fail("small", "status", status=500, times=0)
    door = open_cached()

    ledger = await ask(door)
    await ask(door, AGAIN)

    assert server.stats["first"].answers == 2
    assert sorted(ledger.statuses) == ["failed", "succeeded"]


class Poor(NotebookLedger):
    """A ledger of a budget that has nothing left for what may be refused."""

    async def reserve(self, call: CallRequest) -> CallAnswer | None:
        if not call.waits:
            raise BadInput("too little is left", code="over_budget")
        return await super().reserve(call)


async def test_a_run_does_not_wait_for_money_for_a_vector(open_cached, server: ModelServer):
    ledger = Poor()

    await ask(open_cached(), ledger=ledger)

    assert ledger.statuses == ["succeeded"]
    assert server.stats["small"].requests == 0


async def test_without_an_embedder_words_are_hashed_in_process(open_cached, server: ModelServer):
    door = open_cached({"similarity": 0.5}, embedder=False)
    ledger = await ask(door)
    again = await ask(door, "what is the capital of peru")

    (vector,) = of_kind(ledger, "embedding")
    assert (vector.deployment, vector.model, vector.cost_usd) == ("offline", "millrace-offline-words-1", 0)
    assert model_answer(again).cache_hit == "semantic"
    assert server.total().requests == 1


async def test_an_answer_that_was_found_wrong_is_used_no_more(open_cached, server: ModelServer):
    door = open_cached()
    await ask(door)
    again = model_answer(await ask(door, AGAIN))

    door.cache.forget([again.cache_key])
    assert not model_answer(await ask(door, AGAIN)).cached
    await ask(door)

    assert server.stats["first"].requests == 2  # the new answer is found by both from now on


async def test_a_hundred_equal_questions_in_other_words_cost_one_vector(open_cached, server: ModelServer):
    door = open_cached()
    await ask(door)

    ledgers = await asyncio.gather(*(ask(door, AGAIN) for _ in range(100)))

    assert server.stats["first"].requests == 1
    assert server.stats["small"].requests == 2
    assert Counter(model_answer(one).cache_hit for one in ledgers) == {"semantic": 100}


async def test_a_question_in_other_words_is_streamed_like_any_other(open_cached, server: ModelServer):
    door = open_cached()
    for text in (QUESTION, AGAIN):
        ledger = NotebookLedger()
        engine = door.engine("chat", StepCalls(ledger, "a", owner="ada"))
        pieces = [one.delta.text async for one in engine.stream(asked(text)) if one.type == "delta"]
        assert "".join(pieces) == "good answer to you"
        assert len(pieces) > 1

    assert model_answer(ledger).cache_hit == "semantic"
    assert server.stats["first"].requests == 1


async def test_an_answer_that_is_not_deterministic_is_not_reused_for_other_words(
    open_cached, server: ModelServer
):
    door = open_cached(temperature=0.7)
    await ask(door)
    await ask(door, AGAIN)

    assert server.stats["first"].requests == 2
    assert server.stats["small"].requests == 0
