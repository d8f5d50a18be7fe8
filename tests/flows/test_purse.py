"""A run and its money: it asks before it spends, waits in place for what comes back, parks for the rest."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

import pytest

from contracts.budgets import Budget, BudgetPeriod, BudgetScope
from contracts.calls import CallRequest
from contracts.runs import RunStatus, WaitKind
from database.engine import Database
from database.queue.parking import park_run
from database.spending.budgets import delete_budget, get_budget, set_budget
from database.spending.caps import set_cap
from flows.durable.event_log import EventLog
from flows.durable.journal import Journal
from flows.durable.parking import Parked
from flows.durable.run import Run
from llm.errors import ModelTimeout
from runtime.clock import utcnow
from runtime.errors import BadInput
from tests.fixtures.made_runs import ANSWER, CALL, claimed

ASKED = replace(CALL, most_usd=Decimal("0.10"))
PAID = replace(ANSWER, cost_usd=Decimal("0.04"))


@pytest.fixture
async def run(database: Database) -> AsyncIterator[Run]:
    """A run that has been claimed; it makes no call of a model."""
    made = await claimed(database)
    events = EventLog(database)
    yield Run(
        made.id,
        made.attempt,
        made.owner,
        made.pipeline,
        database,
        cast("Any", None),
        events,
        cast("Any", None),
    )
    await events.close()


async def capped(run: Run, usd: str, period: BudgetPeriod = BudgetPeriod.NONE) -> Budget:
    subject = {"scope": BudgetScope.RUN, "subject": run.id}
    budget, _new = await run.database.write(set_cap, "local", **subject, period=period, cap_usd=Decimal(usd))
    return budget


async def now(run: Run, budget: Budget) -> Budget:
    async with run.database.read() as session:
        return await get_budget(session, "local", budget.id)


def numbered(n: int) -> CallRequest:
    return replace(ASKED, n=n)


async def test_a_cap_that_is_set_between_two_calls_holds_for_the_second(run: Run):
    journal = Journal(run)
    await journal.reserve(numbered(0))
    await journal.commit(numbered(0), PAID)
    budget = await capped(run, "0.10")
    with pytest.raises(Parked) as parked:
        await journal.reserve(numbered(1))
    assert parked.value.waiting.kind is WaitKind.BUDGET
    assert parked.value.waiting.about == str(budget.id)
    assert parked.value.waiting.reason == (
        "The run budget has 0.06 of 0.1 US dollars left, and the next call can cost 0.10."
        " Raise the cap to go on."
    )
    assert parked.value.waiting.wake_at is None


async def test_a_cap_that_is_removed_between_two_calls_holds_no_more(run: Run):
    journal, budget = Journal(run), await capped(run, "0.10")
    await journal.reserve(numbered(0))
    await journal.commit(numbered(0), PAID)
    await run.database.write(delete_budget, "local", budget.id)
    assert await journal.reserve(numbered(1)) is None


async def test_parallel_calls_wait_in_place_for_what_the_others_give_back(run: Run):
    """Each could cost half of the cap and costs a fifth of it: all four fit, two at a time at most."""
    journal, budget = Journal(run), await capped(run, "0.25")
    under_way, most = 0, 0

    async def call(n: int) -> None:
        nonlocal under_way, most
        await journal.reserve(numbered(n))
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        await journal.commit(numbered(n), PAID)

    await asyncio.gather(*(call(n) for n in range(4)))
    assert most <= 2
    assert (await now(run, budget)).spent_usd == Decimal("0.16")


async def test_a_run_does_not_park_while_a_call_of_its_own_is_in_flight(run: Run):
    """Parking cancels what is in flight: it would be paid, and thrown away."""
    journal = Journal(run)
    await capped(run, "0.15")
    await journal.reserve(numbered(0))
    second = asyncio.create_task(journal.reserve(numbered(1)))
    await asyncio.sleep(0.2)
    assert not second.done()
    await journal.commit(numbered(0), replace(PAID, cost_usd=Decimal("0.09")))
    with pytest.raises(Parked):
        await second


async def test_a_failed_call_leaves_its_money_to_the_next(run: Run):
    journal, budget = Journal(run), await capped(run, "0.10")
    await journal.reserve(numbered(0))
    await journal.fail(numbered(0), ModelTimeout("no answer"), 5.0)
    assert await journal.reserve(numbered(1)) is None
    assert (await now(run, budget)).reserved_usd == Decimal("0.10")


async def test_the_next_period_wakes_a_run_that_waits_for_it(run: Run):
    journal = Journal(run)
    budget = await capped(run, "0.05", BudgetPeriod.DAY)
    with pytest.raises(Parked) as parked:
        await journal.reserve(ASKED)
    assert parked.value.waiting.wake_at == BudgetPeriod.DAY.ends(utcnow())
    assert (await now(run, budget)).reserved_usd == 0


async def test_a_cap_that_is_raised_while_the_run_is_parking_lets_it_go_on_at_once(run: Run):
    """Else it would wait for a raise that has come already."""
    await capped(run, "0.05")
    with pytest.raises(Parked) as parked:
        await Journal(run).reserve(ASKED)
    await capped(run, "1")
    why = parked.value
    left = await run.database.write(park_run, run.id, run.attempt, why.waiting, why.until)
    assert left is RunStatus.QUEUED


async def test_a_free_call_never_looks_at_a_budget(run: Run):
    await capped(run, "0")
    assert await Journal(run).reserve(CALL) is None
    assert run.purse.within is None


async def test_a_call_that_nobody_can_bound_says_so(run: Run):
    asked = replace(ASKED, most_usd=BadInput("no price", code="price_unknown"))
    assert await Journal(run).reserve(asked) is None
    await run.database.write(
        set_budget,
        "local",
        scope=BudgetScope.OWNER,
        subject=None,
        period=BudgetPeriod.MONTH,
        cap_usd=Decimal(100),
    )
    with pytest.raises(BadInput) as refused:
        await Journal(run).reserve(replace(asked, n=1))
    assert refused.value.code == "price_unknown"
