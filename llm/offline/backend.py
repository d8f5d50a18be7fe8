"""The offline model as a backend of the door: in process, deterministic, free, and saying what it is."""

import asyncio
import re
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING

from llm.backend import Reply
from llm.offline.write import write
from llm.routing import Hints, Wanted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dspy.lm15 import Request, Response, StreamEvent

DEPLOYMENT = "offline"
MODEL = "millrace-offline-1"
# What every answer says about itself, to the caller and in the ledger.
ABOUT = {
    "offline": True,
    "kind": "deterministic in-context learner without weights, in process, no network",
    "tokens": "estimated: one per four UTF-8 bytes",
}
_BYTES_PER_TOKEN = 4
_INLINE_CHARS = 20_000  # of a request; a longer one is answered in a thread, so that the loop stays free
_PIECE = re.compile(r"\s*\S+\s*")


class OfflineBackend:
    """Answers every request from its own words. Holds no state and no connections."""

    def most(self, role: str, request: "Request", wanted: Wanted | None = None) -> Decimal:
        """Return nothing: it is free."""
        del role, request, wanted
        return Decimal(0)

    async def complete(self, role: str, request: "Request", hints: Hints | None = None) -> Reply:
        """Return the whole answer. The same request gets the same answer in every process, for every role."""
        del role, hints
        text = await _written(request)
        return _reply(request, text)

    async def stream(
        self, role: str, request: "Request", hints: Hints | None = None
    ) -> "AsyncIterator[StreamEvent | Reply]":
        """Yield the answer word by word, then the reply."""
        from dspy.lm15 import StreamDeltaEvent, StreamEndEvent, StreamStartEvent, TextDelta

        reply = await self.complete(role, request, hints)
        yield StreamStartEvent(model=MODEL)
        for piece in pieces(reply.response.text or ""):
            yield StreamDeltaEvent(delta=TextDelta(text=piece))
            await asyncio.sleep(0)
        response = reply.response
        yield StreamEndEvent(
            finish_reason=response.finish_reason, usage=response.usage, provider_data=response.provider_data
        )
        yield reply

    def describe(self, role: str) -> list[str]:
        """Return the one deployment, whatever the role."""
        del role
        return [DEPLOYMENT]

    async def close(self) -> None:
        """There is nothing to let go of."""


def answered(request: "Request") -> "Response":
    """Return the whole answer at once, for callers without a loop; see `OfflineBackend.complete`."""
    return _response(request, write(request))


def pieces(text: str) -> list[str]:
    """Cut a text into words with the space around them; joined they are the text."""
    return _PIECE.findall(text) or ([text] if text else [])


def tokens(text: str) -> int:
    """Estimate the tokens of a text: one per four UTF-8 bytes, at least one for any text."""
    return ceil(len(text.encode(errors="replace")) / _BYTES_PER_TOKEN)


async def _written(request: "Request") -> str:
    if _size(request) <= _INLINE_CHARS:
        return write(request)
    return await asyncio.to_thread(write, request)


def _reply(request: "Request", text: str) -> Reply:
    return Reply(_response(request, text), DEPLOYMENT, MODEL, Decimal(0), dict(ABOUT))


def _response(request: "Request", text: str) -> "Response":
    from dspy.lm15 import Message, Response, Usage

    given = sum(tokens(part) for part in _texts(request))
    return Response(
        id=None,
        model=MODEL,
        message=Message.assistant(text),
        finish_reason="stop",
        usage=Usage(input_tokens=given, output_tokens=tokens(text)),
        provider_data=dict(ABOUT),
    )


def _size(request: "Request") -> int:
    return sum(map(len, _texts(request)))


def _texts(request: "Request") -> list[str]:
    system = request.system or ""
    parts = [] if isinstance(system, str) else list(system)
    parts += [part for message in request.messages for part in message.parts]
    found = [system] if isinstance(system, str) else []
    return found + [text for text in (getattr(part, "text", None) for part in parts) if isinstance(text, str)]
