"""Whatever goes wrong at a provider: the caller gets one answer, and the ledger one honest bill."""

from decimal import Decimal
from typing import Any

import dspy
import pytest

from llm.door import Door
from llm.errors import translate
from llm.ledger import StepCalls
from tests.fixtures.model_server import ModelServer
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.llm.conftest import QUIET, SOON, OpenDoor, asked

pytestmark = QUIET

BEFORE_THE_ANSWER: dict[str, dict[str, Any]] = {
    "429": {"kind": "status", "status": 429},
    "429 with Retry-After": {"kind": "status", "status": 429, "retry_after": 1},
    "500": {"kind": "status", "status": 500},
    "hang": {"kind": "hang"},
    "late": {},
    "reset": {"kind": "reset"},
    "half a JSON": {"kind": "truncated"},
    "JSON that is no answer": {"kind": "malformed"},
    "a web page": {"kind": "html"},
}
INSIDE_THE_STREAM = {
    "cut": {"kind": "cut", "after": 2},
    "polite end": {"kind": "ends_early", "after": 2},
    "silence": {"kind": "stall", "after": 2},
}


# A server of one's own is asked by DSPy's client, and by LiteLLM where it has options of LiteLLM's.
CLIENTS: dict[str, dict[str, Any]] = {"direct": {}, "litellm": {"options": {"drop_params": True}}}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What a provider has in the file so that this client asks it."""
    return CLIENTS[request.param]


async def said(door: Door, calls: StepCalls, *, streamed: bool) -> list[str]:
    """Ask one question and return the pieces of its answer."""
    engine = door.engine("chat", calls)
    if not streamed:
        return [(await engine.complete(asked())).text or ""]
    return [event.delta.text async for event in engine.stream(asked()) if event.type == "delta"]


def assert_one_bill(server: ModelServer, ledger: NotebookLedger, deployment: str) -> None:
    """The books say what this deployment says that it served, and nobody else served anything."""
    answer = ledger.only.answer
    assert answer is not None
    assert (ledger.statuses, answer.deployment) == (["succeeded"], deployment)
    served = server.total()
    assert (served.answers, server.stats[deployment].answers) == (1, 1)
    assert (answer.input_tokens, answer.output_tokens) == (served.input_tokens, served.output_tokens)
    usd = served.input_tokens * Decimal("0.15") + served.output_tokens * Decimal("0.6")
    assert answer.cost_usd == usd / 1_000_000


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", BEFORE_THE_ANSWER)
async def test_the_next_deployment_answers_instead(
    open_door: OpenDoor,
    server: ModelServer,
    calls: StepCalls,
    ledger: NotebookLedger,
    client: dict[str, Any],
    fault: str,
    streamed: bool,
):
    if fault == "late":
        server.behaviour["first"].latency_ms = 30_000
    else:
        server.fail("first", **BEFORE_THE_ANSWER[fault])
    door = await open_door("first", "second", policies=SOON if fault in {"hang", "late"} else None, **client)

    pieces = await said(door, calls, streamed=streamed)

    assert "".join(pieces) == "good answer to you"
    assert server.stats["first"].requests == 1
    assert_one_bill(server, ledger, "second")


@pytest.mark.parametrize("fault", INSIDE_THE_STREAM)
async def test_a_stream_that_breaks_is_asked_again_by_its_step(
    open_door: OpenDoor, server: ModelServer, ledger: NotebookLedger, client: dict[str, Any], fault: str
):
    """Its reader has half an answer, so nobody stands in; the step's next try gets a whole one."""
    server.fail("first", **INSIDE_THE_STREAM[fault])
    door = await open_door("first", "second", policies=SOON if fault == "silence" else None, **client)

    with pytest.raises(dspy.LMError) as caught:
        await said(door, StepCalls(ledger, "answer"), streamed=True)
    assert translate(caught.value).retryable
    pieces = await said(door, StepCalls(ledger, "answer"), streamed=True)

    assert "".join(pieces) == "good answer to you"
    assert ledger.only.tries == 2
    assert_one_bill(server, ledger, "first")
