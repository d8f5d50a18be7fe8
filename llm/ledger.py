"""What the door asks of a call ledger; `flows/` binds it to the database.

A finished call is found again under `(run, step, fingerprint, n)`: the run and the attempt are the
ledger's own, the rest is in `CallRequest`. `n` counts identical calls inside one attempt of a step, so
two identical calls get two recorded answers, and a repeated step meets the same answers in the same order.
"""

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from runtime.errors import MillraceError


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One call before it is made. `request` is its meaning as JSON; `fingerprint` is that, hashed."""

    step: str
    n: int
    fingerprint: str
    kind: str
    role: str
    request: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """One finished call. `cost_usd` is exact, none while no price is known; `latency_ms` is wall time."""

    response: dict[str, Any]
    deployment: str
    model: str
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None
    latency_ms: float


class Ledger(Protocol):
    """The journal of one run's calls. Every method is one statement or one short transaction."""

    async def reserve(self, call: CallRequest) -> CallAnswer | None:
        """Return the recorded answer of a finished call, or write that the call is now started."""

    async def commit(self, call: CallRequest, answer: CallAnswer) -> None:
        """Write the answer of a started call."""

    async def fail(self, call: CallRequest, error: MillraceError, latency_ms: float) -> None:
        """Write that a started call ended without an answer."""


@dataclass(slots=True)
class StepCalls:
    """The calls of one attempt of one step: where they are written, and how often each was made."""

    ledger: Ledger
    step: str
    made: Counter[str] = field(default_factory=Counter)
    deployments: set[str] = field(default_factory=set)

    def number(self, fingerprint: str) -> int:
        """Return how many calls of this fingerprint came before, and count this one."""
        n = self.made[fingerprint]
        self.made[fingerprint] += 1
        return n
