"""Streams: the text in pieces, all of it, then the prediction; whoever stops reading stops the call."""

import asyncio
import gc
import json

import dspy
import pytest
from dspy.utils.exceptions import AdapterParseError
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.chat import CarefulChat, DirectChat
from modules.listening import FieldText
from modules.streaming import stream_answer
from tests.modules.scripted_model import ScriptedModel, fields

READING = json.dumps({"asked": "?", "facts": [], "missing": []})


async def stream(program, model, **inputs):
    with dspy.context(lm=model.lm(), disable_history=True, trace=None):
        pieces = [piece async for piece in stream_answer(program, program.streams, **inputs)]
    *texts, prediction = pieces
    assert all(isinstance(text, str) for text in texts)
    return texts, prediction


async def test_an_answer_comes_in_pieces_and_ends_with_the_prediction():
    texts, prediction = await stream(
        DirectChat(), ScriptedModel([fields(answer="One two three.")]), message="?"
    )
    assert len(texts) > 3
    assert "".join(texts) == prediction.answer == "One two three."


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 8, 13, 0])
@pytest.mark.parametrize(
    "answer",
    [
        "plain",
        "see [[wiki]] and [[ ## inline ## ]] here",
        "a list:\n\n[[1, 2],\n [[3]]]\n\nend",
        "ends with [[",
        "two\n\n\n paragraphs  ",
        "[x] done\n[ ] open",
        "[[ ##",
        "",
        "日本語の答え。",
    ],
)
async def test_nothing_is_lost_whatever_the_answer_holds_and_however_it_is_cut(answer, piece):
    """DSPy's own listener drops text behind `[[` and keeps silent when the answer is one piece."""
    texts, prediction = await stream(DirectChat(), ScriptedModel([fields(answer=answer)], piece), message="?")
    assert "".join(texts) == prediction.answer == answer.strip()


@settings(deadline=None)
@given(st.text(alphabet="ab[]# \n", max_size=60), st.lists(st.integers(1, 9), min_size=1, max_size=40))
def test_a_field_is_heard_as_it_is_parsed(answer, steps):
    message = fields(before="x [[ ## answer ## ]] y", answer=answer, after="z")
    parsed = dspy.ChatAdapter().parse(dspy.Signature("q -> before, answer, after"), message)
    heard, at, texts = FieldText("answer"), 0, []
    for step in steps * len(message):
        texts.append(heard.feed(message[at : at + step]))
        at += step
    assert "".join([*texts, heard.rest()]) == parsed["answer"]


async def test_a_kept_draft_is_shown_at_once_and_whole():
    script = [fields(reading=READING), fields(answer="The draft."), fields(verdict='{"score": 1}')]
    model = ScriptedModel(script)
    texts, prediction = await stream(CarefulChat(), model, message="?")
    assert texts == ["The draft."]
    assert prediction.check.score == 1
    assert model.streamed == 0


async def test_of_a_revised_draft_only_the_revision_is_shown():
    script = [
        fields(reading=READING),
        fields(answer="The draft."),
        fields(verdict='{"score": 0}'),
        fields(answer="The much better revision."),
    ]
    model = ScriptedModel(script)
    texts, prediction = await stream(CarefulChat(), model, message="?")
    assert len(texts) > 3
    assert "".join(texts) == prediction.answer == "The much better revision."
    assert model.streamed == 1


async def test_a_stream_without_form_is_asked_again_for_json_and_not_shown():
    """DSPy never falls back to JSON for a streamed answer, so a talkative model would fail each time."""
    model = ScriptedModel(["Sure! Here you are: it is Ada.", '{"answer": "Ada."}'])
    texts, prediction = await stream(DirectChat(), model, message="?")
    assert texts == ["Ada."]
    assert prediction.answer == "Ada."
    assert (len(model.asked), model.streamed) == (2, 1)


async def test_a_model_that_never_finds_the_form_is_an_error_of_its_own():
    with pytest.raises(AdapterParseError):
        await stream(DirectChat(), ScriptedModel(["no form"] * 9), message="?")


async def test_an_error_of_the_model_reaches_the_reader_as_it_is():
    def fail(_):
        raise dspy.LMError("out of order")

    with pytest.raises(dspy.LMError, match="out of order"):
        await stream(DirectChat(), ScriptedModel(fail), message="?")


async def test_a_reader_that_stops_stops_the_call_and_is_not_cancelled_by_it(caplog):
    """Closing DSPy's generator from another task cancels whoever closes it (stanfordnlp/dspy#10380)."""
    before = asyncio.all_tasks()
    model = ScriptedModel([fields(answer="word " * 10_000)])
    with dspy.context(lm=model.lm(), disable_history=True, trace=None):
        pieces = stream_answer(DirectChat(), DirectChat.streams, message="?")
        assert isinstance(await anext(pieces), str)
    await asyncio.create_task(pieces.aclose())
    gc.collect()
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() <= before
    assert not [record for record in caplog.records if record.name == "asyncio"]
    assert asyncio.current_task().cancelling() == 0


async def test_a_cancelled_reader_leaves_nothing_running(caplog):
    before = asyncio.all_tasks()
    model = ScriptedModel([fields(answer="word " * 10_000)])
    reading = asyncio.Event()

    async def read():
        with dspy.context(lm=model.lm(), disable_history=True, trace=None):
            async for _ in stream_answer(DirectChat(), DirectChat.streams, message="?"):
                reading.set()

    reader = asyncio.create_task(read())
    await reading.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    gc.collect()
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() <= before
    assert not [record for record in caplog.records if record.name == "asyncio"]


async def test_many_streams_of_one_program_do_not_meet():
    program = DirectChat()
    model = ScriptedModel(
        lambda request: fields(answer=f"echo {request.messages[-1].parts[0].text[-400:]!r}")
    )

    async def one(number):
        texts, prediction = await stream(program, model, message=f"number {number}!")
        assert "".join(texts) == prediction.answer
        assert f"number {number}!" in prediction.answer

    await asyncio.gather(*(one(number) for number in range(20)))
