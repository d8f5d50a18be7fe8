"""Answers pass the screen, when there is one, before they are told or stored: passages first, then the whole.

It fails closed: what cannot be screened goes to nobody, and the step is tried again.
"""

import asyncio
import inspect
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeVar

import structlog
from pydantic import BaseModel

from flows.durable.run import current_run
from flows.settings import FlowSettings
from runtime.errors import MillraceError
from runtime.screening import Outgoing, Withhold, screen_named

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)

# A passage ends with a line or, when it has grown long, with a sentence or a word.
LONG_CHARS = 400
_ENDS = (
    re.compile(r".*\n", re.DOTALL),
    re.compile(r".*[.!?;:]\s", re.DOTALL),
    re.compile(r".*\s", re.DOTALL),
)

log = structlog.get_logger()


async def screened(text: str, *, whole: bool = True) -> str:
    """Return a text as it may go out.

    Raises:
        MillraceError: `answer_withheld`; `screening_failed`, nobody can tell now.
    """
    settings = FlowSettings()
    screen = screen_named(settings.screen_answers)
    if screen is None or not text:
        return text
    run = current_run()
    outgoing = Outgoing(run.owner, run.pipeline, whole)
    try:
        async with asyncio.timeout(settings.screen_seconds):
            if inspect.iscoroutinefunction(screen):
                shown: Any = await screen(text, outgoing)
            else:
                shown = await asyncio.to_thread(screen, text, outgoing)
                shown = await shown if inspect.isawaitable(shown) else shown
    except Withhold:
        raise MillraceError(
            "The answer was withheld by this server's screening.", code="answer_withheld"
        ) from None
    except Exception as error:  # noqa: BLE001  whatever it is, the text must not go out
        # Its own words may hold the answer.
        log.error("screening_failed", error=type(error).__name__)  # noqa: TRY400
        raise _failed() from None
    if not isinstance(shown, str):
        log.error("screening_failed", error="no text was returned")
        raise _failed()
    return shown


async def screened_pieces(pieces: AsyncGenerator[str | T]) -> AsyncGenerator[str | T]:
    """Yield streamed text in screened passages, and all that is no text as it is.

    Without a screen everything passes at once.
    """
    async with aclosing(pieces):
        if not FlowSettings().screen_answers:
            async for piece in pieces:
                yield piece
            return
        held = ""
        async for piece in pieces:
            if isinstance(piece, str):
                held += piece
                if end := passage_end(held):
                    yield await screened(held[:end], whole=False)
                    held = held[end:]
                continue
            if held:
                yield await screened(held, whole=False)
                held = ""
            yield piece


async def screened_model(model: Model) -> Model:
    """Return a model with every text in it screened."""
    if not FlowSettings().screen_answers:
        return model
    return type(model).model_validate(await _each(model.model_dump()))


def passage_end(text: str) -> int:
    """Return where the passages end that are whole; 0 while none is."""
    long = len(text) >= LONG_CHARS
    found = next((match for end in (_ENDS if long else _ENDS[:1]) if (match := end.match(text))), None)
    return found.end() if found else len(text) if long else 0


async def _each(value: Any) -> Any:
    if isinstance(value, str):
        return await screened(value)
    if isinstance(value, list | tuple):
        return [await _each(item) for item in value]
    if isinstance(value, dict):
        return {name: await _each(item) for name, item in value.items()}
    return value


def _failed() -> MillraceError:
    return MillraceError(
        "The answer could not be screened, so nobody sees it.", code="screening_failed", retryable=True
    )
