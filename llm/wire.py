"""Between DSPy's canonical requests and answers (lm15) and the OpenAI shape that LiteLLM speaks.

DSPy's own conversion is used; this file only picks what we send, and trusts no token count and no ending that
LiteLLM made up: it invents a stop for a cut stream, and counts tokens itself when none were reported.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llm.deployments import Deployment

if TYPE_CHECKING:
    from dspy._vendor.lm15.types import StreamEvent
    from dspy.lm15 import Request, Response, Usage

_FINISH = {
    "length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
}


def arguments(request: "Request", deployment: Deployment, *, streamed: bool) -> dict[str, Any]:
    """Return a completion's keyword arguments; what the request leaves open is the deployment's to say."""
    from dspy.clients.lm15_boundary import request_kwargs

    asked: dict[str, Any] = request_kwargs(replace(request, model=deployment.model), "chat")
    provider = deployment.provider
    if request.config.top_k is not None:
        # The OpenAI shape has no such field; LiteLLM knows who takes it.
        asked["top_k"] = request.config.top_k
    # DSPy says it in OpenAI's newest word, which other servers ignore; LiteLLM translates the older one.
    limit = asked.pop("max_completion_tokens", None) or asked.get("max_tokens") or provider.max_tokens
    if limit is not None:
        asked["max_tokens"] = limit
    if provider.temperature is not None:
        asked.setdefault("temperature", provider.temperature)
    if "metadata" in asked:
        # LiteLLM puts objects of its own into it, and the next deployment is asked with the same request.
        asked["metadata"] = deepcopy(asked["metadata"])
    asked["stream"] = streamed
    if streamed:
        asked["stream_options"] = {"include_usage": True}
    return asked


def response_of(raw: Any, request: "Request", model: str, usage: "Usage") -> "Response":
    """Return LiteLLM's whole answer in the canonical form, with the usage that the provider reported."""
    from dspy.clients.lm15_boundary import response_value

    return replace(response_value(raw, "chat", replace(request, model=model)), usage=usage)


def usage_of(reported: Any) -> "Usage":
    """Return the token counts; unknown ones stay unknown.

    Where the provider reported nothing, LiteLLM says zero in and zero out, which no real call has.
    """
    from dspy.lm15 import Usage

    if not (getattr(reported, "prompt_tokens", None) or getattr(reported, "completion_tokens", None)):
        return Usage()
    of_prompt = getattr(reported, "prompt_tokens_details", None)
    of_answer = getattr(reported, "completion_tokens_details", None)
    return Usage(
        input_tokens=reported.prompt_tokens,
        output_tokens=reported.completion_tokens,
        total_tokens=getattr(reported, "total_tokens", None),
        cache_read_tokens=getattr(of_prompt, "cached_tokens", None),
        cache_write_tokens=getattr(of_prompt, "cache_creation_tokens", None),
        reasoning_tokens=getattr(of_answer, "reasoning_tokens", None),
        input_audio_tokens=getattr(of_prompt, "audio_tokens", None),
        output_audio_tokens=getattr(of_answer, "audio_tokens", None),
    )


class StreamReader:
    """Turns one stream's chunks into canonical events, and knows whether it really ended.

    Args:
        request: what was asked.
        model: who was asked, for answers that do not name their model.
    """

    def __init__(self, request: "Request", model: str) -> None:
        from dspy._vendor.lm15.result import StreamAccumulator
        from dspy.clients.engines.litellm_engine import _ChatStream

        asked = replace(request, model=model)
        self._codec = _ChatStream(asked)
        self._whole = StreamAccumulator(asked)

    def events(self, chunk: Any) -> "Iterator[StreamEvent]":
        """Yield the events of one chunk."""
        for event in self._codec.feed(chunk):
            self._whole.push(event)
            yield event

    def ended(self, chunks: Sequence[Any]) -> bool:
        """Return whether the provider itself ended the answer. LiteLLM keeps only what came in `chunks`."""
        return _finish_reason(chunks) is not None

    def reported(self, chunks: Sequence[Any]) -> Any:
        """Return the usage that the provider sent, in LiteLLM's form; none when it sent none."""
        found = [usage for chunk in chunks if (usage := getattr(chunk, "usage", None)) is not None]
        return found[-1] if found else None

    def end(self, chunks: Sequence[Any]) -> "StreamEvent":
        """Return the end event, with the usage that was reported in the stream."""
        from dspy.lm15 import StreamEndEvent

        reason = _FINISH.get(str(_finish_reason(chunks)), "stop")
        event = StreamEndEvent(finish_reason=reason, usage=usage_of(self.reported(chunks)))
        self._whole.push(event)
        return event

    def response(self) -> "Response":
        """Return the whole answer."""
        return self._whole.response()


def _finish_reason(chunks: Sequence[Any]) -> str | None:
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    return str(reasons[-1]) if reasons else None
