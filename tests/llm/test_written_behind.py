"""Answers that are written while the program goes on: the next call waits for them, and nothing is lost."""

import asyncio

import dspy
import pytest

from contracts.calls import CallAnswer, CallRequest
from llm.errors import translate
from llm.ledger import StepCalls
from runtime.errors import MillraceError
from tests.fixtures.model_server import ModelServer
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.llm.conftest import QUIET, OpenDoor, asked

pytestmark = QUIET


class SlowLedger(NotebookLedger):
    """Writes answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_write = asyncio.Event()
        self.refuses: MillraceError | None = None

    async def commit(self, call: CallRequest, answer: CallAnswer) -> None:
        await self.may_write.wait()
        if self.refuses is not None:
            raise self.refuses
        await super().commit(call, answer)


@pytest.fixture
def slow() -> SlowLedger:
    return SlowLedger()


async def test_the_answer_comes_before_it_is_written_and_the_next_call_after(
    open_door: OpenDoor, server: ModelServer, slow: SlowLedger
):
    door, calls = await open_door("first"), StepCalls(slow, "improve")
    engine = door.engine("chat", calls)

    async with calls.written_behind():
        assert (await engine.complete(asked("one"))).text == "good answer to you"
        assert slow.statuses == ["started"]
        coming = asyncio.create_task(engine.complete(asked("two")))
        await asyncio.sleep(0.1)
        assert server.total().requests == 1
        slow.may_write.set()
        await coming

    assert slow.statuses == ["succeeded", "succeeded"]


async def test_nobody_leaves_before_the_last_answer_is_written(open_door: OpenDoor, slow: SlowLedger):
    door, calls = await open_door("first"), StepCalls(slow, "improve")

    async def improve() -> None:
        async with calls.written_behind():
            await door.engine("chat", calls).complete(asked())

    improving = asyncio.create_task(improve())
    await asyncio.sleep(0.3)
    assert not improving.done()
    slow.may_write.set()
    await improving

    assert slow.statuses == ["succeeded"]


async def test_after_an_answer_that_cannot_be_written_no_call_is_made(
    open_door: OpenDoor, server: ModelServer, slow: SlowLedger
):
    """The attempt is over. An optimizer that took it for one wrong answer would go on without it."""
    door, calls = await open_door("first"), StepCalls(slow, "improve")
    slow.refuses = MillraceError("attempt 1 is over", code="fenced")
    slow.may_write.set()

    async def improve() -> None:
        async with calls.written_behind():
            await door.engine("chat", calls).complete(asked("one"))
            for question in ("two", "three"):
                with pytest.raises(dspy.LMError) as caught:
                    await door.engine("chat", calls).complete(asked(question))
                assert translate(caught.value).code == "fenced"

    with pytest.raises(MillraceError, match="attempt 1 is over"):
        await improve()

    assert server.total().requests == 1


async def test_who_is_stopped_is_told_of_that_and_not_of_a_write(open_door: OpenDoor, slow: SlowLedger):
    door, calls = await open_door("first"), StepCalls(slow, "improve")
    slow.refuses = MillraceError("attempt 1 is over", code="fenced")
    answered = asyncio.Event()

    async def improve() -> None:
        async with calls.written_behind():
            await door.engine("chat", calls).complete(asked())
            answered.set()
            await asyncio.Event().wait()

    improving = asyncio.create_task(improve())
    await answered.wait()
    slow.may_write.set()
    improving.cancel()

    with pytest.raises(asyncio.CancelledError):
        await improving


async def test_who_is_stopped_does_not_wait_for_a_database_that_is_away(
    open_door: OpenDoor, slow: SlowLedger, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("llm.ledger.LAST_WRITE_SECONDS", 0.2)
    door, calls = await open_door("first"), StepCalls(slow, "improve")

    async def improve() -> None:
        async with calls.written_behind():
            await door.engine("chat", calls).complete(asked())
            raise ValueError("an error of its own")

    with pytest.raises(ValueError, match="of its own"):
        await improve()

    assert slow.statuses == ["started"]
    slow.may_write.set()


async def test_an_answer_that_cannot_be_written_is_told_at_the_end(open_door: OpenDoor, slow: SlowLedger):
    door, calls = await open_door("first"), StepCalls(slow, "improve")
    slow.refuses = MillraceError("attempt 1 is over", code="fenced")
    slow.may_write.set()

    with pytest.raises(MillraceError, match="attempt 1 is over"):
        async with calls.written_behind():
            await door.engine("chat", calls).complete(asked())


async def test_elsewhere_an_answer_is_written_before_it_is_used(open_door: OpenDoor, slow: SlowLedger):
    """A step may act upon it: what it did must not rest on words that nobody has."""
    door, calls = await open_door("first"), StepCalls(slow, "answer")
    answering = asyncio.create_task(door.engine("chat", calls).complete(asked()))
    await asyncio.sleep(0.3)
    assert not answering.done()
    slow.may_write.set()

    await answering

    assert slow.statuses == ["succeeded"]
