"""One call that costs money or touches the world: before it is made, and after."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from runtime.errors import MillraceError

# The kind of a call to the world, and the step of calls that a flow makes outside of any.
TOOL_CALL = "tool"
EMBEDDING = "embedding"
NO_STEP = "flow"


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One call before it is made.

    Args:
        step: in which step of its run.
        n: how many calls of the same fingerprint came before it in the same attempt of the step.
        fingerprint: `request`, hashed, with `kind` and `role`; SHA-256 in hex.
        kind: what is called, e.g. `model`.
        role: in whose name.
        request: its meaning as JSON.
        most_usd: the most that it can cost in US dollars; or why nobody can say, raised where
            a budget applies.
        waits: whether the run waits when a budget has too little left for it. A call that the work can do
            without is refused instead (`over_budget`).
    """

    step: str
    n: int
    fingerprint: str
    kind: str
    role: str
    request: dict[str, Any]
    most_usd: Decimal | MillraceError = Decimal(0)
    waits: bool = True


@dataclass(frozen=True, slots=True)
class Hit:
    """A kept answer that was used again.

    Args:
        how: for the same question, or for one that means the same.
        key: which one, see `contracts.cache.KeptAnswer`.
        saved_usd: what it cost when it was made; none while unknown.
    """

    how: Literal["exact", "semantic"]
    key: str
    saved_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """One finished call.

    Args:
        response: the answer as JSON.
        deployment: the configured deployment that answered.
        model: the model's name as its provider gives it.
        input_tokens: none while unknown, as `output_tokens`.
        output_tokens: as above.
        cost_usd: exact; none while no price is known.
        latency_ms: wall time of the call itself.
        cached: an answer that was kept was used again, so nobody was asked.
        cache_hit: in which way, see `Hit`, as the next two.
        cache_key: as above.
        saved_usd: as above.
    """

    response: dict[str, Any]
    deployment: str
    model: str
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None
    latency_ms: float
    cached: bool | None = None
    cache_hit: str | None = None
    cache_key: str | None = None
    saved_usd: Decimal | None = None
