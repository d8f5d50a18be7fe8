"""The offline model behind the door: it streams, costs nothing, says what it is, and never changes."""

import json
import os
import subprocess
import sys
from decimal import Decimal

import dspy
import pytest
from dspy._vendor.lm15.serde import request_to_dict
from dspy.lm15 import (
    Message,
    Request,
    StreamDeltaEvent,
    StreamEndEvent,
    StreamStartEvent,
    ToolCallPart,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.backend import Reply
from llm.offline import OfflineBackend, answered
from llm.offline.backend import tokens

CONTEXT = "The lease expires after 15 seconds. A reaper puts expired runs back in the queue. " * 3
ASKED = Request(model="any", messages=(Message.user(f"{CONTEXT} When does the lease expire?"),))


async def test_an_answer_says_what_it_is_and_costs_exactly_nothing():
    reply = await OfflineBackend().complete("judge", ASKED)

    assert (reply.deployment, reply.model, reply.cost_usd) == ("offline", "millrace-offline-1", Decimal(0))
    assert reply.response.finish_reason == "stop"
    assert reply.response.provider_data["offline"] is True
    assert "without weights" in reply.metadata["kind"]
    assert reply.response.usage.input_tokens == tokens(ASKED.messages[0].text)
    assert reply.response.usage.output_tokens == tokens(reply.response.text) > 0


async def test_every_role_is_served_by_one_deployment():
    backend = OfflineBackend()

    assert backend.describe("chat") == backend.describe("reflector") == ["offline"]
    await backend.close()


async def test_a_stream_brings_the_words_one_by_one_and_the_reply_last():
    items = [item async for item in OfflineBackend().stream("chat", ASKED)]

    start, *deltas, end, reply = items
    assert isinstance(start, StreamStartEvent)
    assert isinstance(end, StreamEndEvent)
    assert isinstance(reply, Reply)
    assert all(isinstance(delta, StreamDeltaEvent) for delta in deltas)
    assert len(deltas) == len(reply.response.text.split()) > 4
    assert "".join(delta.delta.text for delta in deltas) == reply.response.text
    assert end.usage == reply.response.usage


@pytest.mark.usefixtures("offline")
async def test_dspy_streams_a_field_of_the_answer():
    """A stream with one delta only would be taken for a cache hit and yield no pieces."""
    listener = dspy.streaming.StreamListener(signature_field_name="answer")
    program = dspy.streamify(dspy.Predict("context, question -> answer"), stream_listeners=[listener])

    *pieces, prediction = [
        piece async for piece in program(context=CONTEXT, question="When does the lease expire?")
    ]

    assert len(pieces) > 3
    assert "".join(piece.chunk for piece in pieces).strip() == prediction.answer


def test_another_process_gives_the_same_answers(offline):
    """Nothing may hang on the hash of a string, which differs from process to process."""
    dspy.ChainOfThought(
        "context, question -> answer, key_points: list[str], topics: dict[str, int], score: float"
    )(context=CONTEXT, question="What do the lease and the reaper do with runs?")
    requests = [request_to_dict(request) for request in [ASKED, *offline.requests]]
    code = (
        "import json, sys; from dspy._vendor.lm15.serde import request_from_dict; "
        "from llm.offline import answered; "
        "print(json.dumps([answered(request_from_dict(r)).text for r in json.load(sys.stdin)]))"
    )

    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(requests),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]

    assert told[0] == told[1]
    assert json.loads(told[0]) == [answered(ASKED).text, *offline.answers]


def test_importing_it_loads_no_dspy():
    """Importing our packages builds nothing; dspy alone is a second and 60 MB."""
    code = "import sys, llm.offline; assert 'dspy' not in sys.modules"

    subprocess.run([sys.executable, "-c", code], check=True)


TEXTS = {
    "prose": "The worker holds a lease. It renews it often, 3 times a minute. " * 78_000,
    "one word": "a" * 5_000_000,
    "nothing but space": " " * 5_000_000,
    "nothing but lines": "\n" * 5_000_000,
    "nothing but stops": ". " * 2_500_000,
    "no spaces": "\u6c49\u5b57\u3002" * 1_600_000,
    "markers": "[[ ## text ## ]]\n" * 300_000,
    "half a JSON": "[{" * 2_500_000,
    "quotes": "\u00ab\"'" * 1_600_000,
    "names and numbers": "Ab 12, " * 700_000,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_five_megabytes_are_read_in_seconds_whatever_they_are(offline, text):
    """A quadratic step takes minutes instead of the second that it is: the limit of every test ends it."""
    prediction = dspy.Predict(
        "text, question -> answer, findings: list[str], amount: int, day: str, gaps: list[str], score: float"
    )(
        text=f"{text} The lease of the worker expires after 15 seconds.",
        question="When does the lease of the worker expire?",
    )

    assert "15 seconds" in prediction.answer
    assert len(offline.requests) == 1


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
PIECES = st.sampled_from(
    [
        "Your input fields are:\n1. `a` (str): x\nYour output fields are:\n1. `b` (int): y\n",
        "All interactions will be structured in the following way",
        "In adhering to this structure, your objective is: ",
        "Outputs will be a JSON object with the following fields.\n{",
        "[[ ## a ## ]]\n",
        "1. `c` (Literal['x",
        "# note: the value you produce must adhere to the JSON schema: {",
        "As input, you will be provided with:\n1. `a` (str):\nYour outputs must contain:\n1. `b` (bool):\n",
        "Provide the new instructions within ``` blocks",
        "Respond with a JSON object in the following order of fields: `b`.",
        "Classify as a or b. ",
    ]
)
ANYTHING = st.lists(WORDS | PIECES, max_size=6).map("".join)


@settings(max_examples=200, deadline=None)
@given(
    system=ANYTHING,
    said=st.lists(
        st.tuples(st.sampled_from(["user", "assistant", "developer", "tool", "call"]), ANYTHING), max_size=5
    ),
)
def test_no_request_is_too_strange_to_answer(system, said):
    """What is half a prompt of DSPy, or a conversation that begins with an answer, still gets some answer."""
    make = {
        "user": Message.user,
        "assistant": Message.assistant,
        "developer": Message.developer,
        "tool": lambda text: Message.tool("call_1", text),
        "call": lambda text: Message.assistant([ToolCallPart(id="call_1", name="find", input={"q": text})]),
    }
    messages = [make[role](text) for role, text in said] or [Message.user("")]

    assert isinstance(
        answered(Request(model="any", system=system or None, messages=tuple(messages))).text, str
    )
