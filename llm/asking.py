"""One question to one deployment, over LiteLLM.

LiteLLM speaks to the providers and keeps the connections. Its Router is not used (docs/adr/0024).
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm.backend import Reply, Vector
from llm.deployments import Deployment, deployment_of, parameters_of, unknown_kinds
from llm.errors import StreamCut, sentence
from llm.prices import cost, rounded
from llm.providers import Policies, Providers
from llm.providers_file import Found, problems_at
from llm.quiet_litellm import imported, unlogged
from llm.semantic.vectors import unit
from llm.wire import StreamReader, arguments, response_of, usage_of
from runtime.secret_store.store import SecretStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from dspy._vendor.lm15.types import StreamEvent
    from dspy.lm15 import Request, Response

# LiteLLM's own timeout should fire first, because it closes the connection in good order.
_GRACE_SECONDS = 1.0
# A question is answered without its vector rather than late.
EMBEDDING_SECONDS = 5.0


class Asker:
    """Asks deployments, each once, with the key that its secret has now.

    Args:
        policies: how long to wait.
        secrets: where the keys are.
    """

    def __init__(self, policies: Policies, secrets: SecretStore) -> None:
        self._litellm = imported()
        self._policies = policies
        self._secrets = secrets

    def deployments(self, providers: Providers, path: Path) -> dict[str, Deployment]:
        """Return the enabled deployments, ready to be asked.

        Raises:
            ConfigurationProblem: a `kind` is not known to LiteLLM, or `usd_per_day` holds for a deployment
                without a price; each with its line in the file at `path`.
        """
        remedy = "use a name of LiteLLM's provider list, or openai_compatible with a base_url"
        unknown = unknown_kinds(self._litellm, providers)
        found: list[Found] = [
            (("providers", name, "kind"), f"LiteLLM does not know the kind of `{name}`", remedy)
            for name in unknown
        ]
        names = [name for name in providers.enabled() if name not in unknown]
        deployments = {name: deployment_of(self._litellm, name, providers) for name in names}
        found += _uncountable(providers, deployments)
        if found:
            raise problems_at(path, found)
        return deployments

    async def whole(self, deployment: Deployment, request: "Request") -> Reply:
        """Return a deployment's whole answer; raises whatever went wrong."""
        async with asyncio.timeout(self._seconds(deployment) + _GRACE_SECONDS):
            raw = await self._ask(deployment, request, streamed=False)
        reported = getattr(raw, "usage", None)
        response = response_of(raw, request, deployment.model, usage_of(reported))
        return self._priced(deployment, response, reported)

    async def streamed(
        self, deployment: Deployment, request: "Request"
    ) -> "AsyncGenerator[StreamEvent | Reply]":
        """Yield the events of a deployment's answer, then the `Reply`; raises whatever went wrong."""
        reader = StreamReader(request, deployment.model)
        start: StreamEvent | None = None
        patience = self._seconds(deployment) + _GRACE_SECONDS
        async with asyncio.timeout(patience):
            source = await self._ask(deployment, request, streamed=True)
        try:
            while (chunk := await _next(source, patience)) is not None:
                for event in reader.events(chunk):
                    if event.type == "start":
                        start = event
                        continue
                    if start is not None:  # held back, so that a stream that breaks before its first word
                        yield start  # can still be asked of the next deployment
                        start = None
                    yield event
                patience = self._policies.idle_seconds
        finally:
            await source.aclose()
        if not reader.ended(source.chunks):
            detail = {"deployment": deployment.name}
            raise StreamCut(sentence("the stream ended before the answer did", detail), detail=detail)
        if start is not None:
            yield start
        yield reader.end(source.chunks)
        yield self._priced(deployment, reader.response(), reader.reported(source.chunks))

    async def embedded(self, deployment: Deployment, text: str) -> Vector:
        """Return the vector of a text, of unit length; raises whatever went wrong."""
        from dspy.lm15 import Usage

        seconds = min(self._seconds(deployment), EMBEDDING_SECONDS)
        told = {**parameters_of(deployment, seconds), "input": [text], "model": deployment.model}
        async with asyncio.timeout(seconds + _GRACE_SECONDS):
            raw = await self._with_key(
                deployment, lambda login: self._litellm.aembedding(**{**told, **login})
            )
        tokens = getattr(getattr(raw, "usage", None), "prompt_tokens", None) or None
        usage = Usage(input_tokens=tokens, output_tokens=0)
        found = unit(raw.data[0]["embedding"])
        return Vector(found, deployment.name, deployment.model, usage, cost(usage, deployment.price))

    async def _ask(self, deployment: Deployment, request: "Request", *, streamed: bool) -> Any:
        return await self._with_key(
            deployment, lambda login: self._asked(deployment, request, login, streamed=streamed)
        )

    async def _with_key(
        self, deployment: Deployment, ask: "Callable[[dict[str, Any]], Awaitable[Any]]"
    ) -> Any:
        """Ask one deployment; once more when its key was rotated since it was read."""
        if (name := deployment.provider.key_name) is None:
            return await ask({})
        key = await self._secrets.get(name)
        try:
            return await ask({"api_key": key})
        except self._litellm.AuthenticationError:
            self._secrets.forget(name)
            if (rotated := await self._secrets.get(name)) == key:
                raise
            return await ask({"api_key": rotated})

    async def _asked(
        self, deployment: Deployment, request: "Request", login: dict[str, Any], *, streamed: bool
    ) -> Any:
        asked = arguments(request, deployment, streamed=streamed)
        told = parameters_of(deployment, self._timeout(deployment, streamed=streamed))
        with unlogged():
            return await self._litellm.acompletion(**{**told, **login, **asked}, model=deployment.model)

    def _priced(self, deployment: Deployment, response: "Response", reported: Any) -> Reply:
        known = cost(response.usage, deployment.price)
        if known is None and deployment.tiered and response.usage.output_tokens is not None:
            provider = deployment.provider
            computed = sum(
                self._litellm.cost_per_token(
                    model=provider.model, custom_llm_provider=provider.kind, usage_object=reported
                )
            )
            known = rounded(computed) if computed else None  # zero is how LiteLLM says that it does not know
        return Reply(response, deployment.name, response.model, known)

    def _seconds(self, deployment: Deployment) -> float:
        return deployment.provider.timeout_seconds or self._policies.timeout_seconds

    def _timeout(self, deployment: Deployment, *, streamed: bool) -> float:
        seconds = self._seconds(deployment)
        return max(seconds, self._policies.idle_seconds) if streamed else seconds

    async def close(self) -> None:
        """Close the connections. They are LiteLLM's, shared by everything of this process that asks."""
        await self._litellm.close_litellm_async_clients()
        self._litellm.in_memory_llm_clients_cache.flush_cache()


def _uncountable(providers: Providers, deployments: dict[str, Deployment]) -> "Iterator[Found]":
    """Yield the deployments whose money a day is capped, while nobody can say what they cost."""
    for name, one in deployments.items():
        caps = (providers.policies.usd_per_day, providers.limits_of(name).usd_per_day)
        if caps != (None, None) and one.price is None and not one.tiered:
            what = f"`{name}` has no price, so `usd_per_day` would never count it"
            yield ("providers", name), what, "add a line `cost:` (zeros for a server of your own)"


async def _next(source: Any, seconds: float) -> Any:
    """Return the next chunk of a stream, none at its end."""
    async with asyncio.timeout(seconds):
        return await anext(source, None)
