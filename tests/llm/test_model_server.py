"""The scripted provider itself: what other tests and benchmarks build on must be true."""

import asyncio
import json
import sys

import dspy
import httpx

from llm.ledger import StepCalls
from tests.chaos.audit import said
from tests.fixtures.model_server import ModelServer, print_of
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.llm.conftest import QUIET, OpenDoor

pytestmark = QUIET


async def test_it_runs_as_a_process_and_is_scripted_over_http():
    """Acceptance and chaos tests run it beside the stack, and script it from outside."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fixtures.model_server", "--port", "0", "--text", "hello", stdout=-1
    )
    try:
        assert process.stdout is not None
        url = json.loads(await process.stdout.readline())["url"]
        root = url.removesuffix("/v1")
        body = {"model": "a", "messages": [{"role": "user", "content": "four"}]}
        async with httpx.AsyncClient() as client:
            fault = {"kind": "status", "status": 429, "retry_after": 2}
            await client.post(f"{root}/faults", json={"model": "a", "faults": [fault]})
            refused = await client.post(f"{url}/chat/completions", json=body)
            answered = await client.post(f"{url}/chat/completions", json=body)
            stats = (await client.get(f"{root}/stats")).json()
    finally:
        process.kill()
        await process.wait()

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    assert answered.json()["choices"][0]["message"]["content"] == "hello"
    assert stats["models"]["a"] == {
        "requests": 2,
        "answers": 1,
        "faults": 1,
        "abandoned": 0,
        "input_tokens": 1,
        "output_tokens": 1,
    }


async def test_its_answers_come_from_the_offline_model(open_door: OpenDoor, server: ModelServer):
    """So that programs find their fields, whatever their signature."""
    server.behaviour.clear()
    door = await open_door("first")

    with dspy.context(lm=door.lm("chat"), disable_history=True, trace=None):
        prediction = await dspy.Predict("context, question -> answer: str, sure: bool").acall(
            context="The river is called Wupper.", question="What is the river called?"
        )

    assert "Wupper" in prediction.answer
    assert isinstance(prediction.sure, bool)
    assert server.stats["first"].answers == 1


async def test_the_server_and_the_ledger_call_a_question_by_one_name(
    open_door: OpenDoor, server: ModelServer, ledger: NotebookLedger
) -> None:
    """Else each would be compared with nothing."""
    server.behaviour["*"].text = "[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]"
    door = await open_door()
    with dspy.context(lm=door.lm("chat", StepCalls(ledger, "answer#1")), disable_history=True):
        await dspy.Predict("context, question -> answer").acall(
            context="A lease.\n\nIt ends, *soon*: oui.", question="mark-0123456789ab how long?"
        )
    assert set(server.questions) == {print_of("mark-0123456789ab", said(ledger.only.call.request))}
