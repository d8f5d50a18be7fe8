"""Failing providers over real HTTP: each failure has its code, and none of them tells a secret."""

import asyncio
import logging
import pickle
import traceback

import dspy
import pytest

from llm.errors import ModelError, translate
from llm.ledger import StepCalls
from runtime.errors import MillraceError
from tests.fixtures.model_server import ModelServer
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.llm.conftest import KEY, QUIET, SOON, OpenDoor, asked, eventually

pytestmark = QUIET

FAILURES = [
    ({"kind": "status", "status": 429, "retry_after": 7}, "model_rate_limited", True),
    ({"kind": "status", "status": 500}, "model_unavailable", True),
    ({"kind": "status", "status": 503}, "model_unavailable", True),
    ({"kind": "hang"}, "model_timeout", True),
    ({"kind": "truncated"}, "bad_model_answer", True),
    ({"kind": "malformed"}, "bad_model_answer", True),
    ({"kind": "html"}, "bad_model_answer", True),
    ({"kind": "status", "status": 401}, "model_auth", False),
    ({"kind": "status", "status": 404}, "model_unknown", False),
    ({"kind": "status", "status": 400}, "model_refused", False),
    ({"kind": "status", "status": 400, "code": "context_length_exceeded"}, "context_too_long", False),
]


@pytest.mark.parametrize(("fault", "code", "retryable"), FAILURES)
@pytest.mark.parametrize("program", [False, True], ids=["call", "program"])
async def test_a_failure_is_recognised_by_its_code(
    open_door: OpenDoor,
    server: ModelServer,
    calls: StepCalls,
    ledger: NotebookLedger,
    fault: dict[str, object],
    code: str,
    retryable: bool,
    program: bool,
):
    """Policies retry by `retryable`, and people search by `code`: both must survive DSPy's own wrapping."""
    server.fail("*", **{**fault, "times": 0})
    door = await open_door("first", policies=SOON if fault["kind"] == "hang" else None)

    with pytest.raises(dspy.LMError) as caught:
        await (predicted if program else called)(door.lm("chat", calls))

    error = translate(caught.value)
    assert isinstance(error, ModelError)
    assert (error.code, error.retryable) == (code, retryable)
    assert error.detail["deployment"] == "first"
    assert ledger.statuses == ["failed"]
    assert ledger.only.error is error
    survivor = pickle.loads(pickle.dumps(error))  # noqa: S301  what this process has just pickled
    assert (survivor.code, survivor.retryable, survivor.detail) == (code, retryable, error.detail)


async def test_a_rate_limit_tells_when_to_come_back(open_door: OpenDoor, server: ModelServer):
    server.fail("*", "status", status=429, retry_after=7)
    door = await open_door("first")

    with pytest.raises(dspy.LMError) as caught:
        await called(door.lm("chat"))

    error = translate(caught.value)
    assert isinstance(error, ModelError)
    assert error.retry_after == 7.0


async def test_a_server_that_is_gone_is_unavailable(open_door: OpenDoor):
    door = await open_door("first", base_url="http://127.0.0.1:9/v1")

    with pytest.raises(dspy.LMError) as caught:
        await called(door.lm("chat"))

    assert translate(caught.value).code == "model_unavailable"


async def test_a_deployment_that_is_left_alone_says_for_how_long(open_door: OpenDoor, server: ModelServer):
    server.fail("*", "status", times=0)
    door = await open_door("first", policies={"allowed_fails": 0, "cooldown_seconds": 30})
    for _ in range(2):
        with pytest.raises(dspy.LMError) as caught:
            await called(door.lm("chat"))

    error = translate(caught.value)
    assert isinstance(error, ModelError)
    assert (error.code, error.retry_after) == ("model_role_down", pytest.approx(30, abs=25))
    assert server.total().requests == 1
    assert not any(one.ready for one in await door.health())


async def test_when_all_deployments_fail_every_attempt_is_told(open_door: OpenDoor, server: ModelServer):
    server.fail("first", "status", status=401)
    server.fail("second", "status", status=429, retry_after=3)
    door = await open_door("first", "second")

    with pytest.raises(dspy.LMError) as caught:
        await called(door.lm("chat"))

    error = translate(caught.value)
    assert error.code == "model_rate_limited"  # the one that may heal decides whether to try again
    assert error.detail["tried"] == [
        {"deployment": "first", "code": "model_auth"},
        {"deployment": "second", "code": "model_rate_limited"},
    ]


async def test_a_key_that_a_provider_repeats_reaches_no_error_and_no_log(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls, caplog: pytest.LogCaptureFixture
):
    """LiteLLM passes a provider's words on unchanged, and providers do repeat keys in them."""
    said = f"Incorrect API key provided: {KEY}. Also Bearer abcdef123456"
    server.fail("*", "status", status=401, message=said)
    door = await open_door("first")
    caplog.set_level(logging.DEBUG)

    with pytest.raises(dspy.LMError) as caught:
        await predicted(door.lm("chat", calls))

    told = "".join(traceback.format_exception(caught.value))
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert "Incorrect API key" in logged  # at debug, for the person who has to find out
    for text in (told, repr(translate(caught.value)), logged):
        assert KEY not in text
        assert "abcdef123456" not in text


