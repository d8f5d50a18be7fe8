"""LiteLLM's Router as a backend: the only file that imports litellm.

The Router asks one deployment at a time, holds its connections and leaves it alone after failures (cooldown).
The order of a role's deployments is walked here and not by the Router's own fallbacks: those raise the first
error instead of the telling one, fall back on refusals, and merge the usage of two deployments into one bill.
"""

import asyncio
import logging
import os
import warnings
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm.backend import Reply
from llm.deployments import Deployment, deployment_of, model_list_entry, router_id, unknown_kinds
from llm.errors import StreamCut, elsewhere, sentence
from llm.prices import cost, rounded
from llm.providers import Providers
from llm.providers_file import problem_at
from llm.router_errors import cut, from_litellm, worst
from llm.wire import StreamReader, arguments, response_of, usage_of

if TYPE_CHECKING:
    from dspy._vendor.lm15.types import StreamEvent
    from dspy.lm15 import Request, Response

    from runtime.errors import MillraceError

# Warnings inside LiteLLM's calls: by pydantic about its models, by aiohttp about prompts over 1 MB. Where
# warnings are errors (in tests), they break a stream off, so tests that use LiteLLM must ignore them too.
NOISE = (
    r"Accessing the 'model_(computed_)?fields' attribute",
    r"Item '\w+' on TypedDict class",
    r"Sending a large body directly",
)

# LiteLLM's own timeout should fire first, because only that one counts towards the cooldown.
_GRACE_SECONDS = 1.0


class RouterBackend:
    """Answers roles from configured deployments, each asked once, in their order, without retries.

    Args:
        providers: the checked file.
        path: where it was read, for problems that only LiteLLM can see.
        chains: role -> names of enabled deployments, in order.

    Raises:
        ConfigurationProblem: a `kind` is not known to LiteLLM.
    """

    def __init__(self, providers: Providers, path: Path, chains: Mapping[str, tuple[str, ...]]) -> None:
        litellm = _litellm()
        for name in unknown_kinds(litellm, providers):
            remedy = "use a name of LiteLLM's provider list, or openai_compatible with a base_url"
            where = ("providers", name, "kind")
            raise problem_at(path, where, f"LiteLLM does not know the kind of `{name}`", remedy)
        self._litellm = litellm
        self._chains = dict(chains)
        self._policies = providers.policies
        enabled = providers.enabled()
        self._deployments = {name: deployment_of(litellm, name, one) for name, one in enabled.items()}
        self._router = litellm.Router(
            model_list=[model_list_entry(one, providers.policies) for one in self._deployments.values()],
            num_retries=0,
            allowed_fails=providers.policies.allowed_fails,
            cooldown_time=providers.policies.cooldown_seconds,
            timeout=providers.policies.timeout_seconds,
        )

    async def complete(self, role: str, request: "Request") -> Reply:
        """Return the first whole answer of the role's deployments."""
        failures: list[MillraceError] = []
        for deployment in self._chain(role):
            try:
                async with asyncio.timeout(self._policies.timeout_seconds + _GRACE_SECONDS):
                    raw = await self._ask(deployment, request, streamed=False)
                return self._reply(deployment, raw, request)
            except Exception as exc:  # noqa: BLE001  every foreign error is translated
                self._note(failures, exc, deployment)
        raise worst(failures) from None

    async def stream(self, role: str, request: "Request") -> "AsyncGenerator[StreamEvent | Reply]":
        """Yield the events of the first deployment that begins to answer, then the `Reply`.

        After the first piece was passed on, nobody else is asked: the reader has half an answer already.
        """
        failures: list[MillraceError] = []
        for deployment in self._chain(role):
            begun = False
            try:
                async with aclosing(self._stream_of(deployment, request)) as items:
                    async for item in items:
                        begun = True
                        yield item
            except Exception as exc:  # noqa: BLE001  every foreign error is translated
                if begun:
                    raise cut(from_litellm(exc, deployment.name, self._keys()), deployment.name) from None
                self._note(failures, exc, deployment)
            else:
                return
        raise worst(failures) from None

    def supports(self, role: str) -> frozenset[str]:
        """Return what all of a role's deployments can do, in the words of `supports` in the file."""
        return frozenset.intersection(*(deployment.supports for deployment in self._chain(role)))

    async def cooling_down(self) -> dict[str, float]:
        """Return the deployments that are left alone at the moment, with their cooldown in seconds."""
        names = {router_id(name): name for name in self._deployments}
        seen = self._router.cooldown_cache
        found = await seen.async_get_active_cooldowns(list(names), parent_otel_span=None)
        return {names[known]: float(entry["cooldown_time"]) for known, entry in found or ()}

    async def close(self) -> None:
        """Close the connections. They are LiteLLM's, shared by every router of the process."""
        self._router.discard()
        await self._litellm.close_litellm_async_clients()
        self._litellm.in_memory_llm_clients_cache.flush_cache()

    async def _stream_of(
        self, deployment: Deployment, request: "Request"
    ) -> "AsyncGenerator[StreamEvent | Reply]":
        reader = StreamReader(request, deployment.model)
        start: StreamEvent | None = None
        patience = self._policies.timeout_seconds + _GRACE_SECONDS
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

    async def _ask(self, deployment: Deployment, request: "Request", *, streamed: bool) -> Any:
        return await self._router.acompletion(
            **arguments(request, deployment, streamed=streamed),
            model=deployment.name,
            num_retries=0,
            disable_fallbacks=True,
        )

    def _reply(self, deployment: Deployment, raw: Any, request: "Request") -> Reply:
        reported = getattr(raw, "usage", None)
        response = response_of(raw, request, deployment.model, usage_of(reported))
        return self._priced(deployment, response, reported)

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

    def _chain(self, role: str) -> list[Deployment]:
        return [self._deployments[name] for name in self._chains[role]]

    def _keys(self) -> list[str]:
        return [deployment.key for deployment in self._deployments.values() if deployment.key]

    def _note(self, failures: "list[MillraceError]", exc: Exception, deployment: Deployment) -> None:
        """Remember a failure, or raise it when no other deployment could do better."""
        error = from_litellm(exc, deployment.name, self._keys())
        if not elsewhere(error):
            raise error from None
        failures.append(error)


async def _next(source: Any, seconds: float) -> Any:
    """Return the next chunk of a stream, none at its end."""
    async with asyncio.timeout(seconds):
        return await anext(source, None)


def _litellm() -> Any:
    """Import LiteLLM (seconds, 190 MB) with all off that reaches out, prints or loads files by itself."""
    # Without the first, its import asks the network three times; without the second, it loads a `.env`.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    import litellm
    import openai.resources  # noqa: F401  else the first call imports it: a second in which the loop stands still

    for message in NOISE:
        warnings.filterwarnings("ignore", message=message)
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.expose_router_debug_in_errors = False
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        # They log prompts, and at error level what the provider said, keys included.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm
