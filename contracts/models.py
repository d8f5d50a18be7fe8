"""Models as people and programs see them: what they are, what they cost, and how they are doing."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

# Upper bounds of the latency histogram in milliseconds, each a quarter above the last: a percentile read from
# it is off by at most that much. A bucket more takes what is slower.
BOUNDS_MS = tuple(round(10 * 1.25**step) for step in range(48))
PriceSource = Literal["configuration", "litellm"]


def bucket_of(milliseconds: float) -> int:
    """Return the place of a latency in the histogram."""
    return next((place for place, most in enumerate(BOUNDS_MS) if milliseconds <= most), len(BOUNDS_MS))


@dataclass(slots=True)
class Seen:
    """What happened at one deployment since the last time somebody asked. `latencies`: bucket -> answers."""

    answers: int = 0
    failures: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    unpriced: int = 0
    latencies: dict[int, int] = field(default_factory=dict)
    answered_at: datetime | None = None
    failed_at: datetime | None = None
    error: str | None = None


class ModelEntry(BaseModel):
    """A deployment of config/providers.yaml: who it is, what it can take, and what it costs."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(description="The deployment's name, as in the ledger.", examples=["gpt"])
    kind: str = Field(description="Its provider, as LiteLLM names it.", examples=["openai"])
    model: str = Field(description="The model, as its provider names it.", examples=["gpt-5-mini"])
    roles: list[str] = Field(description="Roles that may ask it.", examples=[["chat", "judge"]])
    context_tokens: int | None = Field(None, description="Longest input; null when nobody knows.")
    max_output_tokens: int | None = Field(None, description="Longest answer; null when nobody knows.")
    input_per_million: Decimal | None = Field(None, description="US dollars per million tokens of input.")
    output_per_million: Decimal | None = Field(None, description="US dollars per million tokens of output.")
    cached_input_per_million: Decimal | None = Field(
        None, description="US dollars per million tokens that the provider had in its cache."
    )
    price_source: PriceSource | None = Field(
        None, description="Where the price is from; null: it has none, its calls have an unknown cost."
    )


class Model(ModelEntry):
    """A deployment in the catalogue."""

    priced_at: datetime | None = Field(None, description="Since when the price holds.")
    configured: bool = Field(description="It stands in the file, enabled.")
    enabled: bool = Field(description="It was not switched off here. Both must hold for it to be asked.")


class Today(BaseModel):
    """What a deployment did since midnight UTC, for all workers."""

    model_config = ConfigDict(from_attributes=True)

    answers: int = 0
    failures: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    unpriced: int = Field(0, description="Answers whose cost nobody knows; they are not in `cost_usd`.")


class Deployment(BaseModel):
    """How a deployment is doing: the last quarter of an hour, and today."""

    name: str
    kind: str
    model: str
    configured: bool
    enabled: bool
    rests_until: datetime | None = Field(None, description="It is left alone after failures until then.")
    answered_at: datetime | None = Field(None, description="Its last answer.")
    failed_at: datetime | None = Field(None, description="Its last failure.")
    error: str | None = Field(None, description="The code of its last failure.", examples=["model_timeout"])
    answers: int = Field(0, description="In the last 15 minutes, as the failures and the latencies.")
    failures: int = 0
    error_rate: float | None = Field(None, description="Failures by all attempts; null without any.")
    p50_ms: int | None = None
    p95_ms: int | None = None
    p99_ms: int | None = None
    today: Today = Field(default_factory=Today)


def percentiles(latencies: dict[int, int], shares: tuple[float, ...]) -> list[int | None]:
    """Return the upper bounds in milliseconds below which these shares of a histogram lie."""
    total = sum(latencies.values())
    found: list[int | None] = []
    for share in shares:
        left = share * total
        for bucket in sorted(latencies):
            left -= latencies[bucket]
            if left <= 0:
                found.append(BOUNDS_MS[min(bucket, len(BOUNDS_MS) - 1)])
                break
        else:
            found.append(None)
    return found
