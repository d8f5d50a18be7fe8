"""Deployments as the catalogue has them."""

from decimal import Decimal
from typing import TYPE_CHECKING

from contracts.models import ModelEntry
from llm.providers import OFFLINE

if TYPE_CHECKING:
    from llm.deployments import Deployment

_MILLION = Decimal(1_000_000)


def entry_of(deployment: "Deployment", roles: list[str]) -> ModelEntry:
    """Return a deployment's entry; `roles` may ask it."""
    provider, price = deployment.provider, deployment.price
    source = None
    if price is not None or deployment.tiered:
        source = "configuration" if provider.cost or provider.cost_profile else "litellm"
    return ModelEntry(
        name=deployment.name,
        kind=provider.kind,
        model=provider.model,
        roles=roles,
        context_tokens=deployment.ceiling.max_input,
        max_output_tokens=deployment.ceiling.max_output,
        input_per_million=None if price is None else price.input * _MILLION,
        output_per_million=None if price is None else price.output * _MILLION,
        cached_input_per_million=(
            None if price is None or price.cached_input is None else price.cached_input * _MILLION
        ),
        price_source=source,
    )


def offline_entry(roles: list[str]) -> ModelEntry:
    """Return the built-in model's entry: it is free."""
    free = Decimal(0)
    return ModelEntry(
        name=OFFLINE,
        kind=OFFLINE,
        model=OFFLINE,
        roles=roles,
        input_per_million=free,
        output_per_million=free,
        price_source="configuration",
    )
