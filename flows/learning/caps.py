"""Caps of one piece of work, exact to the call; an answer of the ledger counts as it did when it was paid.

What ends here is one piece of work, whose best so far is kept or which is tried again. A whole run that was
called off ends by `llm.stopping.RunStopped`, and one that waits by `flows.durable.parking.Parked`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from contracts.calls import CallAnswer, CallRequest
from llm.ledger import Ledger, StepCalls
from runtime.clock import utcnow
from runtime.errors import MillraceError

CAP_REACHED = "cap_reached"


class Stopped(BaseException):
    """The work is at its cap: optimizers catch every ordinary error, so this is none."""

    def __init__(self, cap: str) -> None:
        super().__init__(cap)
        self.cap = cap


class Interrupted(BaseException):
    """The error that ends a try where an optimizer would count a wrong answer and go on.

    A call has failed that may succeed later, or an answer could not be written.
    """

    def __init__(self, error: MillraceError) -> None:
        super().__init__(error.code)
        self.error = error


@dataclass(slots=True)
class Caps:
    """How much a piece of work may take in all of its steps and attempts.

    Args:
        usd: US dollars; a call whose highest price would pass the cap, or is not known, is not made.
        calls: model calls.
        until: the moment after which no call is made.
        hard: whether to stop with `Stopped`; else with an error, which steps and flows handle as others.
    """

    usd: Decimal | None = None
    calls: int | None = None
    until: datetime | None = None
    hard: bool = False
    made: int = 0
    spent: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    reached: str | None = None

    def guard(self, calls: StepCalls) -> None:
        """Let the calls of a step count here."""
        if not isinstance(calls.ledger, Guarded):
            calls.ledger = Guarded(calls.ledger, self)

    def take(self, call: CallRequest) -> Decimal:
        """Return the most that a call may cost, set aside.

        Raises:
            Stopped: a cap is reached.
            Interrupted: money is capped, and nobody knows what the call may cost.
            MillraceError: `cap_reached`, `price_unknown`, `unbounded_tokens`: the same where not `hard`.
        """
        most = call.most_usd
        if isinstance(most, MillraceError):
            if self.usd is not None:
                raise Interrupted(most) if self.hard else most
            most = Decimal(0)
        if self.calls is not None and self.made >= self.calls:
            self.reached = self.reached or "calls"
        if self.until is not None and utcnow() >= self.until:
            self.reached = self.reached or "minutes"
        if self.usd is not None and self.spent + self.held + most > self.usd:
            self.reached = self.reached or "usd"
        if self.reached and self.hard:
            raise Stopped(self.reached)
        if self.reached:
            raise MillraceError(f"The cap of this run is reached ({self.reached}).", CAP_REACHED)
        self.made += 1
        self.held += most
        return most

    def settle(self, most: Decimal, paid: Decimal | None) -> None:
        """Say what a call did cost in the end."""
        self.held -= most
        self.spent += paid or Decimal(0)


@dataclass(slots=True)
class Guarded:
    """A step's ledger behind caps."""

    ledger: Ledger
    caps: Caps
    open: dict[tuple[str, str, int], Decimal] = field(default_factory=dict)

    async def reserve(self, call: CallRequest) -> CallAnswer | None:
        """Count the call, then do as the ledger does; a recorded answer counts what it did cost."""
        most = self.caps.take(call)
        try:
            answer = await self.ledger.reserve(call)
        except BaseException:
            self.caps.settle(most, None)
            raise
        if answer is not None:
            self.caps.settle(most, answer.cost_usd)
        else:
            self.open[call.step, call.fingerprint, call.n] = most
        return answer

    async def commit(self, call: CallRequest, answer: CallAnswer) -> None:
        """Write the answer, and count what it did cost."""
        self.caps.settle(self.open.pop((call.step, call.fingerprint, call.n), Decimal(0)), answer.cost_usd)
        try:
            await self.ledger.commit(call, answer)
        except MillraceError as error:
            raise (Interrupted(error) if self.caps.hard else error) from None

    async def fail(self, call: CallRequest, error: MillraceError, latency_ms: float) -> None:
        """Write the failure; it cost nothing that anybody knows of."""
        self.caps.settle(self.open.pop((call.step, call.fingerprint, call.n), Decimal(0)), None)
        await self.ledger.fail(call, error, latency_ms)
        if self.caps.hard and error.retryable:
            raise Interrupted(error)
