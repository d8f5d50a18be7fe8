"""Watch an answer while it is written."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, TypeAlias

import dspy

from modules.listening import FieldListener
from modules.program import Program

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
    # DSPy's generator must live and die in one task, and die by an exception raised inside of it: closed from
    # elsewhere it cancels whoever closes it (stanfordnlp/dspy#10380), closed at a `yield` it loses its inner
    # generator to the garbage collector. So a task of its own reads it, never waits while it holds an item,
    # and is cancelled when nobody listens any more. The queue is as long as one answer at most.
    pieces: asyncio.Queue[Piece | None] = asyncio.Queue()
    owner = asyncio.create_task(_read(program, field, inputs, pieces))
    owner.add_done_callback(lambda _: pieces.put_nowait(None))
    try:
        while (piece := await pieces.get()) is not None:
            yield piece
        await owner
    finally:
        owner.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await owner


async def _read(
    program: Program, path: str, inputs: dict[str, Any], pieces: "asyncio.Queue[Piece | None]"
) -> None:
    """Put the field's pieces into the queue, what is missing of its text in the end, and the prediction."""
    name, _, field = path.partition(".")
    predictor = dict(program.named_predictors())[name]
    # A listener and a wrapped program serve one run only.
    listener = FieldListener(field, predict=predictor, predict_name=name)
    run = dspy.streamify(program, stream_listeners=[listener], is_async_program=True)
    streamed = ""
    async for item in run(**inputs):
        if isinstance(item, dspy.streaming.StreamResponse):
            streamed += item.chunk
            pieces.put_nowait(item.chunk)
        elif isinstance(item, dspy.Prediction):
            answer = str(item[field])
            if answer.startswith(streamed) and answer != streamed:
                pieces.put_nowait(answer[len(streamed) :])
            pieces.put_nowait(item)
