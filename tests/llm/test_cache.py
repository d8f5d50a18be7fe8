"""Answers used again, over a real provider on loopback."""

import asyncio
from pathlib import Path

import dspy
import pytest
import yaml

from llm.door import Door
from llm.ledger import StepCalls
from llm.settings import LlmSettings
from tests.fixtures.answer_shelf import Shelf
from tests.fixtures.model_server import ModelServer
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.llm.conftest import QUIET, asked, eventually

pytestmark = QUIET


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def open_cached(server: ModelServer, tmp_path: Path, shelf: Shelf):
    """Opens a door whose answers are kept on the shelf; by default of a deployment at temperature 0."""
    doors: list[Door] = []

    def open_(cache: object = None, second: bool = False, **extra: object) -> Door:
        own = {"kind": "openai_compatible", "base_url": server.url, "model": "first", "temperature": 0}
        cost = {"cost": {"input_per_million": 1, "output_per_million": 2}}
        names = ["first", "second"] if second else ["first"]
        told = {
            "providers": {name: {**own, **cost, "model": name, **extra} for name in names},
            "routing": {"default": names},
            "policies": {"timeout_seconds": 60},
            "cache": cache or {},
        }
        path = tmp_path / "providers.yaml"
        path.write_text(yaml.safe_dump(told))
        doors.append(Door.open(LlmSettings(providers_file=path), answers=shelf))
        return doors[-1]

    yield open_
    for door in doors:
        await door.close()


async def ask(
    door: Door, text: str = "What is promised?", *, owner: str | None = "ada", program: str | None = None
) -> NotebookLedger:
    """Ask in a new run, and return its ledger."""
    ledger = NotebookLedger()
    calls = StepCalls(ledger, "answer#1", owner=owner, program=program)
    await door.lm("chat", calls).acall(request=asked(text))
    return ledger


async def test_an_equal_question_of_another_run_is_answered_without_asking(open_cached, server: ModelServer):
    door = open_cached()
    first = await ask(door)
    again = await ask(door)

    assert server.total().requests == 1
    assert (first.only.answer.cached, again.only.answer.cached) == (None, True)
    assert first.only.answer.cost_usd > 0
    assert again.only.answer.cost_usd == 0
    assert again.only.answer.response["message"] == first.only.answer.response["message"]
    assert again.only.answer.deployment == "first"


@pytest.mark.parametrize(
    "other",
    [{"owner": "uma"}, {"owner": None}, {"program": "chat:2"}, {"text": "What is owed?"}],
    ids=["owner", "nobody", "program", "question"],
)
async def test_what_differs_in_anything_is_asked(open_cached, server: ModelServer, other: dict[str, str]):
    door = open_cached()
    await ask(door)

    ledger = await ask(door, **other)

    assert server.total().requests == 2
    assert not ledger.only.answer.cached


async def test_another_model_behind_the_role_is_another_question(open_cached, server: ModelServer):
    await ask(open_cached())

    await ask(open_cached(model="other"))

    assert server.total().requests == 2


async def test_a_hundred_equal_questions_at_once_cost_one_call(
    open_cached, server: ModelServer, shelf: Shelf
):
    server.behaviour["*"].latency_ms = 100
    door = open_cached()

    ledgers = await asyncio.gather(*(ask(door) for _ in range(100)))

    assert server.total().requests == 1
    assert len(shelf.looked) == 1
    assert sum(bool(ledger.only.answer.cached) for ledger in ledgers) == 99
    counts = door.cache.take_news().counts["ada", "chat"]
    assert (counts.hits, counts.misses) == (99, 1)


async def test_when_the_one_that_asked_fails_the_next_one_asks(open_cached, server: ModelServer):
    """Otherwise one unlucky caller would fail a hundred."""
    server.behaviour["*"].latency_ms = 100
    server.fail("*", "status", status=400)
    door = open_cached()

    found = await asyncio.gather(*(ask(door) for _ in range(5)), return_exceptions=True)

    assert sum(isinstance(one, dspy.LMError) for one in found) == 1
    assert server.total().requests == 2


async def test_a_caller_that_goes_away_leaves_the_others_their_answer(open_cached, server: ModelServer):
    server.behaviour["*"].latency_ms = 200
    door = open_cached()
    asking = [asyncio.create_task(ask(door)) for _ in range(3)]
    await eventually(lambda: server.total().requests)

    asking[0].cancel()
    found = await asyncio.gather(*asking, return_exceptions=True)

    assert isinstance(found[0], asyncio.CancelledError)
    assert all(isinstance(one, NotebookLedger) for one in found[1:])


async def test_best_of_n_stays_n_answers(open_cached, server: ModelServer):
    """The same question twice in one step wants two answers, also when both are used again."""
    door = open_cached()
    for _ in range(2):
        lm = door.lm("chat", StepCalls(NotebookLedger(), "answer#1", owner="ada"))
        await lm.acall(request=asked())
        await lm.acall(request=asked())

    assert server.total().requests == 2


@pytest.mark.parametrize(
    ("cache", "extra", "requests"),
    [
        ({}, {"temperature": 0.7}, 2),
        ({}, {"temperature": None}, 2),
        ({"exact": {"chat": "always"}}, {"temperature": 0.7}, 1),
        ({"exact": {"chat": "never"}}, {"temperature": 0}, 2),
        ({"exact": {"judge": "always"}}, {"temperature": None}, 2),
    ],
)
async def test_which_answers_are_used_again_is_said_by_temperature_or_by_role(
    open_cached, server: ModelServer, cache: object, extra: dict[str, object], requests: int
):
    door = open_cached(cache, **extra)
    await ask(door)
    await ask(door)

    assert server.total().requests == requests


async def test_the_answer_of_a_stand_in_is_not_kept_as_that_of_the_first(open_cached, server: ModelServer):
    """The first is back a minute later; its question must not be answered by the weaker model for a day."""
    server.fail("first", "status", status=500)
    door = open_cached(second=True)
    await ask(door)

    await ask(door)

    assert (server.stats["first"].requests, server.stats["second"].requests) == (2, 1)


async def test_a_kept_answer_is_streamed_like_any_other(open_cached, server: ModelServer):
    door = open_cached()
    await ask(door)
    ledger = NotebookLedger()
    engine = door.engine("chat", StepCalls(ledger, "answer#1", owner="ada"))

    pieces = [event.delta.text async for event in engine.stream(asked()) if event.type == "delta"]

    assert "".join(pieces) == "good answer to you"
    assert len(pieces) > 1
    assert (server.total().requests, ledger.only.answer.cached) == (1, True)


async def test_a_streamed_answer_is_kept(open_cached, server: ModelServer):
    door = open_cached()
    engine = door.engine("chat", StepCalls(NotebookLedger(), "answer#1", owner="ada"))
    async for _ in engine.stream(asked()):
        pass

    assert (await ask(door)).only.answer.cached
    assert server.total().requests == 1


async def test_a_stream_that_is_left_keeps_nothing_and_holds_nobody_up(open_cached):
    door = open_cached()
    engine = door.engine("chat", StepCalls(NotebookLedger(), "answer#1", owner="ada"))
    stream = engine.stream(asked())
    async for event in stream:
        if event.type == "delta":
            break
    await stream.aclose()

    assert not (await ask(door)).only.answer.cached


async def test_another_workers_answer_is_found_in_the_store(open_cached, server: ModelServer, shelf: Shelf):
    one = open_cached()
    await ask(one)
    shelf.answers = one.cache.take_news().kept

    ledger = await ask(open_cached())

    assert ledger.only.answer.cached
    assert server.total().requests == 1
