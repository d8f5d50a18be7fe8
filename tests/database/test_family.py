"""Runs that start runs: an end of one reaches those that wait for it, and those that it started."""

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from contracts.budgets import BudgetPeriod, BudgetScope
from contracts.runs import OnBusy, Origin, RunOptions, RunStatus, Waiting, WaitKind
from database.queue.family import has_ended
from database.queue.leases import claim_runs, finish_run
from database.queue.parking import park_run
from database.queue.runs import get_run, list_runs, request_cancel
from database.spending.budgets import set_budget
from runtime.clock import utcnow
from runtime.errors import Conflict
from tests.fixtures.made_runs import accepted


async def family(database):
    """Return a run that waits for the child that it has started."""
    parent = await accepted(database)
    (claim,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    child = await accepted(database, parent_id=parent.id, origin=Origin.RUN)
    why = Waiting(kind=WaitKind.CHILD, reason="Its child is under way.", about=str(child.id))

    async def until(session) -> bool:
        return await has_ended(session, child.id)

    assert await database.write(park_run, parent.id, claim.attempt, why, until) is RunStatus.WAITING
    return parent, child


async def status_of(database, run) -> RunStatus:
    async with database.read() as session:
        return (await get_run(session, "local", run.id)).status


async def test_the_end_of_a_child_wakes_its_parent(database):
    parent, child = await family(database)
    (claim,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    assert claim.id == child.id
    await database.write(finish_run, child.id, claim.attempt, RunStatus.FAILED)
    assert await status_of(database, parent) is RunStatus.QUEUED


async def test_a_child_that_ended_before_its_parent_could_park_is_not_waited_for(database):
    parent = await accepted(database)
    (claim,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    child = await accepted(database, parent_id=parent.id)
    await database.write(request_cancel, "local", child.id)
    why = Waiting(kind=WaitKind.CHILD, reason="Its child is under way.", about=str(child.id))

    async def until(session) -> bool:
        return await has_ended(session, child.id)

    assert await database.write(park_run, parent.id, claim.attempt, why, until) is RunStatus.QUEUED


async def test_cancelling_a_run_cancels_all_below_it(database):
    parent, child = await family(database)
    grandchild = await accepted(database, parent_id=child.id)
    ended = await accepted(database, parent_id=parent.id)
    await database.write(request_cancel, "local", ended.id)
    await database.write(request_cancel, "local", parent.id)
    for run in (parent, child, grandchild, ended):
        assert await status_of(database, run) is RunStatus.CANCELLED


async def test_the_failure_of_a_run_leaves_what_it_started(database):
    """It may be retried by hand, and then it finds their results."""
    parent = await accepted(database)
    (claim,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    child = await accepted(database, parent_id=parent.id)
    await database.write(finish_run, parent.id, claim.attempt, RunStatus.FAILED)
    assert await status_of(database, child) is RunStatus.ACCEPTED


async def test_a_budget_of_a_child_is_its_own_besides_its_parents(database):
    parent, child = await family(database)
    options = RunOptions(budget_usd=Decimal("0.10"))
    other = await accepted(database, parent_id=parent.id, options=options, idempotency_key="one")
    again = await accepted(database, parent_id=parent.id, options=options, idempotency_key="one")
    assert other.id == again.id
    budget, new = await database.write(
        set_budget,
        "local",
        scope=BudgetScope.RUN,
        subject=other.id,
        period=BudgetPeriod.NONE,
        cap_usd=Decimal("0.20"),
    )
    assert (new, budget.cap_usd, budget.spent_usd) == (False, Decimal("0.20"), 0)
    assert child.id != other.id


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"on_busy": OnBusy.REJECT},
        {"on_busy": OnBusy.INTERRUPT},
        {"start_at": utcnow() + timedelta(hours=1)},
    ],
    ids=["in line", "reject", "interrupt", "later"],
)
async def test_a_child_is_not_started_under_the_key_that_its_family_has(database, how):
    """It would wait for its parent, which waits for it; or call its parent off, and itself with it."""
    grandparent = await accepted(database, options=RunOptions(concurrency_key="k"))
    parent = await accepted(database, parent_id=grandparent.id)
    for above in (grandparent, parent):
        with pytest.raises(Conflict) as caught:
            await accepted(database, parent_id=above.id, options=RunOptions(concurrency_key="k", **how))
        assert caught.value.code == "key_of_parent"
    async with database.read() as session:
        assert len((await list_runs(session, "local")).items) == 2
    assert await status_of(database, grandparent) is RunStatus.ACCEPTED


async def test_a_turn_of_a_chat_is_not_started_by_a_turn_of_the_same_chat(database):
    """Its answer would come between the parent's message and the parent's answer."""
    turn = {"pipeline": "chat_turn", "pool": "interactive"}
    chat, other = str(uuid4()), str(uuid4())
    parent = await accepted(database, **turn, params={"message": "x", "chat_id": chat})
    with pytest.raises(Conflict) as caught:
        await accepted(database, **turn, params={"message": "y", "chat_id": chat}, parent_id=parent.id)
    assert caught.value.code == "key_of_parent"
    elsewhere = {"message": "y", "chat_id": other}
    child = await accepted(database, **turn, params=elsewhere, parent_id=parent.id)
    assert child.concurrency_key == f"chat:{other}"


async def test_a_key_of_a_run_above_that_has_ended_is_free_for_a_child(database):
    grandparent = await accepted(database, options=RunOptions(concurrency_key="k"))
    parent = await accepted(database, parent_id=grandparent.id)
    (claim, *_) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    await database.write(finish_run, claim.id, claim.attempt, RunStatus.FAILED)
    child = await accepted(database, parent_id=parent.id, options=RunOptions(concurrency_key="k"))
    assert await status_of(database, child) is RunStatus.ACCEPTED
