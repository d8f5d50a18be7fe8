"""Who speaks a provider's protocol: it asks one deployment once, and knows no prices and no others."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from dspy._vendor.lm15.types import StreamEvent
    from dspy.lm15 import Request, Response

    from llm.deployments import Deployment


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, before anybody has counted what it costs.

    Args:
        response: the canonical answer, with the usage that the provider reported.
        reported: that usage in LiteLLM's form, where LiteLLM is asked for the price.
    """

    response: "Response"
    reported: Any = None


class Client(Protocol):
    """Sends one request for one call; raises whatever went wrong, for `llm.router_errors` to translate."""

    # How long after its own time is over it may still need to close the connection.
    grace_seconds: float

    async def whole(
        self, deployment: "Deployment", request: "Request", key: str | None, seconds: float
    ) -> Answer:
        """Return a deployment's whole answer, which may take so many seconds."""

    def streamed(
        self, deployment: "Deployment", request: "Request", key: str | None, seconds: float
    ) -> "AsyncGenerator[StreamEvent | Answer]":
        """Yield the events of an answer, its end included, then the `Answer`; so many seconds for a piece.

        Raises:
            StreamCut: the provider did not end the answer; nothing that looks like an end was yielded.
        """
