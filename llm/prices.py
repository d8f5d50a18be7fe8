"""Exact money for tokens. A price that is not known gives no cost: never zero."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dspy.lm15 import Usage

# The ledger's column keeps ten decimals; providers price in whole hundredths of a cent per million tokens.
_SMALLEST = Decimal("1e-10")
# LiteLLM's map is made of floats, some of which carry the noise of a division: 8.000000000000001e-07.
SMALLEST_RATE = Decimal("1e-14")
_MILLION = Decimal(1_000_000)
_TIER = re.compile(r"_above_(\d+)k_tokens")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per token. Without a price of its own, cached or cache-writing input costs as any input.

    `up_to` is the longest input for which the price holds, in tokens; none when it always does. `reasoning`
    is the price of the part of the output that is reasoning, where it has one of its own.
    """

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    up_to: int | None = None
    reasoning: Decimal | None = None

    @property
    def free(self) -> bool:
        """Whether nothing that is counted costs anything."""
        rates = (self.input, self.output, self.cached_input, self.cache_write, self.reasoning)
        return not any(rates)


def per_million(input_usd: Decimal, output_usd: Decimal, cached_input_usd: Decimal | None) -> Price:
    """Return the price per token from prices in US dollars per million tokens."""
    cached = None if cached_input_usd is None else cached_input_usd / _MILLION
    return Price(input_usd / _MILLION, output_usd / _MILLION, cached)


def from_map(entry: dict[str, Any]) -> Price | None:
    """Return the price in an entry of LiteLLM's map; none where it has none, or not one that is so simple."""

    def rate(key: str) -> Decimal | None:
        value = entry.get(key)
        return None if value is None else Decimal(repr(value)).quantize(SMALLEST_RATE).normalize()

    input_usd, output_usd = rate("input_cost_per_token"), rate("output_cost_per_token")
    if input_usd is None or output_usd is None or "tiered_pricing" in entry:
        return None
    return Price(
        input_usd,
        output_usd,
        rate("cache_read_input_token_cost"),
        # DeepSeek's entry says 0 for cache writes and means that they cost as any input.
        rate("cache_creation_input_token_cost") or None,
        min((int(found[1]) * 1000 for key in entry if (found := _TIER.search(key))), default=None),
        rate("output_cost_per_reasoning_token"),
    )


def cost(usage: "Usage", price: Price | None) -> Decimal | None:
    """Return what these tokens cost in US dollars; none when the price or the count is not known.

    Counts follow OpenAI's rule, to which LiteLLM brings all providers: input contains what was read from and
    written to the provider's cache, output contains reasoning.
    """
    if price is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    if usage.input_audio_tokens or usage.output_audio_tokens:
        return None
    if price.up_to is not None and usage.input_tokens > price.up_to:
        return None
    cached, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    reasoned = min(usage.reasoning_tokens or 0, usage.output_tokens)
    plain = max(usage.input_tokens - cached - written, 0)
    total: Decimal = (
        plain * price.input
        + cached * (price.input if price.cached_input is None else price.cached_input)
        + written * (price.input if price.cache_write is None else price.cache_write)
        + (usage.output_tokens - reasoned) * price.output
        + reasoned * (price.output if price.reasoning is None else price.reasoning)
    )
    return total.quantize(_SMALLEST)


def rounded(usd: float) -> Decimal:
    """Return a sum that LiteLLM computed (the price of long inputs) with the ten decimals of the ledger."""
    return Decimal(repr(usd)).quantize(_SMALLEST)
