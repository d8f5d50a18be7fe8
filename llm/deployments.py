"""A configured provider made ready to be asked: its key read, its price found, its abilities known."""

from dataclasses import dataclass
from typing import Any

from llm.keys import key
from llm.prices import Price, from_map, per_million
from llm.providers import Policies, Provider, Providers

# For servers that want no key: without one, LiteLLM would send them the environment's OPENAI_API_KEY.
_NO_KEY = "no-key-needed"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment. `price` is none when nobody knows it.

    `tiered`: LiteLLM knows prices that do not fit into ours (of long inputs), and is asked where ours ends.
    """

    name: str
    model: str
    provider: Provider
    key: str | None
    price: Price | None
    tiered: bool
    supports: frozenset[str]


def deployment_of(litellm: Any, name: str, provider: Provider) -> Deployment:
    """Return a provider ready to be asked."""
    ours = provider.kind == "openai_compatible"
    # A server of one's own may call its model like a famous one: the map's price would be somebody else's.
    entry = {} if ours else _map_entry(litellm, provider)
    if provider.cost is not None:
        priced = provider.cost
        price: Price | None = per_million(
            priced.input_per_million, priced.output_per_million, priced.cached_input_per_million
        )
    else:
        price = from_map(entry)
    return Deployment(
        name=name,
        model=f"{'openai' if ours else provider.kind}/{provider.model}",
        provider=provider,
        key=key(provider.key_env) if provider.key_env else None,
        price=price,
        tiered=provider.cost is None and _is_tiered(entry, price),
        supports=frozenset(provider.supports) if provider.supports is not None else _abilities(entry),
    )


def model_list_entry(deployment: Deployment, policies: Policies) -> dict[str, Any]:
    """Return the deployment as the Router wants it: a group of its own."""
    provider = deployment.provider
    parameters: dict[str, Any] = {
        **provider.options,
        "model": deployment.model,
        "timeout": policies.timeout_seconds,
        "stream_timeout": max(policies.timeout_seconds, policies.idle_seconds),
    }
    if provider.base_url is not None:
        parameters["api_base"] = provider.base_url
    if deployment.key is not None:
        parameters["api_key"] = deployment.key
    elif deployment.model.startswith("openai/"):
        parameters["api_key"] = _NO_KEY
    if not deployment.tiered:
        # LiteLLM searches its map for 2 ms a call for a model without a price. Ours is in prices.py.
        parameters["input_cost_per_token"] = float(deployment.price.input) if deployment.price else 0.0
        parameters["output_cost_per_token"] = float(deployment.price.output) if deployment.price else 0.0
    return {
        "model_name": deployment.name,
        "litellm_params": parameters,
        "model_info": {"id": router_id(deployment.name)},
    }


def router_id(name: str) -> str:
    """Return the id of a deployment at the Router, which writes prices into LiteLLM's map under it.

    Prefixed, or a deployment that somebody calls `gpt-5-mini` would overwrite that model's price.
    """
    return f"deployment:{name}"


def _map_entry(litellm: Any, provider: Provider) -> dict[str, Any]:
    """Return what LiteLLM's map says of a model; empty when it does not know it."""
    try:
        info = litellm.get_model_info(provider.model, custom_llm_provider=provider.kind)
    except Exception:  # noqa: BLE001  its class for "not mapped" is no public name
        return {}
    return dict(litellm.model_cost.get(info["key"], {}))


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


def unknown_kinds(litellm: Any, providers: Providers) -> list[str]:
    """Return the enabled deployments whose kind LiteLLM does not know."""
    kinds = {str(getattr(kind, "value", kind)) for kind in litellm.provider_list} | {"openai_compatible"}
    return [name for name, provider in providers.enabled().items() if provider.kind not in kinds]
