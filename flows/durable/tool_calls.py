"""Calls to the world in the ledger: made once, and never repeated behind anybody's back."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from contracts.approvals import Approval, ApprovalStatus, Asking
from contracts.calls import TOOL_CALL, CallAnswer, CallRequest
from contracts.runs import EventKind
from contracts.tools import Effect
from database.journal.calls import CutOff, commit_call, cut_off, fail_call, reserve_call, settle_call
from flows.durable.approvals import answered, digest_of
from flows.durable.permission import permitted
from flows.durable.run import Run, current_run, told
from flows.durable.steps import numbered
from llm.fingerprint import fingerprint
from runtime.clock import utcnow
from runtime.errors import MillraceError


async def tool_call(
    name: str,
    arguments: Mapping[str, Any],
    call: Callable[..., Awaitable[Any]],
    *,
    effect: Effect = Effect.WRITE,
    idempotent: bool = False,
) -> Any:
    """Return what `call(**arguments)` gives, from the ledger when it was made before.

    Whether it may be made is decided from its `effect` and from who started the run (`permission`).

    The row is written before the call and its answer after it. A call that was started and never finished
    (its process was killed, its step timed out, it broke off) may have happened. It is repeated only if it
    says that it is `idempotent`; else the run waits for a person who says what became of it: it happened and
    gave this result, it did not and shall be made, or give up.

    Args:
        name: of the tool, for people and for the ledger.
        arguments: JSON values; equal ones mean the same call.
        call: makes it; its result is JSON. A `MillraceError` from it says that nothing happened, and the
            step's policy decides on another try. After any other error nobody knows.
        effect: what it does outside; without a word it counts as one that writes.
        idempotent: making it twice does no more than making it once.

    Raises:
        MillraceError: what the tool raised; `tool_call_refused`; `tool_call_given_up`.
        Parked: let it pass.
    """
    run = current_run()
    await run.go_on()
    request = _request(run, name, arguments)
    await permitted(run, request, name, arguments, effect)
    lost = None if idempotent else await run.read(cut_off, run.id, request)
    if lost is not None:
        settled = await _ask(name, arguments, request, lost)
        if settled.status is ApprovalStatus.HAPPENED:
            await run.record(settle_call, run.id, run.attempt, request, _answer(name, settled.result, 0.0))
            _tell(run, request, name, "settled")
            return settled.result
    recorded = await run.record(reserve_call, run.id, run.attempt, request, at=utcnow())
    if recorded is not None:
        _tell(run, request, name, "replayed")
        return recorded.response["result"]
    _tell(run, request, name, "started")
    began = time.perf_counter()
    try:
        result = json.loads(json.dumps(await call(**arguments), allow_nan=False))
    except MillraceError as error:
        took = (time.perf_counter() - began) * 1000
        await run.record(fail_call, run.id, run.attempt, request, told(error), took)
        _tell(run, request, name, "failed", error=error.code)
        raise
    took = (time.perf_counter() - began) * 1000
    await run.record(commit_call, run.id, run.attempt, request, _answer(name, result, took))
    _tell(run, request, name, "finished", ms=round(took, 1))
    return result


async def _ask(name: str, arguments: Mapping[str, Any], request: CallRequest, lost: CutOff) -> Approval:
    """Return what a person says about a call that was cut off; until then the run waits."""
    at = lost.started_at.strftime("%Y-%m-%d %H:%M:%S")
    what = {
        "tool": name,
        "arguments": dict(arguments),
        "arguments_digest": digest_of(dict(arguments)),
        "started_at": lost.started_at.isoformat(),
        "attempt": lost.attempt,
        # A call that is repeated and cut off again is another question.
        "tries": lost.tries,
    }
    title = f"Did `{name}` happen? It was started at {at} UTC and its end was not seen."
    place = f"{request.step}/{TOOL_CALL}/{name}[{request.fingerprint[:12]}.{request.n}]"
    answer = await answered(Asking.TOOL_CALL, place, title, what)
    if answer.status is ApprovalStatus.GIVEN_UP:
        because = f": {answer.comment}" if answer.comment else ""
        raise MillraceError(
            f"the call of `{name}` was given up{because}",
            code="tool_call_given_up",
            detail={"approval_id": str(answer.id)},
        )
    return answer


def _request(run: Run, name: str, arguments: Mapping[str, Any]) -> CallRequest:
    asked = {"tool": name, "arguments": dict(arguments)}
    mark = fingerprint(TOOL_CALL, name, asked)
    step, n = numbered(mark)
    return run.earlier.placed(CallRequest(step, n, mark, TOOL_CALL, name, asked))


def _answer(name: str, result: Any, latency_ms: float) -> CallAnswer:
    return CallAnswer({"result": result}, TOOL_CALL, name, None, None, None, latency_ms)


def _tell(run: Run, request: CallRequest, name: str, status: str, **more: object) -> None:
    run.tell(EventKind.TOOL, step=request.step, tool=name, status=status, **more)
