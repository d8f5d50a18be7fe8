"""One question to one deployment: by whose client, with which key, for how long, and at which price."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from llm.backend import Reply, Vector
from llm.clients import Answer, Client
from llm.connections import Connections
from llm.deployments import Deployment, deployment_of, unknown_kinds
from llm.openai_chat import OpenAIChat
from llm.over_litellm import LiteLLM
from llm.prices import cost, rounded
from llm.providers import EMBEDDER, OFFLINE, OPENAI_COMPATIBLE, Policies, Provider, Providers
from llm.providers_file import Found, problems_at
from llm.quiet_litellm import imported
from llm.router_errors import from_provider
from llm.semantic.vectors import unit
from runtime.secret_store.store import SecretStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from dspy._vendor.lm15.types import StreamEvent
    from dspy.lm15 import Request

    _Begun = tuple[AsyncGenerator[StreamEvent | Answer], StreamEvent | Answer | None]

# A question is answered without its vector rather than late.
EMBEDDING_SECONDS = 5.0

_T = TypeVar("_T")


class Asker:
    """Asks deployments, each once, with the key that its secret has now.

    Args:
        policies: how long to wait.
        secrets: where the keys are.
        connections: to the servers that are not asked over LiteLLM; the caller closes them.
    """

    def __init__(self, policies: Policies, secrets: SecretStore, connections: Connections) -> None:
        self._policies = policies
        self._secrets = secrets
        self._litellm = LiteLLM()
        self._openai_chat = OpenAIChat(connections)

    async def whole(self, deployment: Deployment, request: "Request") -> Reply:
        """Return a deployment's whole answer; raises whatever went wrong."""
        client, seconds = self._client(deployment), self._seconds(deployment)
        async with asyncio.timeout(seconds + client.grace_seconds):
            answer = await self._with_key(
                deployment, lambda key: client.whole(deployment, request, key, seconds)
            )
        return _priced(deployment, answer)

    async def streamed(
        self, deployment: Deployment, request: "Request"
    ) -> "AsyncGenerator[StreamEvent | Reply]":
        """Yield the events of a deployment's answer, then the `Reply`; raises whatever went wrong."""
        client, seconds = self._client(deployment), self._seconds(deployment)
        longest = max(seconds, self._policies.idle_seconds)

        async def begun(key: str | None) -> "_Begun":
            source = client.streamed(deployment, request, key, longest)
            try:
                return source, await anext(source, None)
            except BaseException:
                await source.aclose()
                raise

        async with asyncio.timeout(seconds + client.grace_seconds):
            source, item = await self._with_key(deployment, begun)
        start: StreamEvent | None = None
        try:
            while item is not None:
                if not isinstance(item, Answer) and item.type == "start":
                    start = item
                else:
                    if start is not None:  # held back, so that a stream that breaks before its first word
                        yield start  # can still be asked of the next deployment
                        start = None
                    yield _priced(deployment, item) if isinstance(item, Answer) else item
                async with asyncio.timeout(self._policies.idle_seconds + client.grace_seconds):
                    item = await anext(source, None)
        finally:
            await source.aclose()

    async def embedded(self, deployment: Deployment, text: str) -> Vector:
        """Return the vector of a text, of unit length; raises whatever went wrong."""
        from dspy.lm15 import Usage

        seconds = min(self._seconds(deployment), EMBEDDING_SECONDS)
        async with asyncio.timeout(seconds + self._litellm.grace_seconds):
            numbers, tokens = await self._with_key(
                deployment, lambda key: self._litellm.embedding(deployment, text, key, seconds)
            )
        usage = Usage(input_tokens=tokens, output_tokens=0)
        price = cost(usage, deployment.price)
        return Vector(unit(numbers), deployment.name, deployment.model, usage, price)

    async def _with_key(self, deployment: Deployment, ask: "Callable[[str | None], Awaitable[_T]]") -> _T:
        """Ask one deployment; once more when its key was rotated since it was read."""
        if (name := deployment.provider.key_name) is None:
            return await ask(None)
        key = await self._secrets.get(name)
        try:
            return await ask(key)
        except Exception as refusal:
            if from_provider(refusal, deployment.name).code != "model_auth":
                raise
            self._secrets.forget(name)
            if (rotated := await self._secrets.get(name)) == key:
                raise
            return await ask(rotated)

    def _client(self, deployment: Deployment) -> Client:
        return self._openai_chat if speaks_openai_chat(deployment.provider) else self._litellm

    def _seconds(self, deployment: Deployment) -> float:
        return deployment.provider.timeout_seconds or self._policies.timeout_seconds


def ready(providers: Providers, path: Path) -> dict[str, Deployment]:
    """Return the enabled deployments, ready to be asked. This imports LiteLLM (seconds) if one needs it.

    Raises:
        ConfigurationProblem: a `kind` is not known to LiteLLM, or `usd_per_day` holds for a deployment
            without a price; each with its line in the file at `path`.
    """
    remedy = "use a name of LiteLLM's provider list, or openai_compatible with a base_url"
    unknown = unknown_kinds(providers)
    found: list[Found] = [
        (("providers", name, "kind"), f"LiteLLM does not know the kind of `{name}`", remedy)
        for name in unknown
    ]
    deployments = {
        name: deployment_of(name, providers) for name in providers.enabled() if name not in unknown
    }
    found += _uncountable(providers, deployments)
    if found:
        raise problems_at(path, found)
    asked_over_litellm = not all(map(speaks_openai_chat, providers.enabled().values()))
    if asked_over_litellm or providers.chain(EMBEDDER) != (OFFLINE,):
        imported()
    return deployments


def speaks_openai_chat(provider: Provider) -> bool:
    """Return whether DSPy's client asks it: a server at an address. `options` are LiteLLM's words."""
    return provider.kind == OPENAI_COMPATIBLE and not provider.options


def _priced(deployment: Deployment, answer: Answer) -> Reply:
    response = answer.response
    known = cost(response.usage, deployment.price)
    if known is None and deployment.tiered and response.usage.output_tokens is not None:
        provider = deployment.provider
        computed = sum(
            imported().cost_per_token(
                model=provider.model, custom_llm_provider=provider.kind, usage_object=answer.reported
            )
        )
        known = rounded(computed) if computed else None  # zero is how LiteLLM says that it does not know
    return Reply(response, deployment.name, response.model, known)


def _uncountable(providers: Providers, deployments: dict[str, Deployment]) -> "Iterator[Found]":
    """Yield the deployments whose money a day is capped, while nobody can say what they cost."""
    for name, one in deployments.items():
        caps = (providers.policies.usd_per_day, providers.limits_of(name).usd_per_day)
        if caps != (None, None) and one.price is None and not one.tiered:
            what = f"`{name}` has no price, so `usd_per_day` would never count it"
            yield ("providers", name), what, "add a line `cost:` (zeros for a server of your own)"
