"""A model that says what a test tells it to: a real engine behind a real `dspy.LM`, without a network."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import dspy
from dspy.lm15 import (
    Message,
    Request,
    Response,
    StreamDeltaEvent,
    StreamEndEvent,
    StreamStartEvent,
    TextDelta,
    Usage,
)

Say = Callable[[Request], str]


class ScriptedModel:
    """Answers each request by a function, or in turn from a list; remembers what it was asked.

    Args:
        say: what to answer.
        piece: how many characters one piece of a stream has; 0 sends the answer in one.
    """

    def __init__(self, say: Say | Iterable[str], piece: int = 3) -> None:
        script = None if callable(say) else iter(say)
        self.say: Say = say if callable(say) else lambda _: next(script)
        self.piece = piece
        self.asked: list[Request] = []
        self.streamed = 0

    def lm(self) -> dspy.LM:
        return dspy.LM(
            "scripted", engine=_Blocking(self), async_engine=_Awaited(self), num_retries=0, cache=False
        )

    def answer(self, request: Request) -> Response:
        self.asked.append(request)
        text = self.say(request)
        return Response(
            id=None, model="scripted", message=Message.assistant(text), finish_reason="stop", usage=Usage()
        )

    def prompts(self) -> list[str]:
        """The last message of each request, as text."""
        return [text_of(request) for request in self.asked]


class _Blocking:
    def __init__(self, model: ScriptedModel) -> None:
        self.model = model

    def complete(self, request: Request) -> Response:
        return self.model.answer(request)


class _Awaited:
    def __init__(self, model: ScriptedModel) -> None:
        self.model = model

    async def complete(self, request: Request) -> Response:
        return self.model.answer(request)

    async def stream(self, request: Request) -> AsyncIterator[Any]:
        self.model.streamed += 1
        text = self.model.answer(request).text or ""
        step = self.model.piece or len(text) or 1
        yield StreamStartEvent(model="scripted")
        for start in range(0, len(text), step):
            yield StreamDeltaEvent(delta=TextDelta(text=text[start : start + step]))
            await asyncio.sleep(0)
        yield StreamEndEvent(finish_reason="stop", usage=Usage())


def text_of(request: Request) -> str:
    """The newest message of a request, as text."""
    return "\n".join(part.text for part in request.messages[-1].parts if part.type == "text")


def fields(**values: str) -> str:
    """An answer as ChatAdapter asks for it."""
    return (
        "\n\n".join(f"[[ ## {name} ## ]]\n{value}" for name, value in values.items())
        + "\n\n[[ ## completed ## ]]\n"
    )
