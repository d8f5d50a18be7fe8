"""What `config/providers.yaml` may say: deployments, which role asks whom, and how long to wait."""

from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, StringConstraints

ROLES: Final = ("chat", "analyst", "judge", "reflector")
OFFLINE: Final = "offline"

# Kinds that work without a key: servers of one's own, and clouds with their own chain of credentials.
KEYLESS: Final = frozenset(
    {
        "openai_compatible",
        "ollama",
        "ollama_chat",
        "hosted_vllm",
        "lm_studio",
        "llamafile",
        "bedrock",
        "vertex_ai",
    }
)

Usd = Annotated[Decimal, Field(ge=0, decimal_places=4, max_digits=12)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
Feature = Literal["tools", "json_object", "json_schema", "reasoning"]


class Part(BaseModel):
    """A piece of the file: an unknown word in it is a mistake, not a comment."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Cost(Part):
    """Prices in US dollars per million tokens, with up to four decimals (the ledger keeps ten per call)."""

    input_per_million: Usd
    output_per_million: Usd
    cached_input_per_million: Usd | None = None


class Provider(Part):
    """One deployment: a model at a provider, with the name that you give it."""

    kind: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    model: str = Field(min_length=1, max_length=200)
    base_url: str | None = Field(None, pattern=r"^https?://[^\s@]+$")
    key_env: str | None = Field(None, pattern=r"^[A-Z][A-Z0-9_]*$", max_length=100)
    enabled: bool = True
    max_tokens: PositiveInt | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    cost: Cost | None = None
    supports: tuple[Feature, ...] | None = None
    options: dict[str, str | int | float | bool] = {}


class Policies(Part):
    """How long to wait, and when to leave a failing deployment alone. Times are in seconds."""

    timeout_seconds: PositiveFloat = Field(120, description="A whole answer, or the first piece of a stream.")
    idle_seconds: PositiveFloat = Field(60, description="The longest silence inside a stream.")
    allowed_fails: int = Field(2, ge=0, description="Failures within the cooldown time that are borne.")
    cooldown_seconds: PositiveFloat = Field(10, description="How long it is left alone.")


class Providers(Part):
    """The whole file."""

    providers: dict[Name, Provider] = {}
    routing: dict[Literal["default", "chat", "analyst", "judge", "reflector"], tuple[str, ...]] = {}
    policies: Policies = Policies()

    def enabled(self) -> dict[str, Provider]:
        """Return the deployments that may be asked."""
        return {name: provider for name, provider in self.providers.items() if provider.enabled}

    def chain(self, role: str) -> tuple[str, ...]:
        """Return a role's deployments in the order of asking; `offline` when none is left."""
        routing: dict[str, tuple[str, ...]] = {str(name): listed for name, listed in self.routing.items()}
        listed = routing.get(role, routing.get("default", ()))
        return tuple(name for name in listed if name in self.enabled()) or (OFFLINE,)
