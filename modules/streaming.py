"""Watch an answer while it is written."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, TypeAlias

import anyio
import dspy
from anyio.streams.memory import MemoryObjectSendStream

from modules.listening import FieldListener
from modules.program import Program

_AHEAD = 64  # pieces that may wait for a slow reader before the model's stream waits too

Piece: TypeAlias = "str | dspy.Prediction"


async def stream_answer(program: Program, field: str, /, **inputs: Any) -> AsyncGenerator[Piece, None]:
    """Run a program and yield one field's text as it comes, then the program's prediction as the last item.

    The texts together are the answer. An answer that did not come in pieces (a recorded call, a draft that
    was kept) is yielded whole. Iterate inside `dspy.context(lm=...)`, to the end or until `aclose()`, from a
    coroutine; never hold that context in a generator of your own.

    Args:
        program: what to run; nothing is kept in it between runs.
        field: a predictor of the program and its output field, e.g. `respond.answer`; a program's
            `streams` names its own.
        **inputs: the program's own.

    Raises:
        Exception: whatever the program raises, as it raises it.
    """
    # DSPy's generator must live and die in one task: closing it from another cancels whoever closes it
    # (stanfordnlp/dspy#10380). So a task of its own reads it, and readers of this one may come and go.
    send, receive = anyio.create_memory_object_stream[Piece](_AHEAD)
    owner = asyncio.create_task(_read(program, field, inputs, send))
    try:
        async with receive:
            async for piece in receive:
                yield piece
        await owner
    finally:
        owner.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await owner


async def _read(
    program: Program, path: str, inputs: dict[str, Any], send: MemoryObjectSendStream[Piece]
) -> None:
    """Send the field's pieces, what is missing of its text in the end, and the prediction."""
    name, _, field = path.partition(".")
    predictor = dict(program.named_predictors())[name]
    # A listener and a wrapped program serve one run only.
    listener = FieldListener(field, predict=predictor, predict_name=name)
    run = dspy.streamify(program, stream_listeners=[listener], is_async_program=True)
    streamed = ""
    async with send:
        async for item in run(**inputs):
            if isinstance(item, dspy.streaming.StreamResponse):
                streamed += item.chunk
                await send.send(item.chunk)
            elif isinstance(item, dspy.Prediction):
                answer = str(item[field])
                if answer.startswith(streamed) and answer != streamed:
                    await send.send(answer[len(streamed) :])
                await send.send(item)
