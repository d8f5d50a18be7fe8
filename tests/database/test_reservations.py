"""Budgets before each call: what may be spent is set aside first, and never twice."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
import sqlalchemy as sa

from contracts.budgets import BudgetPeriod, BudgetScope
from contracts.runs import CallStatus, EventKind, RunError, RunOptions, RunStatus
from database.errors import BudgetsChanged, Fenced, OverBudget
from database.journal.calls import commit_call, fail_call, list_calls, reserve_call
from database.queue.events import events_of_kind
from database.queue.leases import claim_runs, finish_run, release_run
from database.spending.budgets import delete_budget, set_budget
from runtime.errors import BadInput
from runtime.ids import new_id
from tests.fixtures.books import ASKED, PAID, books, capped, within
from tests.fixtures.made_runs import ANSWER, CALL, accepted, claimed

ERROR = RunError(code="model_timeout", message="No answer.", retryable=True)


async def next_attempt(database, run):
    await database.write(release_run, run.id, run.attempt)
    (run,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    return run


async def test_the_most_that_a_call_can_cost_is_reserved_and_its_exact_cost_takes_the_place(database):
    run = await claimed(database)
    budget = await capped(database, "1.00")
    here = await within(database, run.id)
    assert here.budgets == (budget.id,)
    await database.write(reserve_call, run.id, 1, ASKED, here)
    assert await books(database, budget.id) == (0, Decimal("0.10"), Decimal("0.90"))
    await database.write(commit_call, run.id, 1, ASKED, PAID, here.budgets)
    assert await books(database, budget.id) == (Decimal("0.04"), 0, Decimal("0.96"))


async def test_fifty_calls_at_once_never_spend_more_than_the_cap(database):
    """Each sees what all others have set aside, whatever the order; what does not fit writes nothing."""
    run = await claimed(database)
    budget = await capped(database, "1.00", BudgetScope.RUN, run.id)
    owners = await capped(database, "1.25")
    here = await within(database, run.id)
    assert set(here.budgets) == {budget.id, owners.id}
    refused = []

    async def call(n: int) -> None:
        asked = replace(ASKED, n=n)
        try:
            await database.write(reserve_call, run.id, 1, asked, here)
        except OverBudget:
            refused.append(n)

    await asyncio.gather(*(call(n) for n in range(50)))
    assert len(refused) == 40
    assert await books(database, budget.id) == (0, Decimal("1.00"), 0)
    assert await books(database, owners.id) == (0, Decimal("1.00"), Decimal("0.25"))
    started = await calls_of(database, run.id)
    assert len(started) == 10
    await asyncio.gather(
        *(
            database.write(commit_call, run.id, 1, replace(ASKED, n=one.n), PAID, here.budgets)
            for one in started
        )
    )
    assert await books(database, budget.id) == (Decimal("0.40"), 0, Decimal("0.60"))
    assert await books(database, owners.id) == (Decimal("0.40"), 0, Decimal("0.85"))


async def test_many_runs_at_once_under_many_budgets_keep_exact_books(database):
    """Locks are taken in one order: no run starves, and the sums agree with the ledger to the last digit."""
    runs = [await claimed(database) for _ in range(8)]
    owners = await capped(database, "0.85")
    own = {run.id: await capped(database, "0.20", BudgetScope.RUN, run.id) for run in runs}

    async def work(run) -> int:
        here, made = await within(database, run.id), 0
        for n in range(6):
            try:
                await database.write(reserve_call, run.id, 1, replace(ASKED, n=n), here)
            except OverBudget:
                continue
            await database.write(commit_call, run.id, 1, replace(ASKED, n=n), PAID, here.budgets)
            made += 1
        return made

    made = await asyncio.gather(*(work(run) for run in runs))
    spent, reserved, _left = await books(database, owners.id)
    assert (spent, reserved) == (sum(made) * PAID.cost_usd, 0)
    assert spent <= Decimal("0.85")
    for run, calls in zip(runs, made, strict=True):
        assert (await books(database, own[run.id].id))[:2] == (calls * PAID.cost_usd, 0)
        assert calls <= 3


async def test_a_failed_call_gives_its_reservation_back(database):
    run = await claimed(database)
    budget = await capped(database, "1")
    here = await within(database, run.id)
    await database.write(reserve_call, run.id, 1, ASKED, here)
    await database.write(fail_call, run.id, 1, ASKED, ERROR, 3.0, here.budgets)
    assert await books(database, budget.id) == (0, 0, 1)
    await database.write(reserve_call, run.id, 1, ASKED, here)
    assert await books(database, budget.id) == (0, Decimal("0.10"), Decimal("0.90"))


async def test_a_failure_that_is_said_twice_gives_its_reservation_back_once(database):
    """The connection broke during its commit: given back twice, others could spend more than the cap."""
    run, other = await claimed(database), replace(ASKED, step="answer#2")
    budget = await capped(database, "1")
    here = await within(database, run.id)
    for call in (ASKED, other):
        await database.write(reserve_call, run.id, 1, call, here)
    for _ in range(2):
        await database.write(fail_call, run.id, 1, ASKED, ERROR, 3.0, here.budgets)
    assert await books(database, budget.id) == (0, Decimal("0.10"), Decimal("0.90"))


async def test_an_answer_after_the_failure_of_its_step_gives_nothing_back_again(database):
    """A try that its step had given up on failed, and the next one of the same call was answered."""
    run = await claimed(database)
    budget = await capped(database, "1")
    here = await within(database, run.id)
    await database.write(reserve_call, run.id, 1, ASKED, here)
    await database.write(fail_call, run.id, 1, ASKED, ERROR, 3.0, here.budgets)
    await database.write(commit_call, run.id, 1, ASKED, PAID, here.budgets)
    assert await books(database, budget.id) == (PAID.cost_usd, 0, 1 - PAID.cost_usd)


async def test_a_call_in_flight_at_a_crash_stays_reserved_until_it_is_asked_again(database):
    """It may have been billed; nobody knows. The next attempt's reservation takes its place."""
    run = await claimed(database)
    budget = await capped(database, "0.15")
    here = await within(database, run.id)
    await database.write(reserve_call, run.id, 1, ASKED, here)
    run = await next_attempt(database, run)
    assert (await books(database, budget.id))[1] == Decimal("0.10")
    with pytest.raises(OverBudget):
        await database.write(reserve_call, run.id, 2, replace(ASKED, n=1), here)
    await database.write(reserve_call, run.id, 2, ASKED, here)
    assert (await books(database, budget.id))[1] == Decimal("0.10")
    await database.write(commit_call, run.id, 2, ASKED, PAID, here.budgets)
    assert await books(database, budget.id) == (Decimal("0.04"), 0, Decimal("0.11"))


