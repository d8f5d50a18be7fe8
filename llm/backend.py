"""What can stand behind the door: something that answers one request once, without retries of its own."""

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dspy._vendor.lm15.types import StreamEvent
    from dspy.lm15 import Request, Response


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole answer and who gave it.

    Args:
        response: the canonical answer, with its usage where the model told it.
        deployment: the configured deployment that really answered, after fallbacks (`offline` for ours).
        model: the model's name as its provider gives it.
        cost_usd: exact price of this answer in US dollars; none when no price is known.
        metadata: small JSON-ready facts about the answer, kept in the ledger with it.
    """

    response: "Response"
    deployment: str
    model: str
    cost_usd: Decimal | None = None
    metadata: dict[str, Any] | None = None


class Backend(Protocol):
    """Answers requests. Errors that it raises are turned into ours by `llm.errors` at the engine."""

    async def complete(self, role: str, request: "Request") -> Reply:
        """Return the whole answer."""

    def stream(self, role: str, request: "Request") -> "AsyncIterator[StreamEvent | Reply]":
        """Yield the answer's events (start, deltas, end), then one `Reply` as the very last item.

        Without that last `Reply` the stream was cut, and no answer was given.
        """
