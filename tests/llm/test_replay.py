"""Answers on their way into the ledger and back."""

from decimal import Decimal

import pytest
from dspy.lm15 import (
    Message,
    Request,
    Response,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    Usage,
    materialize_response,
)

from llm.backend import Reply
from llm.replay import events_of, recorded, restored

REQUEST = Request(model="millrace/chat", messages=(Message.user("x"),))


def answer(*parts: object, finish: str = "stop") -> Response:
    usage = Usage(input_tokens=3, output_tokens=2)
    return Response("id-1", "a-model", Message.assistant(list(parts)), finish, usage)


ANSWERS = [
    answer(TextPart("one two\n\nthree ")),
    answer(TextPart("")),
    answer(TextPart("a")),
    answer(TextPart("  ")),
    answer(ThinkingPart("let me see"), TextPart("well")),
    answer(ToolCallPart("call-1", "look", {"at": ["x", 1]}), finish="tool_call"),
]


@pytest.mark.parametrize("response", ANSWERS)
def test_a_recorded_answer_comes_back_as_it_was(response: Response):
    kept = recorded(Reply(response, "first", "a-model", Decimal("0.1")))

    assert restored(kept) == response


@pytest.mark.parametrize("response", ANSWERS)
def test_a_recorded_answer_streams_to_the_same_answer(response: Response):
    assert materialize_response(iter(events_of(response)), REQUEST) == response


def test_a_single_word_is_streamed_in_two_pieces():
    """DSPy takes a stream of one piece for a cache hit and passes none of it on."""
    deltas = [event for event in events_of(answer(TextPart("forty-two"))) if event.type == "delta"]

    assert [event.delta.text for event in deltas] == ["fort", "y-two"]


def test_what_a_model_says_about_itself_is_kept_and_its_raw_body_is_not():
    response = Response("id", "m", Message.assistant("x"), "stop", Usage(), provider_data={"raw": "body"})

    kept = recorded(Reply(response, "offline", "m", Decimal(0), metadata={"offline": True}))

    assert kept["metadata"] == {"offline": True}
    assert "provider_data" not in kept
    assert restored(kept).provider_data == {"offline": True}