async def test_what_a_run_leaves_reserved_is_free_after_its_end(database):
    run = await claimed(database)
    budget = await capped(database, "1")
    here = await within(database, run.id)
    await database.write(reserve_call, run.id, 1, ASKED, here)
    await database.write(finish_run, run.id, 1, RunStatus.FAILED)
    assert await books(database, budget.id) == (0, 0, 1)


async def test_a_call_that_is_asked_while_its_run_ends_leaves_nothing_reserved(database):
    """It had seen the run alive, waited for the end's locks, and set money aside that nobody gave back."""
    run = await claimed(database)
    budget = await capped(database, "1")
    here = await within(database, run.id)
    await database.write(reserve_call, run.id, 1, ASKED, here)
    ending = asyncio.Event()

    async def end(session) -> None:
        await finish_run(session, run.id, 1, RunStatus.FAILED)
        ending.set()
        await asyncio.sleep(0.3)

    async def ask() -> None:
        await ending.wait()
        with pytest.raises(Fenced):
            await database.write(reserve_call, run.id, 1, ASKED, here)

    await asyncio.gather(database.write(end), ask())
    assert await books(database, budget.id) == (0, 0, 1)


async def test_the_alert_of_an_answer_that_comes_after_the_end_of_its_run_is_told(database):
    """The log took nothing from an attempt that was over, and the only word of 80 % was in a worker's log."""
    run = await claimed(database)
    await capped(database, "0.05")
    here = await within(database, run.id)
    asked = replace(ASKED, most_usd=Decimal("0.05"))
    await database.write(reserve_call, run.id, 1, asked, here)
    await database.write(finish_run, run.id, 1, RunStatus.CANCELLED)
    assert await database.write(commit_call, run.id, 1, asked, PAID, here.budgets)
    async with database.read() as session:
        (alert,) = await events_of_kind(session, run.id, EventKind.BUDGET)
    assert alert.data["spent_usd"] == "0.04"


