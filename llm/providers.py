"""What `config/providers.yaml` may say: deployments, which role asks whom, how long to wait, and how much."""

from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    StringConstraints,
    field_validator,
    model_validator,
)

ROLES: Final = ("chat", "analyst", "judge", "reflector")
OFFLINE: Final = "offline"
# Makes vectors of texts instead of answers, so it is never asked by `default`.
EMBEDDER: Final = "embedder"

# A server of one's own, or a gateway, that speaks OpenAI's chat completions; all other kinds are LiteLLM's.
OPENAI_COMPATIBLE: Final = "openai_compatible"

# Kinds that work without a key: servers of one's own, and clouds with their own chain of credentials.
KEYLESS: Final = frozenset(
    {
        OPENAI_COMPATIBLE,
        "ollama",
        "ollama_chat",
        "hosted_vllm",
        "lm_studio",
        "llamafile",
        "bedrock",
        "vertex_ai",
    }
)

# Of those, the ones that run on a machine of one's own: there LiteLLM's price of zero is meant.
OWN_MACHINE: Final = frozenset({"ollama", "ollama_chat", "hosted_vllm", "lm_studio", "llamafile", "lemonade"})
# They bill each request besides its tokens, by how much they searched.
ASK_A_FEE: Final = frozenset({"perplexity"})

Seconds = Annotated[float, Field(gt=0, le=366 * 86_400, allow_inf_nan=False)]
Usd = Annotated[Decimal, Field(ge=0, decimal_places=4, max_digits=12)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
Feature = Literal["tools", "json_object", "json_schema", "reasoning"]
Role = Literal["chat", "analyst", "judge", "reflector"]
RoleOrEmbedder = Literal["chat", "analyst", "judge", "reflector", "embedder"]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]


