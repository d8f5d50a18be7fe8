"""Many calls written as one: every row, sum and refusal is what each alone would have made."""

import asyncio
import signal
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal

import pytest
import sqlalchemy as sa

from contracts.budgets import BudgetScope
from contracts.runs import CallStatus, RunError
from database.errors import BudgetsChanged, Fenced, OverBudget
from database.joint import Joint
from database.journal.blobs import INLINE_CHARS
from database.journal.calls import list_calls, spent
from database.journal.joint_calls import COMMITTING, FAILING, RESERVING, Answered, Asked, Failed
from database.patience import outlast
from database.queue.leases import claim_runs, release_run
from database.queue.runs import get_run
from database.tables import RunRow, core
from tests.fixtures.books import ASKED, PAID, books, capped, within
from tests.fixtures.made_runs import ANSWER, CALL, claimed

ERROR = RunError(code="model_timeout", message="No answer.", retryable=True)


async def reserved(database, asked):
    """Reserve several calls at the same time; errors are outcomes."""
    return await asyncio.gather(
        *(database.write_jointly(RESERVING, one) for one in asked), return_exceptions=True
    )


async def committed(database, answered):
    return await asyncio.gather(
        *(database.write_jointly(COMMITTING, one) for one in answered), return_exceptions=True
    )


async def calls_of(database, run_id):
    async with database.read() as session:
        return (await list_calls(session, "local", run_id, limit=200)).items


