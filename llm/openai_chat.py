"""DSPy's own client: for servers that speak OpenAI's chat completions at an address of the file.

A call takes 2 ms less so than over LiteLLM (docs/adr/0040). It converts and reads answers; the connections
are ours to give (`llm/connections.py`).

The protocol: https://platform.openai.com/docs/api-reference/chat
"""

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llm.clients import Answer
from llm.connections import Connections
from llm.deployments import NO_KEY, Deployment
from llm.errors import BadModelAnswer, StreamCut, sentence

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from dspy._vendor.lm15.types import StreamEvent
    from dspy.lm15 import AsyncOpenAIChatLM, Request, Response

# What DSPy's reader raises where JSON has another shape than an answer.
_UNFIT = (TypeError, ValueError, KeyError, IndexError, AttributeError)


class OpenAIChat:
    """Asks servers by their address.

    Args:
        connections: to all of them.
    """

    grace_seconds = 0.0

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        # Deployment -> the key for which its client was made, and the client.
        self._servers: dict[str, tuple[str | None, AsyncOpenAIChatLM]] = {}

    async def whole(
        self, deployment: Deployment, request: "Request", key: str | None, seconds: float
    ) -> Answer:
        """Return a deployment's whole answer. The caller minds the time."""
        del seconds
        server, asked = self._server(deployment, key), _asked(deployment, request)
        try:
            response = await server.complete(asked)
        except _UNFIT:
            raise _unreadable(deployment) from None
        if not (response.provider_data or {}).get("choices"):  # read as an answer without a word
            raise _unreadable(deployment)
        return Answer(_counted(response))

    async def streamed(
        self, deployment: Deployment, request: "Request", key: str | None, seconds: float
    ) -> "AsyncGenerator[StreamEvent | Answer]":
        """Yield the events of a deployment's answer, then the `Answer`. The caller minds the time."""
        from dspy._vendor.lm15.result import StreamAccumulator
        from dspy.clients.engines.stream_guard import achecked_stream

        del seconds
        server, asked = self._server(deployment, key), _asked(deployment, request)
        whole = StreamAccumulator(asked)
        events = achecked_stream(server.stream(asked), provider=server.provider)
        try:
            async with aclosing(events):
                async for event in events:
                    if event.type == "end" and event.finish_reason is None:
                        # Made of a count of tokens or a `[DONE]`, which come after half an answer too.
                        raise _cut(deployment)
                    whole.push(event)
                    yield event
            answer = Answer(_counted(whole.response()))
        except _UNFIT:
            raise _unreadable(deployment) from None
        yield answer

    def _server(self, deployment: Deployment, key: str | None) -> "AsyncOpenAIChatLM":
        found = self._servers.get(deployment.name)
        if found is None or found[0] != key:
            found = self._servers[deployment.name] = (key, self._opened(deployment, key))
        return found[1]

    def _opened(self, deployment: Deployment, key: str | None) -> "AsyncOpenAIChatLM":
        from dspy.lm15 import AsyncOpenAIChatLM, OpenAIChatCompat

        # The words that servers other than OpenAI's understand: vLLM, llama.cpp, LM Studio, gateways.
        words = OpenAIChatCompat(max_tokens_field="max_tokens", cache_control="none")
        return AsyncOpenAIChatLM(
            api_key=key or NO_KEY,
            base_url=deployment.provider.base_url or "",
            compat=words,
            transport=self._connections,
        )


def _asked(deployment: Deployment, request: "Request") -> "Request":
    """Return what is sent; what the request leaves open is the deployment's to say."""
    config, provider = request.config, deployment.provider
    told: dict[str, Any] = {"max_tokens": config.max_tokens or provider.max_tokens}
    if config.temperature is None:
        told["temperature"] = provider.temperature
    if config.top_k is not None:
        # Not OpenAI's word, but most of those servers know it.
        told |= {"top_k": None, "extensions": {**(config.extensions or {}), "top_k": config.top_k}}
    return replace(request, model=provider.model, config=replace(config, **told))


def _counted(response: "Response") -> "Response":
    """Return an answer whose token counts are unknown where they were told as zero, which no call has."""
    from dspy.lm15 import Usage

    usage: Usage | None = response.usage
    if usage is not None and (usage.input_tokens or usage.output_tokens):
        return response
    return replace(response, usage=Usage())


def _cut(deployment: Deployment) -> StreamCut:
    detail = {"deployment": deployment.name}
    return StreamCut(sentence("the stream ended before the answer did", detail), detail=detail)


def _unreadable(deployment: Deployment) -> BadModelAnswer:
    detail = {"deployment": deployment.name}
    return BadModelAnswer(sentence("the server sent an answer that cannot be read", detail), detail=detail)
