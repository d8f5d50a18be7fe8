"""Streamed answers over real HTTP: passed on as they come, and counted only when they are whole."""

import asyncio
import contextlib

import dspy
import pytest

from llm.errors import ModelError, StreamCut, translate
from llm.ledger import StepCalls
from tests.fixtures.model_server import ModelServer
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.llm.conftest import QUIET, SOON, OpenDoor, asked, eventually

pytestmark = QUIET

FIELDS = "[[ ## answer ## ]]\nforty-two of them and a few more\n\n[[ ## completed ## ]]"


async def test_pieces_arrive_before_the_answer_is_journaled(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls, ledger: NotebookLedger
):
    door = await open_door("first")
    seen = []

    async for event in engine(door, calls).stream(asked()):
        seen.append((event.type, ledger.only.status))  # noqa: PERF401  the status of this moment

    assert seen[0] == ("start", "started")
    assert seen[-1] == ("end", "succeeded")  # the end is told only after the ledger knows
    assert [kind for kind, _ in seen[1:-1]] == ["delta"] * 4
    answer = ledger.only.answer
    assert answer is not None
    assert answer.response["message"]["parts"][0]["text"] == "good answer to you"
    assert (answer.input_tokens, answer.output_tokens) == (
        server.total().input_tokens,
        server.total().output_tokens,
    )
    assert answer.cost_usd is not None


async def test_a_program_streams_its_field(open_door: OpenDoor, server: ModelServer, calls: StepCalls):
    server.behaviour["*"].text = FIELDS
    door = await open_door("first")

    pieces, prediction = await streamed_program(door, calls)

    assert "".join(pieces) == "forty-two of them and a few more"
    assert len(pieces) > 1
    assert prediction.answer == "forty-two of them and a few more"


async def test_a_replayed_program_streams_its_recorded_answer(
    open_door: OpenDoor, server: ModelServer, ledger: NotebookLedger
):
    """A chat that continues after a crash must show the same words, and DSPy drops streams of one piece."""
    server.behaviour["*"].text = FIELDS
    door = await open_door("first")
    await streamed_program(door, StepCalls(ledger, "answer"))

    pieces, prediction = await streamed_program(door, StepCalls(ledger, "answer"))

    assert "".join(pieces) == prediction.answer == "forty-two of them and a few more"
    assert len(pieces) > 1
    assert server.total().requests == 1
    assert ledger.only.replays == 1


async def test_a_whole_answer_can_be_replayed_as_a_stream_and_the_other_way(
    open_door: OpenDoor, server: ModelServer, ledger: NotebookLedger
):
    door = await open_door("first")
    whole = await engine(door, StepCalls(ledger, "answer")).complete(asked())

    events = await collected(door, StepCalls(ledger, "answer"))
    again = await engine(door, StepCalls(ledger, "answer")).complete(asked())

    assert text_of(events) == whole.text == again.text
    assert events[-1].usage == whole.usage
    assert server.total().requests == 1


@pytest.mark.parametrize("kind", ["cut", "ends_early", "stall"])
async def test_a_stream_that_breaks_off_is_an_error_and_never_an_answer(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls, ledger: NotebookLedger, kind: str
):
    """LiteLLM makes up the end of such a stream; half a summary would be stored as a whole one."""
    server.fail("*", kind)
    door = await open_door("first", "second", policies=SOON if kind == "stall" else None)
    events = []

    with pytest.raises(dspy.LMError) as caught:
        await collected(door, calls, into=events)

    assert isinstance(error := translate(caught.value), StreamCut)
    assert error.retryable
    assert text_of(events) == "good answer "
    assert "end" not in [event.type for event in events]
    assert ledger.statuses == ["failed"]
    assert server.stats["second"].requests == 0  # the reader has half an answer of the first already


async def test_a_broken_stream_is_recognised_behind_a_program(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls
):
    server.behaviour["*"].text = FIELDS
    server.fail("*", "cut", after=4)
    door = await open_door("first")

    with pytest.raises(dspy.LMError) as caught:
        await streamed_program(door, calls)

    assert translate(caught.value).code == "stream_cut"


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status"},
        {"kind": "status", "status": 429, "retry_after": 1},
        {"kind": "hang"},
        {"kind": "malformed"},
        {"kind": "cut", "after": 0},
        {"kind": "ends_early", "after": 0},
    ],
)
async def test_a_stream_that_never_began_is_asked_of_the_next(
    open_door: OpenDoor,
    server: ModelServer,
    ledger: NotebookLedger,
    calls: StepCalls,
    fault: dict[str, object],
):
    server.fail("first", **fault)
    door = await open_door("first", "second", policies=SOON if fault["kind"] == "hang" else None)

    events = await collected(door, calls)

    assert text_of(events) == "good answer to you"
    assert [event.type for event in events].count("start") == 1
    assert ledger.only.answer is not None
    assert ledger.only.answer.deployment == "second"