async def next_attempt(database, run):
    await database.write(release_run, run.id, run.attempt)
    (run,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    return run


def answer_to(n):
    return replace(ANSWER, response={"text": f"answer {n} 😀"}, input_tokens=n, latency_ms=float(n))


async def test_fifty_calls_of_many_runs_add_up_and_take_two_transactions_each_way(database):
    """The first goes at once, by a prepared statement, and the 49 that have come meanwhile together."""
    runs = [await claimed(database) for _ in range(5)]
    calls = [(run, replace(CALL, n=n)) for n in range(10) for run in runs]
    commits = []
    sa.event.listen(database.engine.sync_engine, "commit", commits.append)
    database.drivers.listeners.append(commits.append)

    assert await reserved(database, [Asked(run.id, 1, call) for run, call in calls]) == [None] * 50
    assert (
        await committed(database, [Answered(run.id, 1, call, answer_to(call.n)) for run, call in calls])
        == [[]] * 50
    )

    assert len(commits) == 4
    for run in runs:
        rows = await calls_of(database, run.id)
        assert [row.n for row in sorted(rows, key=lambda row: row.n)] == list(range(10))
        for row in rows:
            assert (row.status, row.tries, row.lost, row.replays) == (CallStatus.SUCCEEDED, 1, 0, 0)
            assert (row.input_tokens, row.latency_ms, row.cost_usd) == (row.n, row.n, ANSWER.cost_usd)
            assert row.finished_at is not None
        async with database.read() as session:
            assert await spent(session, run.id) == 10 * ANSWER.cost_usd
            assert (await get_run(session, "local", run.id)).cost_usd == 10 * ANSWER.cost_usd


async def test_answers_come_back_to_those_who_asked_and_cost_nothing_the_second_time(database):
    run = await claimed(database)
    large = replace(CALL, step="large#1", request={"messages": ["x" * 3 * INLINE_CHARS]})
    told = {n: replace(CALL, n=n) for n in range(6)}
    await reserved(database, [*(Asked(run.id, 1, call) for call in told.values()), Asked(run.id, 1, large)])
    long = replace(ANSWER, response={"text": "y" * 3 * INLINE_CHARS})
    await committed(
        database,
        [
            *(Answered(run.id, 1, call, answer_to(n)) for n, call in told.items()),
            Answered(run.id, 1, large, long),
        ],
    )
    run = await next_attempt(database, run)

    fresh = replace(CALL, n=99)
    outcomes = await reserved(database, [Asked(run.id, 2, call) for call in (fresh, *told.values(), large)])

    assert outcomes == [None, *(answer_to(n) for n in told), long]
    rows = {(row.step, row.n): row for row in await calls_of(database, run.id)}
    assert rows[CALL.step, 3].replays == 1
    assert rows[CALL.step, 99].replays == 0
    async with database.read() as session:
        assert (await get_run(session, "local", run.id)).cost_usd == 7 * ANSWER.cost_usd


async def test_calls_that_were_in_flight_at_a_crash_are_counted_as_lost_each(database):
    run = await claimed(database)
    asked = [replace(CALL, n=n) for n in range(4)]
    await reserved(database, [Asked(run.id, 1, call) for call in asked])
    run = await next_attempt(database, run)

    assert await reserved(database, [Asked(run.id, 2, call) for call in asked]) == [None] * 4

    assert {(row.tries, row.lost) for row in await calls_of(database, run.id)} == {(2, 1)}


async def test_an_attempt_that_is_over_is_refused_and_its_neighbours_are_not(database):
    over, other = await claimed(database), await claimed(database)
    await reserved(database, [Asked(run.id, 1, CALL) for run in (over, other)])
    await next_attempt(database, over)

    more = [Asked(run.id, 1, replace(CALL, n=n)) for n in (1, 2) for run in (over, other)]
    outcomes = await reserved(database, more)
    assert [type(outcome) for outcome in outcomes] == [Fenced, type(None)] * 2
    outcomes = await committed(database, [Answered(run.id, 1, CALL, ANSWER) for run in (other, over, other)])

    assert [type(outcome) for outcome in outcomes] == [list, Fenced, list]  # said twice is said once
    async with database.read() as session:
        assert (await get_run(session, "local", other.id)).cost_usd == ANSWER.cost_usd
        assert (await get_run(session, "local", over.id)).cost_usd == 0


async def test_under_budgets_fifty_at_once_never_spend_more_than_the_cap(database):
    run, other = await claimed(database), await claimed(database)
    owners = await capped(database, "1.00")
    own = await capped(database, "0.30", BudgetScope.RUN, other.id)
    here, there = await within(database, run.id), await within(database, other.id)

    asked = [Asked(run.id, 1, replace(ASKED, n=n), here) for n in range(25)]
    asked += [Asked(other.id, 1, replace(ASKED, n=n), there) for n in range(25)]
    outcomes = await reserved(database, asked)

    refused = [outcome for outcome in outcomes if outcome is not None]
    assert {type(outcome) for outcome in refused} == {OverBudget}
    assert len(refused) == 40
    assert (await books(database, owners.id))[:2] == (0, Decimal("1.00"))
    assert (await books(database, own.id))[1] <= Decimal("0.30")
    paid = [one for one, outcome in zip(asked, outcomes, strict=True) if outcome is None]
    await committed(database, [Answered(one.run_id, 1, one.call, PAID, one.within.budgets) for one in paid])
    assert await books(database, owners.id) == (Decimal("0.40"), 0, Decimal("0.60"))


async def test_calls_that_fit_under_their_budgets_are_reserved_by_one_statement_for_all(database):
    if database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite begins its transactions by a statement")
    runs = [await claimed(database) for _ in range(4)]
    budget = await capped(database, "1")
    here = {run.id: await within(database, run.id) for run in runs}
    await database.ping()
    statements = []

    @sa.event.listens_for(database.engine.sync_engine, "before_cursor_execute")
    def count(_connection, _cursor, statement, *_rest) -> None:
        statements.append(statement.split()[0])

    outcomes = await reserved(
        database, [Asked(run.id, 1, replace(ASKED, n=n), here[run.id]) for n in range(2) for run in runs]
    )

    assert outcomes == [None] * 8
    # The first alone, then seven: four, two and one by one insert each, and all of their money by one update.
    # Before that, their runs are kept from ending.
    assert statements == ["SELECT", "INSERT", "UPDATE", "SELECT", "INSERT", "INSERT", "INSERT", "UPDATE"]
    assert (await books(database, budget.id))[1] == Decimal("0.80")


async def test_a_budget_that_is_set_meanwhile_holds_for_each_call_of_a_group(database):
    run = await claimed(database)
    before = await within(database, run.id)
    await capped(database, "1")

    outcomes = await reserved(database, [Asked(run.id, 1, replace(ASKED, n=n), before) for n in range(5)])

    assert [type(outcome) for outcome in outcomes] == [BudgetsChanged] * 5
    assert await calls_of(database, run.id) == []


async def test_failures_give_back_what_was_set_aside_for_them(database):
    run = await claimed(database)
    budget = await capped(database, "1")
    here = await within(database, run.id)
    calls = [replace(ASKED, n=n) for n in range(5)]
    await reserved(database, [Asked(run.id, 1, call, here) for call in calls])

    failed = (Failed(run.id, 1, call, ERROR, 3.0, here.budgets) for call in calls)
    await asyncio.gather(*(database.write_jointly(FAILING, one) for one in failed))

    assert {row.status for row in await calls_of(database, run.id)} == {CallStatus.FAILED}
    assert await books(database, budget.id) == (0, 0, 1)


async def test_a_connection_that_breaks_under_a_group_costs_time_and_no_answer(database):
    if database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no connection to lose")
    run = await claimed(database)
    calls = [replace(CALL, n=n) for n in range(8)]
    await reserved(database, [Asked(run.id, 1, call) for call in calls])
    broken = []

    async def many(session, answered):
        outcomes = await COMMITTING.many(session, answered)
        if not broken:
            broken.append(len(answered))
            await session.execute(sa.text("KILL CONNECTION_ID()"))
        return outcomes

    joint = Joint(COMMITTING.one, many)
    await asyncio.gather(
        *(
            outlast(lambda call=call: database.write_jointly(joint, Answered(run.id, 1, call, ANSWER)))
            for call in calls
        )
    )

    assert broken == [7]
    assert {row.status for row in await calls_of(database, run.id)} == {CallStatus.SUCCEEDED}
    async with database.read() as session:
        assert (await get_run(session, "local", run.id)).cost_usd == 8 * ANSWER.cost_usd


async def test_a_group_that_meets_a_deadlock_is_written_once(database):
    """The other transaction takes the same runs in the other order; the server ends one of the two."""
    if database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer")
    runs = sorted([await claimed(database) for _ in range(3)], key=lambda run: run.id)
    await reserved(database, [Asked(run.id, 1, CALL) for run in runs])
    table = core(RunRow)
    last_held, first_wanted = asyncio.Event(), asyncio.Event()

    async def backwards(session) -> None:
        for run in reversed(runs):
            await session.execute(sa.update(table).where(table.c.id == run.id).values(pool="batch"))
            last_held.set()
            await first_wanted.wait()

    other = asyncio.create_task(database.write(backwards))
    await last_held.wait()
    # The first of them goes alone, so the group is of the last two, which the other one wants as well.
    writing = [
        asyncio.create_task(database.write_jointly(COMMITTING, Answered(run.id, 1, CALL, ANSWER)))
        for run in runs
    ]
    await asyncio.sleep(0.3)
    first_wanted.set()

    assert await asyncio.gather(*writing) == [[], [], []]
    await other
    async with database.read() as session:
        for run in runs:
            assert (await get_run(session, "local", run.id)).cost_usd == ANSWER.cost_usd


DYING = """
import asyncio, os, signal, sys
from dataclasses import replace
from uuid import UUID
from pydantic import SecretStr
from database.engine import open_database
from database.joint import Line
from database.journal.joint_calls import COMMITTING, RESERVING, Answered, Asked
from database.settings import DatabaseSettings
from tests.fixtures.made_runs import ANSWER, CALL

async def main(url, run_id, kind):
    database = open_database(DatabaseSettings(database_url=SecretStr(url)))
    asked = [Asked(UUID(run_id), 1, replace(CALL, n=n)) for n in range(10)]
    if kind == "commit":
        await asyncio.gather(*(database.write_jointly(RESERVING, one) for one in asked))
        joint, items = COMMITTING, [Answered(one.run_id, 1, one.call, ANSWER) for one in asked]
    else:
        joint, items = RESERVING, asked

    async def write(work, told):
        outcome = await database.write(work, told)
        if isinstance(told, list):  # the group is committed, and nobody has heard of it
            os.kill(os.getpid(), signal.SIGKILL)
        return outcome

    line = Line(write, joint)
    await asyncio.gather(*(line.written(one) for one in items))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("kind", ["reserve", "commit"])
async def test_a_kill_between_the_commit_and_the_answers_pays_nothing_twice(database, database_url, kind):
    """Reserved calls count as lost and are made again; answered ones come from the ledger."""
    run = await claimed(database, lease_seconds=600)

    died = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", DYING, database_url, str(run.id), kind], check=False
    )

    assert died.returncode == -signal.SIGKILL
    run = await next_attempt(database, run)
    outcomes = await reserved(database, [Asked(run.id, 2, replace(CALL, n=n)) for n in range(10)])
    rows = await calls_of(database, run.id)
    async with database.read() as session:
        cost = (await get_run(session, "local", run.id)).cost_usd
    if kind == "commit":
        assert outcomes == [ANSWER] * 10
        assert {(row.tries, row.lost, row.replays) for row in rows} == {(1, 0, 1)}
        assert cost == 10 * ANSWER.cost_usd
    else:
        assert outcomes == [None] * 10
        assert {(row.tries, row.lost, row.replays) for row in rows} == {(2, 1, 0)}
        assert cost == 0