class Part(BaseModel):
    """A piece of the file: an unknown word in it is a mistake, not a comment."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Cost(Part):
    """Prices in US dollars per million tokens, with up to four decimals (the ledger keeps ten per call)."""

    input_per_million: Usd
    output_per_million: Usd
    cached_input_per_million: Usd | None = None


class Limits(Part):
    """How much one deployment is asked at most; what is not said is not limited."""

    concurrency: PositiveInt | None = Field(None, description="Calls in flight, in each process.")
    requests_per_minute: PositiveInt | None = Field(None, description="Of all workers together.")
    tokens_per_minute: PositiveInt | None = Field(None, description="In and out, of all workers together.")
    usd_per_day: Usd | None = Field(None, description="Of all workers together, by UTC days.")


class Provider(Part):
    """One deployment: a model at a provider, with the name that you give it."""

    kind: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    model: str = Field(min_length=1, max_length=200)
    base_url: str | None = Field(None, pattern=r"^https?://[^\s@]+$")
    key_name: str | None = Field(None, pattern=r"^[A-Z][A-Z0-9_]*$", max_length=100)
    enabled: bool = True
    roles: tuple[RoleOrEmbedder, ...] = Field(
        (), description="Roles without a line in `routing` that it answers."
    )
    max_tokens: PositiveInt | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    timeout_seconds: Seconds | None = None
    cost: Cost | None = None
    cost_profile: str | None = Field(None, description="The name of prices under `costs`.")
    limits: Limits = Limits()
    supports: tuple[Feature, ...] | None = None
    options: dict[str, str | int | float | bool] = {}


class Choice(Part):
    """Who is asked: `ask` in this order; or `weights`, where chance says who is first."""

    ask: tuple[str, ...] = ()
    weights: dict[str, PositiveInt] = {}

    def names(self) -> tuple[str, ...]:
        """Return all deployments of the choice: in their order, or the heaviest first."""
        return self.ask or tuple(sorted(self.weights, key=lambda name: -self.weights[name]))


class Rule(Choice):
    """A choice for some requests. All of its conditions must hold; at least one stands in it."""

    task: tuple[str, ...] = Field((), description="Names of steps, such as `answer_message`.")
    language: tuple[Language, ...] = Field((), description="Two letters: of the text that is asked.")
    longer_than: NonNegativeInt | None = Field(None, description="Input in tokens, by a rough count.")
    shorter_than: PositiveInt | None = Field(None, description="Input in tokens, by a rough count.")

    @field_validator("task", "language", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class Route(Choice):
    """A role's choice, and before it the rules: the first whose conditions hold decides."""

    when: tuple[Rule, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _list_is_an_order(cls, value: object) -> object:
        return {"ask": value} if isinstance(value, list | tuple) else value


class Policies(Part):
    """How long to wait, and when to leave a failing deployment alone. Times are in seconds."""

    timeout_seconds: Seconds = Field(120, description="A whole answer, or the first piece of a stream.")
    idle_seconds: Seconds = Field(60, description="The longest silence inside a stream.")
    fallbacks: NonNegativeInt | None = Field(None, description="How many others are asked when one fails.")
    allowed_fails: int = Field(2, ge=0, description="Failures within the cooldown time that are borne.")
    cooldown_seconds: Seconds = Field(10, description="How long it is left alone.")
    unbounded_tokens: PositiveInt | None = Field(
        None,
        description="Under a budget, what to set aside for an answer without a known limit; none refuses it.",
    )
    limits: Limits = Field(Limits(), description="For every deployment that does not say it itself.")
    usd_per_day: Usd | None = Field(None, description="Of all deployments together, by UTC days.")


class SemanticPolicy(Part):
    """How a role's answers are used again for questions that mean the same."""

    mode: Literal["shadow", "answer"] = Field("shadow", description="`shadow` only tells what it would do.")
    similarity: float = Field(0.95, ge=0.5, le=1, description="The least cosine of two questions.")
    entries: int = Field(10_000, ge=1, le=100_000, description="Questions per owner that are compared.")
    review_share: float = Field(0.1, ge=0, le=1, description="Of its answers, how many the judge looks at.")
    review_usd_per_day: Usd = Field(Decimal(1), description="What the judge may cost each owner a day.")


class CachePolicy(Part):
    """Which answers are used again: by default those that a model would give again, at temperature 0."""

    semantic: dict[Role, SemanticPolicy] = {}
    exact: dict[Role, Literal["deterministic", "always", "never"]] = {}
    ttl_seconds: Seconds = Field(86_400, description="For how long an answer may be used.")
    megabytes: PositiveInt = Field(256, description="Room for all answers; the longest unused go first.")


class RatedWeights(Part):
    """How far ratings of the arena may move a role's routing: by weights, within bounds, while they hold."""

    kind: str | None = Field(None, max_length=64, description="Of tasks; all kinds, when it is not said.")
    least: PositiveInt = Field(1, description="The smallest weight of a deployment.")
    most: PositiveInt = Field(10, description="The weight of the strongest.")
    games: PositiveInt = Field(30, description="Comparisons that a deployment needs before it is rated.")
    space: str = Field("local", max_length=64, description="Whose arena: `local`, or `project:<id>`.")

    @model_validator(mode="after")
    def _in_order(self) -> "RatedWeights":
        if self.least > self.most:
            raise ValueError("least is more than most")
        return self


class Admin(Part):
    """How the file and the deployments are looked after."""

    reload_seconds: Seconds = Field(2, description="How often a changed file is looked for.")
    probe_seconds: Seconds = Field(60, description="How often a deployment that rests is probed.")
    probe_free: bool = Field(True, description="Probe deployments that cost nothing.")
    probe_paid: bool = Field(False, description="Probe the others too: one token each time.")


class Providers(Part):
    """The whole file."""

    providers: dict[Name, Provider] = {}
    costs: dict[Name, Cost] = {}
    routing: dict[Literal["default", "chat", "analyst", "judge", "reflector", "embedder"], Route] = {}
    policies: Policies = Policies()
    cache: CachePolicy = CachePolicy()
    admin: Admin = Admin()
    arena: dict[Role, RatedWeights] = {}

    def enabled(self) -> dict[str, Provider]:
        """Return the deployments that may be asked."""
        return {name: provider for name, provider in self.providers.items() if provider.enabled}

    def cost_of(self, name: str) -> Cost | None:
        """Return a deployment's configured prices, its profile looked up."""
        provider = self.providers[name]
        return provider.cost or (self.costs[provider.cost_profile] if provider.cost_profile else None)

    def limits_of(self, name: str) -> Limits:
        """Return a deployment's limits; what it does not say itself is what `policies` say."""
        general, own = self.policies.limits, self.providers[name].limits
        return general.model_copy(update=own.model_dump(exclude_none=True))

    def route(self, role: str) -> Route:
        """Return a role's route: its own line, else the deployments that name it, else `default`."""
        routing: dict[str, Route] = {str(name): route for name, route in self.routing.items()}
        if role in routing:
            return routing[role]
        naming = tuple(name for name, provider in self.enabled().items() if role in provider.roles)
        usual = Route() if role == EMBEDDER else routing.get("default", Route())
        return Route(ask=naming) if naming else usual

    def chain(self, role: str) -> tuple[str, ...]:
        """Return all deployments that may answer a role, rules included; `offline` when none is left."""
        route, enabled = self.route(role), self.enabled()
        listed = [*route.names(), *(name for rule in route.when for name in rule.names())]
        return tuple(dict.fromkeys(name for name in listed if name in enabled)) or (OFFLINE,)
