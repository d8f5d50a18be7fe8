"""The synchronous twin: optimizers call programs in threads, but the calls are made on the door's loop."""

from typing import TYPE_CHECKING, Any

from llm.crossing import iterated_from, waited_for
from llm.engine import AsyncEngine
from llm.errors import carried

if TYPE_CHECKING:
    from collections.abc import Generator

    from dspy._vendor.lm15.types import StreamEvent
    from dspy.lm15 import Request, Response


class SyncEngine:
    """What `dspy.LM(engine=...)` wants: the same calls, waited for.

    Args:
        twin: the engine that makes and journals the calls.
        supports: what the role's models can do; DSPy reads the four hints below to choose its way of asking.
    """

    def __init__(self, twin: AsyncEngine, supports: frozenset[str]) -> None:
        self.twin = twin
        self.supports_function_calling = "tools" in supports
        self.supports_reasoning = "reasoning" in supports
        self.supports_response_schema = "json_schema" in supports
        self.supported_params = _parameters(supports)

    def complete(self, request: "Request") -> "Response":
        """Return the answer, as `AsyncEngine.complete`.

        Raises:
            dspy.LMError: as there; it carries `sync_call_on_loop` on the thread of the door's own loop.
        """
        with carried():
            return waited_for(self.twin.place.loop, self.twin.complete(request))

    def stream(self, request: "Request") -> "Generator[StreamEvent]":
        """Yield the answer's events, as `AsyncEngine.stream`."""
        with carried():
            yield from iterated_from(self.twin.place.loop, self.twin.stream(request))

    def close(self) -> None:
        """Do nothing: connections belong to the door."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "SyncEngine":
        return self  # as its twin


def _parameters(supports: frozenset[str]) -> frozenset[str]:
    """Return the OpenAI parameters that DSPy's adapters may use with these abilities."""
    parameters = {"temperature", "max_tokens", "top_p", "stream"}
    if supports & {"json_object", "json_schema"}:
        parameters.add("response_format")
    if "tools" in supports:
        parameters |= {"tools", "tool_choice", "parallel_tool_calls"}
    if "reasoning" in supports:
        parameters.add("reasoning_effort")
    return frozenset(parameters)
