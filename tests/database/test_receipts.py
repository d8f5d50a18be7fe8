"""A run's receipt adds up, whatever happened to it."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from contracts.approvals import ApprovalStatus, Asking, Decision
from contracts.budgets import BudgetPeriod, BudgetScope
from contracts.receipts import AttemptEnd
from contracts.runs import RunError, RunStatus, Waiting, WaitKind
from database.journal.calls import commit_call, fail_call, reserve_call
from database.journal.receipts import receipt_of
from database.queue.again import fork_run
from database.queue.approvals import ask, decide
from database.queue.attempts import attempts_in
from database.queue.leases import claim_runs, finish_run, mark_running, release_run, unclaim_run
from database.queue.parking import park_run, wake_run
from database.queue.reaper import reap_expired
from database.spending.budgets import set_budget
from database.spending.reservations import Within, known_budgets
from database.spending.subjects import subjects_of
from runtime.clock import utcnow
from runtime.errors import MillraceError, NotFound
from tests.fixtures.deciders import decider
from tests.fixtures.made_runs import ANSWER, CALL, PARAMS, accepted, claimed

MOST = Decimal("0.01")
PRICED = replace(CALL, most_usd=MOST)


async def receipt(database, run, owner="local"):
    async with database.read() as session:
        return await receipt_of(session, owner, run.id)


async def answered(database, run, call=PRICED, answer=ANSWER):
    if await database.write(reserve_call, run.id, run.attempt, call) is None:
        await database.write(commit_call, run.id, run.attempt, call, answer)


async def claim(database, worker="worker-2"):
    (run,) = await database.write(claim_runs, pool="batch", worker=worker, limit=1, lease_seconds=15)
    return run


async def test_a_run_that_went_well_paid_each_call_once(database):
    run = await claimed(database)
    await database.write(mark_running, run.id, 1)
    for n in range(3):
        await answered(database, run, replace(PRICED, n=n))
    await database.write(finish_run, run.id, 1, RunStatus.SUCCEEDED, {"answer": "x"})
    found = await receipt(database, run)
    assert (found.status, found.calls.sent, found.calls.answered) == (RunStatus.SUCCEEDED, 3, 3)
    assert (found.calls.replayed, found.calls.lost, found.calls.failed, found.calls.in_flight) == (0, 0, 0, 0)
    assert (found.money.spent_usd, found.money.saved_usd) == (3 * ANSWER.cost_usd, 0)
    assert (found.money.lost_at_most_usd, found.money.unpriced, found.seconds_saved) == (0, 0, 0)
    (only,) = found.attempts
    assert (only.number, only.worker, only.ended) == (1, "worker-1", AttemptEnd.SUCCEEDED)
    assert only.claimed_at <= only.began_at <= only.ended_at


async def test_a_killed_worker_shows_as_an_attempt_and_its_call_in_flight_as_lost(database):
    run = await claimed(database, lease_seconds=0.05)
    await database.write(mark_running, run.id, 1)
    await answered(database, run)
    await database.write(reserve_call, run.id, 1, replace(PRICED, n=1))
    await asyncio.sleep(0.1)
    await database.write(reap_expired)
    run = await claim(database)
    await database.write(mark_running, run.id, 2)
    await answered(database, run)
    await answered(database, run, replace(PRICED, n=1))
    await database.write(finish_run, run.id, 2, RunStatus.SUCCEEDED)
    found = await receipt(database, run)
    assert [(each.number, each.worker, each.ended) for each in found.attempts] == [
        (1, "worker-1", AttemptEnd.WORKER_LOST),
        (2, "worker-2", AttemptEnd.SUCCEEDED),
    ]
    assert (found.calls.sent, found.calls.answered, found.calls.replayed, found.calls.lost) == (3, 2, 1, 1)
    assert (found.money.spent_usd, found.money.saved_usd) == (2 * ANSWER.cost_usd, ANSWER.cost_usd)
    assert found.money.lost_at_most_usd == MOST
    assert found.seconds_saved == pytest.approx(ANSWER.latency_ms / 1000, abs=0.001)


async def test_a_call_in_flight_at_the_very_end_is_lost_and_before_it_under_way(database):
    run = await claimed(database)
    await database.write(mark_running, run.id, 1)
    await database.write(reserve_call, run.id, 1, PRICED)
    found = await receipt(database, run)
    assert (found.calls.in_flight, found.calls.lost, found.money.lost_at_most_usd) == (1, 0, 0)
    await database.write(finish_run, run.id, 1, RunStatus.CANCELLED)
    found = await receipt(database, run)
    assert (found.calls.in_flight, found.calls.lost, found.money.lost_at_most_usd) == (0, 1, MOST)


async def test_a_lost_call_that_nobody_can_price_makes_the_upper_bound_unknown(database):
    """Nothing is no bound: the receipt says that it does not know."""
    run = await claimed(database)
    unknown = replace(CALL, n=1, most_usd=MillraceError("no price", code="unknown_price"))
    await database.write(reserve_call, run.id, 1, PRICED)
    await database.write(reserve_call, run.id, 1, unknown)
    await database.write(finish_run, run.id, 1, RunStatus.CANCELLED)
    found = await receipt(database, run)
    assert (found.calls.lost, found.money.lost_at_most_usd) == (2, None)


async def test_an_answer_of_unknown_cost_is_counted_and_not_taken_for_free(database):
    run = await claimed(database)
    await answered(database, run, answer=replace(ANSWER, cost_usd=None))
    await database.write(reserve_call, run.id, 1, PRICED)
    found = await receipt(database, run)
    assert (found.money.spent_usd, found.money.saved_usd, found.money.unpriced) == (0, 0, 1)
    assert found.calls.replayed == 1


async def test_a_call_to_the_world_has_no_price_to_miss(database):
    run = await claimed(database)
    await answered(database, run, replace(CALL, kind="tool"), replace(ANSWER, cost_usd=None))
    assert (await receipt(database, run)).money.unpriced == 0


async def test_what_is_set_aside_for_a_call_under_way_is_told_and_given_back_at_the_end(database):
    run = await claimed(database)
    await database.write(
        set_budget,
        "local",
        scope=BudgetScope.RUN,
        subject=run.id,
        period=BudgetPeriod.NONE,
        cap_usd=Decimal(1),
    )
    async with database.read() as session:
        subjects = await subjects_of(session, run.id)
        within = Within(subjects, await known_budgets(session, subjects))
    await database.write(reserve_call, run.id, 1, PRICED, within)
    assert (await receipt(database, run)).money.reserved_usd == MOST
    await database.write(finish_run, run.id, 1, RunStatus.CANCELLED)
    found = await receipt(database, run)
    assert (found.money.reserved_usd, found.money.lost_at_most_usd) == (0, MOST)


async def test_a_failed_call_is_told(database):
    run = await claimed(database)
    await database.write(reserve_call, run.id, 1, PRICED)
    await database.write(fail_call, run.id, 1, PRICED, RunError(code="x", message="y"), 1.0)
    found = await receipt(database, run)
    assert (found.calls.sent, found.calls.failed, found.calls.lost) == (1, 1, 0)


async def test_a_program_that_changed_between_attempts_is_on_the_receipt(database):
    run = await claimed(database)
    await answered(database, run)
    await database.write(release_run, run.id, 1)
    run = await claim(database)
    await answered(database, run, replace(PRICED, fingerprint="b" * 64))
    await database.write(finish_run, run.id, 2, RunStatus.SUCCEEDED)
    found = await receipt(database, run)
    assert (found.calls.changed, found.calls.left_behind, found.changed_steps) == (1, 1, ["answer"])
    assert found.money.spent_usd == 2 * ANSWER.cost_usd


async def test_attempts_that_waited_or_were_given_back_say_so(database):
    run = await claimed(database)
    await database.write(mark_running, run.id, 1)
    waiting = Waiting(kind=WaitKind.PERSON, reason="the release needs a yes")
    await database.write(park_run, run.id, 1, waiting)
    await database.write(wake_run, run.id)
    run = await claim(database)
    await database.write(release_run, run.id, 2)
    run = await claim(database)
    await database.write(unclaim_run, run.id, 3, 0)
    run = await claim(database, "worker-3")
    found = await receipt(database, run)
    assert [(each.number, each.worker, each.ended, each.waited_for) for each in found.attempts] == [
        (1, "worker-1", AttemptEnd.WAITING, "the release needs a yes"),
        (2, "worker-2", AttemptEnd.GIVEN_BACK, None),
        (3, "worker-2", AttemptEnd.GIVEN_BACK, None),
        (4, "worker-3", None, None),
    ]
    assert found.attempts[1].began_at is None


async def test_a_fork_tells_what_it_took_over_and_a_fork_of_it_still_knows_the_price(database):
    run = await claimed(database)
    for n in range(2):
        await answered(database, run, replace(PRICED, n=n))
    await database.write(finish_run, run.id, 1, RunStatus.SUCCEEDED)
    for _ in range(2):
        fork, _made = await database.write(fork_run, "local", run.id, params=PARAMS)
        run = await claim(database)
        assert run.id == fork.id
        await answered(database, run)
        await database.write(finish_run, run.id, 1, RunStatus.SUCCEEDED)
    found = await receipt(database, run)
    assert (found.calls.sent, found.calls.answered, found.calls.copied, found.calls.replayed) == (0, 0, 1, 1)
    assert (found.money.spent_usd, found.money.saved_usd) == (0, ANSWER.cost_usd)
    assert found.calls.left_behind == 1


async def test_who_approved_what_is_on_the_receipt(database):
    run = await claimed(database)
    for title in ("Send the letter?", "Send it again?"):
        what = {"asking": Asking.APPROVAL, "step": title, "title": title, "what": title, "digest": "d" * 64}
        asked = await database.write(ask, run.id, "local", **what)
    await database.write(
        decide, "local", asked.id, Decision.REJECT, "d" * 64, by=decider("ada"), comment="once is enough"
    )
    found = (await receipt(database, run)).approvals
    assert [(each.title, each.status, each.decided_by, each.comment) for each in found] == [
        ("Send the letter?", ApprovalStatus.PENDING, None, None),
        ("Send it again?", ApprovalStatus.REJECTED, "ada", "once is enough"),
    ]


async def test_the_receipt_of_somebody_elses_run_does_not_exist(database):
    run = await claimed(database)
    with pytest.raises(NotFound):
        await receipt(database, run, "someone")


async def test_a_receipt_is_of_one_moment_though_calls_end_while_it_is_read(database):
    """Else the calls could be of one moment and the attempts of a later one."""
    run = await claimed(database)
    async with database.read() as session:
        first = await receipt_of(session, "local", run.id)
        await answered(database, run)
        await database.write(finish_run, run.id, 1, RunStatus.SUCCEEDED)
        again = await receipt_of(session, "local", run.id)
    assert again == first
    assert (await receipt(database, run)).calls.answered == 1


async def test_reading_a_receipt_leaves_the_connection_as_it_was(database):
    """Connections are shared: the next reader must see what was committed a moment ago."""
    if database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one isolation level")
    run = await claimed(database)
    await receipt(database, run)
    async with database.read() as session:
        level = (await session.execute(sa.text("SELECT @@tx_isolation"))).scalar_one()
    assert level == "READ-COMMITTED"


def test_a_log_from_before_workers_were_named_still_tells_the_attempts():
    at = utcnow()
    states = [("accepted", 0), ("queued", 1), ("running", 1), ("queued", 1), ("queued", 2), ("succeeded", 2)]
    found = attempts_in(
        ({"status": status, "attempt": number}, at + timedelta(seconds=n))
        for n, (status, number) in enumerate(states)
    )
    assert [(each.number, each.worker, each.ended) for each in found] == [
        (1, None, AttemptEnd.WAITING),
        (2, None, AttemptEnd.SUCCEEDED),
    ]


async def test_the_runs_that_a_run_started_are_in_its_receipt_with_all_that_is_below_them(database):
    """What a family has cost could be read from no receipt."""
    top = await claimed(database)
    first, second = [await accepted(database, parent_id=top.id) for _ in range(2)]
    below = await accepted(database, parent_id=second.id)
    await accepted(database)
    for run in (top, *[await claim(database) for _ in range(3)]):
        await answered(database, run)
    found = await receipt(database, top)
    assert [(child.run_id, child.pipeline, child.status) for child in found.children] == [
        (run.id, "analysis", RunStatus.QUEUED) for run in (first, second)
    ]
    assert [child.spent_usd for child in found.children] == [ANSWER.cost_usd, 2 * ANSWER.cost_usd]
    assert (found.money.spent_usd, found.money.children_usd) == (ANSWER.cost_usd, 3 * ANSWER.cost_usd)
    assert (await receipt(database, below)).children == []


async def test_no_approval_is_missing_in_the_receipt_of_a_run_that_asked_very_often(database):
    """It stopped at two hundred."""
    run = await claimed(database)

    async def ask_often(session) -> None:
        for number in range(205):
            question = {"title": f"{number}?", "what": number, "digest": "d" * 64}
            await ask(session, run.id, "local", asking=Asking.APPROVAL, step=f"s[{number}]", **question)

    await database.write(ask_often)
    assert [each.title for each in (await receipt(database, run)).approvals] == [
        f"{number}?" for number in range(205)
    ]