async def test_an_answer_that_comes_after_the_end_of_its_run_is_still_counted_once(database):
    """The money is gone, whatever became of the run; the reservation was given back before."""
    run = await claimed(database)
    budget = await capped(database, "1")
    here = await within(database, run.id)
    await database.write(reserve_call, run.id, 1, ASKED, here)
    await database.write(finish_run, run.id, 1, RunStatus.CANCELLED)
    for _ in range(2):
        await database.write(commit_call, run.id, 1, ASKED, PAID, here.budgets)
    assert await books(database, budget.id) == (Decimal("0.04"), 0, Decimal("0.96"))


async def test_an_answer_that_is_said_twice_is_counted_once(database):
    run = await claimed(database)
    budget = await capped(database, "1")
    here = await within(database, run.id)
    await database.write(reserve_call, run.id, 1, ASKED, here)
    for _ in range(2):
        await database.write(commit_call, run.id, 1, ASKED, PAID, here.budgets)
    assert await books(database, budget.id) == (Decimal("0.04"), 0, Decimal("0.96"))


async def test_an_attempt_that_is_over_takes_nothing_from_a_budget(database):
    run = await claimed(database)
    budget = await capped(database, "1")
    here = await within(database, run.id)
    await next_attempt(database, run)
    with pytest.raises(Fenced):
        await database.write(reserve_call, run.id, 1, ASKED, here)
    assert await books(database, budget.id) == (0, 0, 1)


async def test_a_replay_reserves_nothing_even_where_nothing_is_left(database):
    run = await claimed(database)
    budget = await capped(database, "0.10")
    here = await within(database, run.id)
    await database.write(reserve_call, run.id, 1, ASKED, here)
    await database.write(commit_call, run.id, 1, ASKED, PAID, here.budgets)
    run = await next_attempt(database, run)
    assert await database.write(reserve_call, run.id, 2, ASKED, here) == PAID
    assert await books(database, budget.id) == (Decimal("0.04"), 0, Decimal("0.06"))


async def test_an_answer_without_a_price_counts_as_what_was_reserved(database):
    """Unknown is not free."""
    run = await claimed(database)
    budget = await capped(database, "1")
    here = await within(database, run.id)
    await database.write(reserve_call, run.id, 1, ASKED, here)
    await database.write(commit_call, run.id, 1, ASKED, replace(ANSWER, cost_usd=None), here.budgets)
    assert await books(database, budget.id) == (Decimal("0.10"), 0, Decimal("0.90"))


async def test_a_call_that_nobody_can_bound_is_refused_only_where_a_budget_applies(database):
    run = await claimed(database)
    asked = replace(CALL, most_usd=BadInput("no price", code="price_unknown"))
    free = await within(database, run.id)
    assert await database.write(reserve_call, run.id, 1, asked, free) is None
    await capped(database, "1")
    with pytest.raises(BadInput) as refused:
        await database.write(reserve_call, run.id, 1, replace(asked, n=1), await within(database, run.id))
    assert refused.value.code == "price_unknown"
    assert [one.n for one in await calls_of(database, run.id)] == [0]


async def test_a_budget_that_is_set_while_a_run_is_under_way_holds_for_its_next_call(database):
    run = await claimed(database)
    before = await within(database, run.id)
    budget = await capped(database, "1")
    with pytest.raises(BudgetsChanged) as changed:
        await database.write(reserve_call, run.id, 1, ASKED, before)
    assert changed.value.budgets == (budget.id,)
    assert await calls_of(database, run.id) == []
    now = replace(before, budgets=changed.value.budgets)
    await database.write(reserve_call, run.id, 1, ASKED, now)
    await database.write(delete_budget, "local", budget.id)
    await database.write(commit_call, run.id, 1, ASKED, PAID, now.budgets)
    with pytest.raises(BudgetsChanged) as changed:
        await database.write(reserve_call, run.id, 1, replace(ASKED, n=1), now)
    assert changed.value.budgets == ()


