"""Stopping a run stops its model calls, also those that an optimizer makes in its threads."""

import asyncio
import threading
from pathlib import Path

import dspy
import pytest
from dspy.teleprompt import BootstrapFewShotWithRandomSearch

from llm.door import Door
from llm.ledger import StepCalls
from llm.settings import LlmSettings
from llm.stopping import RunStopped
from tests.fixtures.model_server import ModelServer
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.llm.conftest import QUIET, OpenDoor, asked, eventually

pytestmark = QUIET
EXAMPLES = [
    dspy.Example(question=f"Which number is {number}?", answer=str(number)).with_inputs("question")
    for number in range(40)
]


def by_chance(example: dspy.Example, prediction: dspy.Prediction, _trace: object = None) -> bool:
    """A metric that nobody can meet, so that the search goes on."""
    return bool(example.answer == prediction.answer)


async def test_an_optimizer_in_a_thread_makes_no_further_call(
    calls: StepCalls, ledger: NotebookLedger, tmp_path: Path
):
    """Its threads are not the run's task: cancelling that alone would let them pay for hundreds of calls."""
    (tmp_path / "providers.yaml").write_text("routing: {default: [offline]}")
    door = Door.open(LlmSettings(providers_file=tmp_path / "providers.yaml"))
    ended = threading.Event()
    stopped: list[BaseException] = []

    def compile_it() -> None:
        try:
            optimizer = BootstrapFewShotWithRandomSearch(
                metric=by_chance, num_candidate_programs=8, num_threads=4, max_errors=10_000
            )
            optimizer.compile(dspy.Predict("question -> answer"), trainset=EXAMPLES)
        except BaseException as error:  # noqa: BLE001  whatever ends it is what the test asks
            stopped.append(error)
        finally:
            ended.set()

    with dspy.context(lm=door.lm("chat", calls), disable_history=True):
        compiling = asyncio.create_task(asyncio.to_thread(compile_it))
        await eventually(lambda: len(ledger.rows) >= 20)
        calls.stop.pull()
        compiling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await compiling
        made = len(ledger.rows)
        await eventually(ended.is_set)
    assert isinstance(stopped[0], RunStopped)
    assert len(ledger.rows) == made < 200


async def test_a_thread_that_waits_for_an_answer_is_let_go(
    open_door: OpenDoor, calls: StepCalls, server: ModelServer, ledger: NotebookLedger
):
    server.fail("first", "hang")
    door = await open_door()
    lm = door.lm("chat", calls)
    waiting = asyncio.create_task(asyncio.to_thread(lm.engine.complete, asked()))
    await eventually(lambda: server.total().requests)
    calls.stop.pull()
    with pytest.raises(RunStopped):
        await waiting
    # Nobody knows whether it was paid: the next attempt counts it as lost.
    assert ledger.statuses == ["started"]


@pytest.mark.parametrize("fault", ["hang", "stall"])
async def test_a_thread_that_waits_for_the_next_word_is_let_go(
    open_door: OpenDoor, calls: StepCalls, server: ModelServer, ledger: NotebookLedger, fault: str
):
    """The flag was looked at with each word, and a provider that fell silent sent none."""
    server.fail("first", fault)
    lm = (await open_door(policies={"timeout_seconds": 600, "idle_seconds": 600})).lm("chat", calls)
    waiting = asyncio.create_task(asyncio.to_thread(lambda: list(lm.engine.stream(asked()))))
    await eventually(lambda: server.total().requests)
    await asyncio.sleep(0.2)
    calls.stop.pull()
    with pytest.raises(RunStopped):
        await asyncio.wait_for(waiting, 60)
    assert ledger.statuses == ["started"]


async def test_a_stream_on_the_runs_own_task_is_cancelled_and_not_stopped(
    open_door: OpenDoor, calls: StepCalls, server: ModelServer
):
    server.fail("first", "stall")
    lm = (await open_door(policies={"timeout_seconds": 600, "idle_seconds": 600})).lm("chat", calls)

    async def read() -> None:
        async for _ in lm.engine.twin.stream(asked()):
            pass

    waiting = asyncio.create_task(read())
    await eventually(lambda: server.total().requests)
    await asyncio.sleep(0.2)
    calls.stop.pull()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert waiting.cancelling() == 1


async def test_no_call_begins_after_the_stop(open_door: OpenDoor, calls: StepCalls, server: ModelServer):
    lm = (await open_door()).lm("chat", calls)
    calls.stop.pull()
    with pytest.raises(RunStopped):
        await lm.engine.twin.complete(asked())
    with pytest.raises(RunStopped):
        async for _ in lm.engine.twin.stream(asked()):
            pass
    assert server.total().requests == 0


async def test_a_caller_that_is_cancelled_itself_is_cancelled_and_not_stopped(
    open_door: OpenDoor, calls: StepCalls, server: ModelServer
):
    """The run's own task is cancelled beside the stop, and asyncio must see its cancellation."""
    server.fail("first", "hang")
    lm = (await open_door()).lm("chat", calls)
    waiting = asyncio.create_task(lm.engine.twin.complete(asked()))
    await eventually(lambda: server.total().requests)
    calls.stop.pull()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
