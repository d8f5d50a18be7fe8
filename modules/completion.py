"""Completion: pass messages to a model as they are, and its answer back as it is written."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from runtime.errors import BadInput

_FINISH = {"tool_call": "tool_calls", "length": "length", "content_filter": "content_filter"}


class Engine(Protocol):
    """A model, as the door to models hands it out."""

    def stream(self, request: Any) -> AsyncGenerator[Any]:
        """Yield the events of an answer."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A whole answer: its text, its tool calls in OpenAI's shape, and why it ended."""

    text: str | None
    tool_calls: list[dict[str, Any]]
    finish_reason: str


async def stream_completion(engine: Engine, body: dict[str, Any]) -> AsyncGenerator[str | Completed]:
    """Yield the answer's text as it comes, then the whole answer as the last item.

    Args:
        engine: who answers.
        body: the fields of OpenAI's chat completions API, without a model.

    Raises:
        BadInput: `bad_messages`, they are not what that API takes.
    """
    from dspy._vendor.lm15.result import StreamAccumulator
    from dspy.lm15 import LM15Error, request_from_openai_chat

    try:
        request = request_from_openai_chat({"model": "completion", **body})
    except (LM15Error, ValueError, TypeError, KeyError) as error:
        # Its words name a field; a value of it may be in them, so they are not passed on.
        raise BadInput(
            f"the messages are not what the chat completions API takes ({type(error).__name__})",
            code="bad_messages",
        ) from None
    whole = StreamAccumulator(request)
    async with aclosing(engine.stream(request)) as events:
        async for event in events:
            whole.push(event)
            if event.type == "delta" and event.delta.type == "text" and event.delta.text:
                yield event.delta.text
    yield _completed(whole.response())


def _completed(response: Any) -> Completed:
    calls = [
        {
            "id": part.id,
            "type": "function",
            "function": {"name": part.name, "arguments": json.dumps(part.input, ensure_ascii=False)},
        }
        for part in response.message.parts
        if part.type == "tool_call"
    ]
    return Completed(response.text or None, calls, _FINISH.get(str(response.finish_reason), "stop"))
