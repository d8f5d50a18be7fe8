"""A configured provider made ready to be asked: with its price and its abilities. Keys are read at use."""

from dataclasses import dataclass
from typing import Any

from llm.bounds import Ceiling, rates
from llm.prices import Price, from_map, per_million
from llm.providers import ASK_A_FEE, OPENAI_COMPATIBLE, OWN_MACHINE, Cost, Provider, Providers
from llm.quiet_litellm import imported

# For servers that want no key: without one, LiteLLM would send them the environment's OPENAI_API_KEY.
NO_KEY = "no-key-needed"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment. `price` is none when nobody knows it.

    `tiered`: LiteLLM knows prices that do not fit into ours (of long inputs), and is asked where ours ends.
    `ceiling`: what bounds the price of a call before it is made.
    """

    name: str
    model: str
    provider: Provider
    price: Price | None
    tiered: bool
    supports: frozenset[str]
    ceiling: Ceiling


def deployment_of(name: str, providers: Providers) -> Deployment:
    """Return a provider of the file ready to be asked."""
    provider, priced = providers.providers[name], providers.cost_of(name)
    ours = provider.kind == OPENAI_COMPATIBLE
    # A server of one's own may call its model like a famous one: the map's price would be somebody else's.
    entry = {} if ours else _map_entry(provider)
    if priced is not None:
        price: Price | None = per_million(
            priced.input_per_million, priced.output_per_million, priced.cached_input_per_million
        )
    else:
        price = from_map(entry)
    return Deployment(
        name=name,
        model=f"{'openai' if ours else provider.kind}/{provider.model}",
        provider=provider,
        price=price,
        tiered=priced is None and _is_tiered(entry, price),
        supports=frozenset(provider.supports) if provider.supports is not None else _abilities(entry),
        ceiling=_ceiling(provider, priced, entry, providers.policies.unbounded_tokens),
    )


def parameters_of(deployment: Deployment, seconds: float) -> dict[str, Any]:
    """Return what LiteLLM must be told of a deployment at each call, besides the request and the key.

    Args:
        deployment: who is asked.
        seconds: how long LiteLLM waits for a piece of the answer.
    """
    provider = deployment.provider
    parameters: dict[str, Any] = {
        **provider.options,
        "timeout": seconds,
        "num_retries": 0,
        "max_retries": 0,
    }
    if provider.base_url is not None:
        parameters["api_base"] = provider.base_url
    if provider.key_name is None and deployment.model.startswith("openai/"):
        parameters["api_key"] = NO_KEY
    if not deployment.tiered:
        # LiteLLM searches its map for 2 ms a call for a model without a price. Ours is in prices.py.
        parameters["input_cost_per_token"] = float(deployment.price.input) if deployment.price else 0.0
        parameters["output_cost_per_token"] = float(deployment.price.output) if deployment.price else 0.0
    return parameters


def _map_entry(provider: Provider) -> dict[str, Any]:
    """Return what LiteLLM's map says of a model; empty when it does not know it."""
    litellm = imported()
    try:
        info = litellm.get_model_info(provider.model, custom_llm_provider=provider.kind)
    except Exception:  # noqa: BLE001  its class for "not mapped" is no public name
        return {}
    entry = dict(litellm.model_cost.get(info["key"], {}))
    if _tells_no_price(provider.kind, entry):
        entry = {name: value for name, value in entry.items() if "cost" not in name and "pricing" not in name}
    return entry


def _tells_no_price(kind: str, entry: dict[str, Any]) -> bool:
    """Return whether a price in the map is none: a zero for somebody else's servers, or one part of a bill.

    LiteLLM's map has zeros for dozens of models whose price it does not know (GigaChat, Volcengine, models
    that SageMaker bills by the hour); who has one that is free says so by `cost`.
    """
    price = from_map(entry)
    return kind in ASK_A_FEE or (price is not None and price.free and kind not in OWN_MACHINE)


def _is_tiered(entry: dict[str, Any], price: Price | None) -> bool:
    return "tiered_pricing" in entry or (price is not None and price.up_to is not None)


def _abilities(entry: dict[str, Any]) -> frozenset[str]:
    """Return the abilities in an entry of LiteLLM's map; what is not said counts as missing."""
    schema = entry.get("supports_response_schema") is True
    found = {
        "tools": entry.get("supports_function_calling") is True,
        "json_schema": schema,
        "json_object": schema,
        "reasoning": entry.get("supports_reasoning") is True,
    }
    return frozenset(name for name, present in found.items() if present)


def _ceiling(
    provider: Provider, told: Cost | None, entry: dict[str, Any], unbounded_tokens: int | None
) -> Ceiling:
    input_usd, output_usd = rates(entry)
    if told is not None:
        price = per_million(told.input_per_million, told.output_per_million, told.cached_input_per_million)
        input_usd, output_usd = max(price.input, price.cached_input or price.input), price.output
    return Ceiling(
        input_usd,
        output_usd,
        max_input=_limit(entry, "max_input_tokens"),
        max_output=provider.max_tokens or _limit(entry, "max_output_tokens") or unbounded_tokens,
    )


def _limit(entry: dict[str, Any], name: str) -> int | None:
    """Return a limit in an entry of LiteLLM's map, which has texts in a few places."""
    found = entry.get(name)
    return found if isinstance(found, int) and found > 0 else None


def unknown_kinds(providers: Providers) -> list[str]:
    """Return the enabled deployments whose kind LiteLLM does not know."""
    told = {name: one.kind for name, one in providers.enabled().items() if one.kind != OPENAI_COMPATIBLE}
    if not told:
        return []
    kinds = {str(getattr(kind, "value", kind)) for kind in imported().provider_list}
    return [name for name, kind in told.items() if kind not in kinds]