async def test_a_failing_stream_has_the_code_of_its_failure(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls, ledger: NotebookLedger
):
    server.fail("*", "status", status=429, retry_after=4)
    door = await open_door("first")

    with pytest.raises(dspy.LMError) as caught:
        await collected(door, calls)

    assert isinstance(error := translate(caught.value), ModelError)
    assert (error.code, error.retry_after) == ("model_rate_limited", 4.0)
    assert ledger.statuses == ["failed"]


async def test_a_stream_without_token_counts_has_no_cost(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls, ledger: NotebookLedger
):
    """LiteLLM counts with a tokenizer of its own then; a guess is not a bill."""
    server.fail("*", "no_usage")
    door = await open_door("first")

    await collected(door, calls)

    answer = ledger.only.answer
    assert answer is not None
    assert (answer.input_tokens, answer.cost_usd) == (None, None)


async def test_a_stream_that_its_reader_closes_stays_started_and_leaves_the_server(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls, ledger: NotebookLedger
):
    server.fail("*", "stall")
    door = await open_door("first")
    stream = engine(door, calls).stream(asked())

    async with contextlib.aclosing(stream):
        async for event in stream:
            if event.type == "delta":
                break

    assert ledger.statuses == ["started"]
    assert (await collected(door, StepCalls(ledger, "answer")))[-1].type == "end"
    assert (ledger.only.status, ledger.only.tries) == ("succeeded", 2)


async def test_a_cancelled_program_leaves_its_stream_started(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls, ledger: NotebookLedger
):
    server.fail("*", "stall", after=3)
    door = await open_door("first")
    running = asyncio.create_task(streamed_program(door, calls))
    await eventually(lambda: server.total().faults)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert ledger.statuses == ["started"]


async def test_a_stream_can_be_read_in_a_thread(
    open_door: OpenDoor, calls: StepCalls, ledger: NotebookLedger
):
    door = await open_door("first")
    lm = door.lm("chat", calls)

    events = await asyncio.to_thread(lambda: list(lm.engine.stream(asked())))

    assert text_of(events) == "good answer to you"
    assert ledger.statuses == ["succeeded"]


async def test_a_stream_can_be_read_in_another_event_loop(
    open_door: OpenDoor, calls: StepCalls, ledger: NotebookLedger
):
    door = await open_door("first")

    events = await asyncio.to_thread(lambda: asyncio.run(collected(door, calls)))

    assert text_of(events) == "good answer to you"
    assert ledger.statuses == ["succeeded"]


async def test_a_stream_in_a_thread_that_breaks_off_raises_there(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls, ledger: NotebookLedger
):
    server.fail("*", "cut")
    door = await open_door("first")
    lm = door.lm("chat", calls)

    with pytest.raises(dspy.LMError) as caught:
        await asyncio.to_thread(lambda: list(lm.engine.stream(asked())))

    assert translate(caught.value).code == "stream_cut"
    assert ledger.statuses == ["failed"]


def engine(door, calls):
    """The engine as `dspy.LM` uses it."""
    return door.lm("chat", calls).engine.twin


async def collected(door, calls, into=None):
    events = [] if into is None else into
    async for event in engine(door, calls).stream(asked()):
        events.append(event)
    return events


def text_of(events):
    return "".join(event.delta.text for event in events if event.type == "delta")


async def streamed_program(door, calls):
    """Run a program with DSPy's streaming; return the pieces of its field and its prediction."""
    program = dspy.streamify(
        dspy.Predict("question -> answer"),
        stream_listeners=[dspy.streaming.StreamListener(signature_field_name="answer")],
        is_async_program=True,
    )
    pieces, prediction = [], None
    with dspy.context(lm=door.lm("chat", calls), disable_history=True, trace=None):
        async with contextlib.aclosing(program(question="How many?")) as stream:
            async for item in stream:
                if isinstance(item, dspy.Prediction):
                    prediction = item
                elif isinstance(item, dspy.streaming.StreamResponse):
                    pieces.append(item.chunk)
    return pieces, prediction