async def test_somebody_elses_budget_counts_nothing_here(database):
    run = await claimed(database)
    await database.write(
        set_budget,
        "someone",
        scope=BudgetScope.RUN,
        subject=run.id,
        period=BudgetPeriod.NONE,
        cap_usd=Decimal(0),
    )
    here = await within(database, run.id)
    assert here.budgets == ()
    assert await database.write(reserve_call, run.id, 1, ASKED, here) is None


async def test_a_run_counts_for_its_chat_and_for_the_runs_above_it(database):
    chat = new_id()
    top = await accepted(database)
    middle = await accepted(database, parent_id=top.id)
    turn = {"message": "Hello", "chat_id": str(chat)}
    run = await accepted(database, parent_id=middle.id, pipeline="chat_turn", params=turn)
    agent = new_id()
    for subject, scope in ((top.id, "run"), (middle.id, "run"), (chat, "chat"), (agent, "agent")):
        await capped(database, "1", BudgetScope(scope), subject)
    assert len((await within(database, run.id)).budgets) == 3
    assert len((await within(database, top.id)).budgets) == 1


async def test_the_cap_of_an_agent_binds_all_runs_in_its_name(database):
    """Nothing said in whose name a run was, so these budgets counted nothing."""
    agent, another = new_id(), new_id()
    budget = await capped(database, "0.15", BudgetScope.AGENT, agent)
    first = await accepted(database, options=RunOptions(agent_id=agent))
    second = await accepted(database, options=RunOptions(agent_id=agent))
    child = await accepted(database, parent_id=second.id)
    stranger = await accepted(database, options=RunOptions(agent_id=another))
    assert (first.agent_id, child.agent_id, stranger.agent_id) == (agent, agent, another)
    await database.write(claim_runs, pool="batch", worker="w", limit=4, lease_seconds=15)
    await database.write(reserve_call, first.id, 1, ASKED, await within(database, first.id))
    for run in (second, child):
        with pytest.raises(OverBudget):
            await database.write(reserve_call, run.id, 1, ASKED, await within(database, run.id))
    assert (await within(database, stranger.id)).budgets == ()
    paid_from = (await within(database, first.id)).budgets
    await database.write(commit_call, first.id, 1, ASKED, PAID, paid_from)
    await database.write(reserve_call, child.id, 1, ASKED, await within(database, child.id))
    assert await books(database, budget.id) == (Decimal("0.04"), Decimal("0.10"), Decimal("0.01"))
    later = await capped(database, "9", BudgetScope.AGENT, agent, BudgetPeriod.DAY)
    assert later.spent_usd == Decimal("0.04")


async def test_without_a_budget_the_ledger_takes_its_two_statements_and_with_one_six(database):
    if database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite takes a few more; they cost no round trip")
    run = await claimed(database)
    here = await within(database, run.id)
    assert await statements(database, run, replace(ASKED, n=0), here) == ["INSERT", "UPDATE"]
    await capped(database, "1")
    await capped(database, "1", BudgetScope.RUN, run.id)
    here = await within(database, run.id)
    taken = await statements(database, run, replace(ASKED, n=1), here)
    assert taken == ["SELECT", "INSERT", "UPDATE", "UPDATE", "UPDATE", "UPDATE"]


async def statements(database, run, call, here) -> list[str]:
    seen: list[str] = []

    def count(_connection, _cursor, statement, *_rest) -> None:
        seen.append(statement.split()[0])

    sa.event.listen(database.engine.sync_engine, "before_cursor_execute", count)
    await database.write(reserve_call, run.id, 1, call, here)
    await database.write(commit_call, run.id, 1, call, PAID, here.budgets)
    sa.event.remove(database.engine.sync_engine, "before_cursor_execute", count)
    return seen


async def calls_of(database, run_id):
    async with database.read() as session:
        page = await list_calls(session, "local", run_id)
    items = getattr(page, "items", page)
    assert all(one.status in set(CallStatus) for one in items)
    return items