async def test_what_a_broken_server_sent_reaches_no_error(open_door: OpenDoor, server: ModelServer):
    """It can be somebody's answer; LiteLLM quotes it in its message."""
    server.fail("*", "html")
    door = await open_door("first")

    with pytest.raises(dspy.LMError) as caught:
        await called(door.lm("chat"))

    assert "a web page" not in "".join(traceback.format_exception(caught.value))


async def test_prompts_and_answers_are_not_logged_at_info(
    open_door: OpenDoor, calls: StepCalls, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    door = await open_door("first")

    await door.lm("chat", calls).acall(request=asked("a private question"))

    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert "private" not in logged
    assert "good answer" not in logged
    assert KEY not in logged


async def test_a_cancelled_call_stays_started(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls, ledger: NotebookLedger
):
    """Nobody knows whether it was paid: it is no success, and the next attempt counts it as lost."""
    server.behaviour["*"].latency_ms = 30_000
    door = await open_door("first")
    call = asyncio.create_task(called(door.lm("chat", calls)))
    await eventually(lambda: server.total().requests)

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert ledger.statuses == ["started"]
    server.behaviour["*"].latency_ms = 0
    await called(door.lm("chat", StepCalls(ledger, "answer")))
    assert (ledger.only.status, ledger.only.tries) == ("succeeded", 2)


async def test_a_paid_answer_is_written_down_though_its_caller_has_gone(
    open_door: OpenDoor, ledger: NotebookLedger
):
    """Between the answer and its entry lies a database: a cancellation there would lose what was paid."""
    slow = SlowLedger(ledger)
    door = await open_door("first")
    call = asyncio.create_task(called(door.lm("chat", StepCalls(slow, "answer"))))
    await slow.writing.wait()

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert ledger.statuses == ["succeeded"]


async def test_a_ledger_that_refuses_is_heard_before_any_money_is_spent(
    open_door: OpenDoor, server: ModelServer
):
    door = await open_door("first")

    with pytest.raises(dspy.LMError) as caught:
        await called(door.lm("chat", StepCalls(FencedLedger(), "answer")))

    assert translate(caught.value).code == "fenced"
    assert server.total().requests == 0


async def test_a_prompt_that_is_too_long_is_known_to_dspy_by_its_own_class(
    open_door: OpenDoor, server: ModelServer
):
    """Its agents catch this class and shorten their history."""
    server.fail("*", "status", status=400, code="context_length_exceeded")
    door = await open_door("first")

    with pytest.raises(dspy.ContextWindowExceededError):
        await predicted(door.lm("chat"))


async def test_an_answer_without_its_fields_is_not_retried(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls
):
    """A retried step would meet the same recorded text again, for ever."""
    server.behaviour["*"].text = "no fields here"
    door = await open_door("first")

    with pytest.raises(dspy.utils.exceptions.AdapterParseError) as caught:
        await predicted(door.lm("chat", calls))

    error = translate(caught.value)
    assert (error.code, error.retryable) == ("unparsable_answer", False)
    assert "no fields here" not in str(error)


def test_an_error_of_the_pipeline_keeps_its_name_only():
    """Its message may quote a prompt."""
    error = translate(KeyError("a private document"))

    assert (error.code, error.detail) == ("internal_error", {"type": "KeyError"})
    assert "private" not in str(error)


def test_an_error_in_a_task_group_is_found():
    ours = MillraceError("the run was taken over", code="fenced")

    assert translate(ExceptionGroup("tasks", [ValueError("x"), ours])) is ours


async def called(lm: dspy.LM) -> object:
    return await lm.acall(request=asked())


async def predicted(lm: dspy.LM) -> object:
    with dspy.context(lm=lm, disable_history=True, trace=None):
        return await dspy.ChainOfThought("question -> answer").acall(question="What is promised?")


class SlowLedger:
    """A ledger whose commit takes a while, as one behind a busy database does."""

    def __init__(self, inner: NotebookLedger) -> None:
        self.inner = inner
        self.reserve = inner.reserve
        self.fail = inner.fail
        self.writing = asyncio.Event()

    async def commit(self, call, answer):
        self.writing.set()
        await asyncio.sleep(0.05)
        await self.inner.commit(call, answer)


class FencedLedger:
    """A ledger of an attempt that another worker has taken over."""

    async def reserve(self, call):
        raise MillraceError(f"step {call.step} belongs to another attempt", code="fenced")

    async def commit(self, call, answer):
        raise AssertionError(f"nothing was reserved: {call}, {answer}")

    async def fail(self, call, error, latency_ms):
        raise AssertionError(f"nothing was reserved: {call}, {error}, {latency_ms}")
