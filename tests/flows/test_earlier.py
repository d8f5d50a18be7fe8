"""A resumed attempt is answered whatever its steps do with order, fan-out and threads."""

import asyncio
import random
from uuid import uuid4

import dspy
import pytest

from contracts.calls import CallRequest
from contracts.runs import Call
from database.engine import Database
from database.journal.calls import list_calls
from database.journal.replays import recorded_places
from database.queue.leases import claim_runs, release_run
from flows.durable.earlier import Earlier
from flows.durable.event_log import EventLog
from flows.durable.journal import Journal
from flows.durable.run import Run
from flows.durable.steps import in_parallel
from flows.durable.versions import Versions
from llm.door import Door
from llm.ledger import StepCalls
from llm.settings import LlmSettings
from tests.fixtures.made_runs import claimed

WIDTH = 12


@pytest.fixture
async def door(tmp_path):
    """The door to the offline model."""
    file = tmp_path / "providers.yaml"
    file.write_text("providers: {}\nrouting: {default: [offline]}\n")
    door = Door.open(LlmSettings(providers_file=file))
    yield door
    await door.close()


async def attempt_of(database: Database, door: Door, claim) -> Run:
    log = EventLog(database)
    run = Run(claim.id, claim.attempt, claim.owner, claim.pipeline, database, door, log, Versions(database))
    await run.begin()
    return run


async def next_attempt(database: Database, door: Door, run: Run) -> Run:
    await run.events.close()
    await database.write(release_run, run.id, run.attempt)
    (claim,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=60)
    return await attempt_of(database, door, claim)


def answer_to(run: Run, step: str, question: str, times: int = 1) -> list[str]:
    """Ask the model in this thread, as an optimizer does."""
    lm = run.door.lm("chat", StepCalls(Journal(run), step))
    program = dspy.Predict("question -> answer")
    with dspy.context(lm=lm, disable_history=True, trace=None):
        return [program(question=question).answer for _ in range(times)]


async def ledger(database: Database, run: Run) -> list[Call]:
    async with database.read() as session:
        return (await list_calls(session, "local", run.id, limit=200)).items


async def test_parallel_steps_that_start_in_another_order_are_all_answered(database, door):
    """They have no keys, so each is numbered as it starts."""
    run = await attempt_of(database, door, await claimed(database))

    async def use(number: int, run: Run) -> list[str]:
        step = run.step_key("part", uuid4(), None)
        return await asyncio.to_thread(answer_to, run, step, f"What is {number}?")

    order = list(range(WIDTH))
    first = dict(zip(order, await in_parallel(lambda _, n: use(n, run), order, at_most=4), strict=True))
    run = await next_attempt(database, door, run)
    random.Random(1).shuffle(order)
    second = dict(zip(order, await in_parallel(lambda _, n: use(n, run), order, at_most=4), strict=True))
    await run.events.close()
    assert second == first
    calls = await ledger(database, run)
    assert [(call.tries, call.replays) for call in calls] == [(1, 1)] * WIDTH


async def test_threads_of_one_step_are_all_answered(database, door):
    """Twice the same question in each: which thread is first is another one every time."""
    run = await attempt_of(database, door, await claimed(database))

    async def step(run: Run) -> list[list[str]]:
        named = run.step_key("optimize", uuid4(), None)
        calls = StepCalls(Journal(run), named)
        lm = run.door.lm("chat", calls)
        program = dspy.Predict("question -> answer")

        def ask(number: int) -> list[str]:
            with dspy.context(lm=lm, disable_history=True, trace=None):
                return [program(question=f"What is {number % 5}?").answer for _ in range(2)]

        return await asyncio.gather(*(asyncio.to_thread(ask, number) for number in range(WIDTH)))

    first = await step(run)
    run = await next_attempt(database, door, run)
    second = await step(run)
    await run.events.close()
    assert second == first
    calls = await ledger(database, run)
    assert [(call.tries, call.replays) for call in calls] == [(1, 1)] * WIDTH * 2


async def test_a_step_that_is_tried_again_in_a_resumed_attempt_takes_nobody_elses_answer(database, door):
    run = await attempt_of(database, door, await claimed(database))
    for number in (1, 2):
        await asyncio.to_thread(answer_to, run, f"part#{number}", "What is it?")
    run = await next_attempt(database, door, run)
    for step in ("part#2", "part#2", "part#1"):
        await asyncio.to_thread(answer_to, run, step, "What is it?")
    await run.events.close()
    assert {call.step: (call.tries, call.replays) for call in await ledger(database, run)} == {
        "part#1": (1, 1),
        "part#2": (1, 2),
    }


def test_identical_calls_of_parallel_steps_each_have_their_own_row() -> None:
    earlier = Earlier([("part#1", 0, "x"), ("part#2", 0, "x")])
    found = [placed(earlier, step) for step in ("part#3", "part#2", "part#1", "part#1")]
    assert found == [("part#1", 0), ("part#2", 0), ("part#1", 1), ("part#1", 1)]


def test_a_step_with_a_key_never_takes_the_answer_of_another_key() -> None:
    assert placed(Earlier([("part[1]", 0, "x")]), "part[2]") == ("part[2]", 0)


def test_the_same_words_in_a_step_of_another_name_are_another_call() -> None:
    assert placed(Earlier([("draft#1", 0, "x")]), "check#1") == ("check#1", 0)


def placed(earlier: Earlier, step: str) -> tuple[str, int]:
    call = earlier.placed(CallRequest(step, 0, "x", "model", "chat", {}))
    return call.step, call.n


async def test_a_first_attempt_reads_nothing_of_earlier_ones(database, door):
    claim = await claimed(database)
    run = await attempt_of(database, door, claim)
    assert not run.resumed
    async with database.read() as session:
        assert await recorded_places(session, run.id) == []
