"""A run as an answer of OpenAI's chat API: whole, or streamed while it is written."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from api.caller import Caller
from api.openai.names import Name
from api.openai.shapes import ChatRequest
from api.problems import CODES, openai_error
from api.resources import Resources
from contracts.runs import EventKind, Run, RunStatus
from database.journal.calls import tokens_of
from database.queue.runs import get_run

# Codes of failed runs that are the request's fault; all others are ours or a provider's.
OF_THE_REQUEST = frozenset({"bad_messages", "context_too_long", "model_refused", "model_unsupported"})
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer: `code` of the API's table, `told` the run's own, which says more."""

    code: str
    told: str
    message: str


def failure(run: Run) -> Failure:
    """Return why a run that ended without an answer, or has not ended, has none."""
    if not run.status.terminal:
        return Failure("answer_late", "answer_late", f"Run {run.id} has not ended yet; it goes on.")
    if run.error is None:
        return Failure("answer_failed", f"run_{run.status}", f"Run {run.id} was {run.status}.")
    code, message = run.error.code, f"{run.error.message} (run {run.id})"
    if code in OF_THE_REQUEST:
        return Failure("answer_refused", code, message)
    if code == "model_rate_limited":
        return Failure("answer_limited", code, message)
    return Failure("unavailable" if run.error.retryable else "answer_failed", code, message)


async def whole(
    resources: Resources, caller: Caller, run: Run, request: ChatRequest, name: Name
) -> dict[str, Any]:
    """Return a `chat.completion` for a run that succeeded."""
    text, tool_calls, reason = name.answer(run.result or {})
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if tool_calls:
        message["tool_calls"] = tool_calls
    return {
        **_head(run, request, "chat.completion"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": await usage_of(resources, caller, run.id),
    }


async def streamed(
    resources: Resources, caller: Caller, run: Run, request: ChatRequest, name: Name
) -> AsyncGenerator[bytes]:
    """Yield `chat.completion.chunk`s while the run is written, then how it ended."""
    head = _head(run, request, "chat.completion.chunk")
    yield _chunk(head, {"role": "assistant", "content": ""})
    words = Words()
    async with resources.tail.listen(run.id, 0) as listener:
        while not listener.over:
            events = await listener.next(resources.settings.api_heartbeat_seconds)
            for event in events:
                if piece := words.heard(event.kind, event.data):
                    yield _chunk(head, {"content": piece})
            if not events and not listener.over:
                yield b": still here\n\n"
    async with resources.database.read() as session:
        run = await get_run(session, caller.owner, run.id)
    if run.status is not RunStatus.SUCCEEDED:
        why = failure(run)
        yield _data({"error": openai_error(why.told, why.message, CODES[why.code][0])})
        return
    text, tool_calls, reason = name.answer(run.result or {})
    rest = words.rest(text or "")
    if rest is None:
        message = f"The answer of run {run.id} was begun anew after a failure."
        yield _data({"error": openai_error("answer_changed", message, CODES["answer_failed"][0])})
        return
    if rest:
        yield _chunk(head, {"content": rest})
    if tool_calls:
        numbered = [{"index": number, **call} for number, call in enumerate(tool_calls)]
        yield _chunk(head, {"tool_calls": numbered})
    yield _chunk(head, {}, reason)
    if request.with_usage:
        usage = await usage_of(resources, caller, run.id)
        yield _data({**head, "choices": [], "usage": usage})
    yield DONE


class Words:
    """What was sent of an answer, against what a step says when it is tried again."""

    def __init__(self) -> None:
        self._sent = ""
        self._said = ""

    def heard(self, kind: EventKind, data: dict[str, Any]) -> str:
        """Return what is new in an event of the run's log; nothing while a further try repeats the first."""
        if kind is EventKind.STEP and data.get("status") == "started":
            self._said = ""
        if kind is not EventKind.TOKEN:
            return ""
        self._said += str(data.get("text", ""))
        if not self._said.startswith(self._sent):
            return ""
        piece = self._said[len(self._sent) :]
        self._sent = self._said
        return piece

    def rest(self, text: str) -> str | None:
        """Return what is missing of the final text; none when something else was sent."""
        return text[len(self._sent) :] if text.startswith(self._sent) else None


async def usage_of(resources: Resources, caller: Caller, run_id: UUID) -> dict[str, int]:
    """Return the tokens of all calls of a run."""
    async with resources.database.read() as session:
        asked, answered = await tokens_of(session, caller.owner, run_id)
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}


def _head(run: Run, request: ChatRequest, kind: str) -> dict[str, Any]:
    created = int(run.created_at.timestamp())
    return {"id": f"chatcmpl-{run.id}", "object": kind, "created": created, "model": request.model}


def _chunk(head: dict[str, Any], delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return _data({**head, "choices": [choice]})


def _data(body: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n".encode()
