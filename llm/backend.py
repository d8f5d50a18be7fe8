"""What can stand behind the door: something that answers one request once, without retries of its own."""

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from contracts.calls import Hit
from llm.routing import Hints, Wanted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dspy._vendor.lm15.types import StreamEvent
    from dspy.lm15 import Request, Response, Usage

    from runtime.errors import MillraceError


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole answer and who gave it.

    Args:
        response: the canonical answer, with its usage where the model told it.
        deployment: the configured deployment that really answered, after fallbacks (`offline` for ours).
        model: the model's name as its provider gives it.
        cost_usd: exact price of this answer in US dollars; none when no price is known.
        hit: it is an answer that was kept; nobody was asked.
        metadata: small JSON-ready facts about the answer, kept in the ledger with it.
    """

    response: "Response"
    deployment: str
    model: str
    cost_usd: Decimal | None = None
    metadata: dict[str, Any] | None = None
    hit: Hit | None = None

    @property
    def usage(self) -> "Usage":
        """Return the tokens, as far as they are known."""
        return self.response.usage


@dataclass(frozen=True, slots=True)
class Vector:
    """One text as a vector, and who made it; the rest as in `Reply`.

    Args:
        data: of unit length, as little-endian float32.
    """

    data: bytes
    deployment: str
    model: str
    usage: "Usage"
    cost_usd: Decimal | None


class Embedding(Protocol):
    """What makes vectors of texts."""

    def most_for(self, text: str) -> "Decimal | MillraceError":
        """Return the most that the vector of a text can cost in US dollars, or why nobody can say."""

    async def embed(self, text: str) -> Vector:
        """Return the vector of a text."""


class Backend(Protocol):
    """Answers requests. Errors that it raises are turned into ours by `llm.errors` at the engine."""

    def most(self, role: str, request: "Request", wanted: Wanted | None = None) -> "Decimal | MillraceError":
        """Return the most that a request can cost in US dollars, or why nobody can say."""

    async def complete(self, role: str, request: "Request", hints: Hints) -> Reply:
        """Return the whole answer."""

    def stream(self, role: str, request: "Request", hints: Hints) -> "AsyncIterator[StreamEvent | Reply]":
        """Yield the answer's events (start, deltas, end), then one `Reply` as the very last item.

        Without that last `Reply` the stream was cut, and no answer was given.
        """
