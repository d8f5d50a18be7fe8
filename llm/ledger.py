"""What the door asks of a call ledger; `flows/` binds it to the database.

A finished call is found again under `(run, step, fingerprint, n)`: the run and the attempt are the
ledger's own, the rest is in `CallRequest`. `n` counts identical calls inside one attempt of a step, so
two identical calls get two recorded answers, and a repeated step meets the same answers in the same order.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from contracts.calls import CallAnswer, CallRequest
from llm.stopping import Stop
from runtime.errors import MillraceError


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
    stop: Stop = field(default_factory=Stop)
    # Whose the run is, and the version of the program that thinks: no answer is used again without an owner.
    owner: str | None = None
    program: str | None = None

    def number(self, fingerprint: str) -> int:
        """Return how many calls of this fingerprint came before, and count this one."""
        n = self.made[fingerprint]
        self.made[fingerprint] += 1
        return n
