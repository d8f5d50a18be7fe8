"""The money of a run under way: its budgets as last known, and which of its calls hold some of them."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from contracts.budgets import Budget, BudgetPeriod
from contracts.calls import CallAnswer, CallRequest
from contracts.runs import Waiting, WaitKind
from database.engine import ReadSession
from database.errors import BudgetsChanged, OverBudget
from database.journal.joint_calls import RESERVING, Asked
from database.patience import outlast
from database.spending.budgets import too_small
from database.spending.reservations import Within, known_budgets
from database.spending.subjects import subjects_of
from runtime.clock import utcnow

if TYPE_CHECKING:
    from flows.durable.run import Run

# What others have reserved comes back in parts when their calls end: so long a call waits for it in place.
PATIENCE_SECONDS = 10.0
# A run does not leave while calls of its own are in flight: their answers would be paid and thrown away. But
# one whose step was stopped never ends, so not for ever.
OWN_CALLS_SECONDS = 120.0
# After that it lets its worker go, and looks again so much later.
SETTLING_SECONDS = 15.0
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0

_Key = tuple[str, str, int]


@dataclass(slots=True)
class Purse:
    """What one attempt of a run knows about its money.

    Args:
        within: its budgets; none before its first call that can cost anything.
        held: its calls in flight that can cost something, and the budgets under which each is reserved.
    """

    within: Within | None = None
    held: dict[_Key, tuple[UUID, ...]] = field(default_factory=dict)

    def let_go(self, call: CallRequest) -> tuple[UUID, ...]:
        """Return the budgets under which a call that ends now is reserved."""
        return self.held.pop(_key(call), ())


async def reserve_within(run: "Run", call: CallRequest) -> CallAnswer | None:
    """Return the recorded answer of a call, or write that it is started, as soon as there is money for it.

    Raises:
        Parked: there is none, and only somebody else or the next period can change that.
        OverBudget: there is none, and the call says that it does not wait.
    """
    if call.most_usd == 0:
        return await run.record_jointly(RESERVING, Asked(run.id, run.attempt, call))
    within, began = await _known(run), time.monotonic()
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            answer = await run.record_jointly(RESERVING, Asked(run.id, run.attempt, call, within))
        except BudgetsChanged as changed:
            run.purse.within = within = replace(within, budgets=changed.budgets)
            continue
        except OverBudget as over:
            if not call.waits:
                raise
            await _money_for(run, over, time.monotonic() - began, pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            within = await _known(run)
            continue
        if answer is None:
            run.purse.held[_key(call)] = within.budgets
        return answer


async def _known(run: "Run") -> Within:
    if run.purse.within is None:

        async def looked_up() -> Within:
            async with run.database.read() as session:
                subjects = await subjects_of(session, run.id)
                return Within(subjects, await known_budgets(session, subjects))

        run.purse.within = await outlast(looked_up)
    return run.purse.within


async def _money_for(run: "Run", over: OverBudget, waited: float, pause: float) -> None:
    """Return when it is worth asking again.

    Raises:
        Parked: the run waits for its cap to be raised, or for the next period.
    """

    async def looked() -> list[Budget]:
        async with run.database.read() as session:
            return await too_small(session, over.budgets, over.usd)

    found = await outlast(looked)
    if not found:
        return
    settles = all(each.spent_usd + over.usd <= each.cap_usd for each in found)
    if (settles and waited < PATIENCE_SECONDS) or (run.purse.held and waited < OWN_CALLS_SECONDS):
        await asyncio.sleep(pause)
        return

    async def enough(session: ReadSession) -> bool:
        return not await too_small(session, over.budgets, over.usd, hold=True)

    await run.waiting_for(waiting_for_money(found, over.usd, settles=settles), enough)


def waiting_for_money(found: Sequence[Budget], usd: Decimal, *, settles: bool) -> Waiting:
    """Return why a run waits whose next call can cost `usd`, and when it looks again by itself.

    `settles`: only what is reserved for calls under way is in the way, and some of it will come back.
    """
    budget, turns = found[0], [each.resets_at for each in found if each.resets_at is not None]
    wake_at: datetime | None = None
    whose = budget.scope if budget.period is BudgetPeriod.NONE else f"{budget.period}'s {budget.scope}"
    if settles:
        wake_at = utcnow() + timedelta(seconds=SETTLING_SECONDS)
    elif len(turns) == len(found):
        wake_at = max(turns)
    return Waiting(
        kind=WaitKind.BUDGET,
        reason=f"The {whose} budget has {money(budget.left_usd)} of {money(budget.cap_usd)} US dollars left,"
        f" and the next call can cost {money(usd)}. Raise the cap to go on.",
        about=str(budget.id),
        wake_at=wake_at,
    )


def money(usd: Decimal) -> str:
    """Return US dollars as text without an exponent, because JSON numbers would round them."""
    return format(usd, "f")


def _key(call: CallRequest) -> _Key:
    return call.step, call.fingerprint, call.n
