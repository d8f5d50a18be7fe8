"""LiteLLM as a client: for every kind of provider that it knows. Its Router is not used (docs/adr/0024)."""

from typing import TYPE_CHECKING, Any

from llm.clients import Answer
from llm.deployments import Deployment, parameters_of
from llm.errors import StreamCut, sentence
from llm.quiet_litellm import imported, unlogged
from llm.wire import StreamReader, arguments, response_of, usage_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from dspy._vendor.lm15.types import StreamEvent
    from dspy.lm15 import Request


class LiteLLM:
    """Asks over LiteLLM, which keeps the connections; they are shared by all of this process that ask."""

    # Its own timeout should fire first, because it closes the connection in good order.
    grace_seconds = 1.0

    async def whole(
        self, deployment: Deployment, request: "Request", key: str | None, seconds: float
    ) -> Answer:
        """Return a deployment's whole answer."""
        raw = await self._asked(deployment, request, key, seconds, streamed=False)
        reported = getattr(raw, "usage", None)
        return Answer(response_of(raw, request, deployment.model, usage_of(reported)), reported)

    async def streamed(
        self, deployment: Deployment, request: "Request", key: str | None, seconds: float
    ) -> "AsyncGenerator[StreamEvent | Answer]":
        """Yield the events of a deployment's answer, then the `Answer`."""
        reader = StreamReader(request, deployment.model)
        source = await self._asked(deployment, request, key, seconds, streamed=True)
        try:
            async for chunk in source:
                for event in reader.events(chunk):
                    yield event
        finally:
            await source.aclose()
        if not reader.ended(source.chunks):
            detail = {"deployment": deployment.name}
            raise StreamCut(sentence("the stream ended before the answer did", detail), detail=detail)
        yield reader.end(source.chunks)
        yield Answer(reader.response(), reader.reported(source.chunks))

    async def embedding(
        self, deployment: Deployment, text: str, key: str | None, seconds: float
    ) -> tuple[list[float], int | None]:
        """Return a text as numbers, and its tokens where they are known."""
        told = {**parameters_of(deployment, seconds), **_login(key)}
        raw = await imported().aembedding(**told, input=[text], model=deployment.model)
        tokens = getattr(getattr(raw, "usage", None), "prompt_tokens", None) or None
        return raw.data[0]["embedding"], tokens

    async def _asked(
        self, deployment: Deployment, request: "Request", key: str | None, seconds: float, *, streamed: bool
    ) -> Any:
        asked = arguments(request, deployment, streamed=streamed)
        told = {**parameters_of(deployment, seconds), **_login(key), **asked}
        with unlogged():
            # Else it imports its proxy and the package `mcp`, to look among the tools for some of MCP's.
            return await imported().acompletion(**told, model=deployment.model, _skip_mcp_handler=True)


async def close() -> None:
    """Close LiteLLM's connections, those of the whole process; there are none before it is imported."""
    if not imported.cache_info().currsize:
        return
    await imported().close_litellm_async_clients()
    imported().in_memory_llm_clients_cache.flush_cache()


def _login(key: str | None) -> dict[str, str]:
    return {} if key is None else {"api_key": key}
