"""Budgets that begin anew: by the day, by the month, with one alert in each."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from contracts.budgets import BudgetPeriod
from contracts.runs import EventKind
from database.errors import OverBudget
from database.journal.calls import commit_call, reserve_call
from database.queue.events import read_events
from database.spending.budgets import get_budget
from runtime.clock import utcnow
from tests.fixtures.books import ASKED, PAID, books, capped, within, yesterday
from tests.fixtures.made_runs import claimed


async def test_a_period_that_is_over_leaves_the_next_one_its_whole_cap(database):
    run = await claimed(database)
    budget = await capped(database, "0.10", period=BudgetPeriod.DAY)
    here = await within(database, run.id)
    await database.write(reserve_call, run.id, 1, ASKED, here)
    await database.write(commit_call, run.id, 1, ASKED, replace(PAID, cost_usd=Decimal("0.09")), here.budgets)
    with pytest.raises(OverBudget):
        await database.write(reserve_call, run.id, 1, replace(ASKED, n=1), here)
    await yesterday(database, budget.id)
    assert await books(database, budget.id) == (0, 0, Decimal("0.10"))
    await database.write(reserve_call, run.id, 1, replace(ASKED, n=1), here)
    await database.write(commit_call, run.id, 1, replace(ASKED, n=1), PAID, here.budgets)
    assert await books(database, budget.id) == (Decimal("0.04"), 0, Decimal("0.06"))
    async with database.read() as session:
        now = await get_budget(session, "local", budget.id)
        assert now.resets_at == BudgetPeriod.DAY.ends(utcnow())


async def test_a_call_across_midnight_counts_in_the_period_in_which_it_ends(database):
    run = await claimed(database)
    budget = await capped(database, "1", period=BudgetPeriod.MONTH)
    here = await within(database, run.id)
    await database.write(reserve_call, run.id, 1, ASKED, here)
    await yesterday(database, budget.id)
    assert await books(database, budget.id) == (0, Decimal("0.10"), Decimal("0.90"))
    await database.write(commit_call, run.id, 1, ASKED, PAID, here.budgets)
    assert await books(database, budget.id) == (Decimal("0.04"), 0, Decimal("0.96"))


async def test_the_alert_is_told_once_when_80_percent_are_spent(database):
    run = await claimed(database)
    budget = await capped(database, "0.20", period=BudgetPeriod.DAY)
    here = await within(database, run.id)
    told = []
    for n, cost in enumerate(("0.10", "0.06", "0.02")):
        call = replace(ASKED, n=n, most_usd=Decimal(cost))
        await database.write(reserve_call, run.id, 1, call, here)
        paid = replace(PAID, cost_usd=Decimal(cost))
        told.append(await database.write(commit_call, run.id, 1, call, paid, here.budgets))
    assert [[each.id for each in alerts] for alerts in told] == [[], [budget.id], []]
    async with database.read() as session:
        events = [each for each in await read_events(session, run.id) if each.kind is EventKind.BUDGET]
    assert [event.data["spent_usd"] for event in events] == ["0.16"]
    assert UUID(events[0].data["id"]) == budget.id
    await yesterday(database, budget.id)
    await database.write(reserve_call, run.id, 1, replace(ASKED, n=9), here)
    paid = replace(PAID, cost_usd=Decimal("0.16"))
    assert await database.write(commit_call, run.id, 1, replace(ASKED, n=9), paid, here.budgets) != []
