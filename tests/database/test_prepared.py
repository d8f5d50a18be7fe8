"""Prepared statements write what the usual way writes, or nothing."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
import sqlalchemy as sa

from contracts.runs import CallStatus
from database import prepared
from database.errors import BudgetsChanged, Fenced
from database.journal.blobs import INLINE_CHARS
from database.journal.calls import commit_call, list_calls, reserve_call, spent
from database.journal.joint_calls import COMMITTING, RESERVING, Answered, Asked
from database.queue.leases import claim_runs, release_run
from database.tables import CallRow, core
from tests.fixtures.books import ASKED, PAID, books, capped, within
from tests.fixtures.made_runs import ANSWER, CALL, claimed

CALLS = core(CallRow)
# What differs from one call to the next, whoever writes it.
ITS_OWN = {"id", "n", "started_at", "finished_at"}


@pytest.fixture
def sent(database):
    """The first word of each statement that went past SQLAlchemy."""
    found: list[str] = []
    database.drivers.listeners.append(lambda statements: found.extend(one.split()[0] for one in statements))
    return found


async def rows_of(database, run_id):
    async with database.read() as session:
        return (await session.execute(sa.select(CALLS).where(CALLS.c.run_id == run_id))).all()


async def status_of(database, run):
    async with database.read() as session:
        return [
            (row.status, row.tries, row.lost) for row in (await list_calls(session, "local", run.id)).items
        ]


async def cost_of(database, run):
    async with database.read() as session:
        return await spent(session, run.id)


def endings(database):
    return ["UPDATE", "UPDATE"] if database.engine.dialect.name == "sqlite" else ["UPDATE"]


async def test_a_plain_call_is_written_as_the_usual_way_writes_it(database, sent):
    """Every column of both, types and all: a conversion that is left out shows here."""
    run = await claimed(database)
    call, usual = replace(CALL, n=0), replace(CALL, n=1)
    await database.write(reserve_call, run.id, 1, usual)
    await database.write(commit_call, run.id, 1, usual, ANSWER)

    assert await database.write_jointly(RESERVING, Asked(run.id, 1, call)) is None
    assert await database.write_jointly(COMMITTING, Answered(run.id, 1, call, ANSWER)) == []

    assert sent == ["INSERT", *endings(database)]
    mine, theirs = sorted(await rows_of(database, run.id), key=lambda row: row.n)
    for name in (column.name for column in CALLS.c):
        if name not in ITS_OWN:
            assert getattr(mine, name) == getattr(theirs, name), name
    assert mine.finished_at >= mine.started_at
    assert await cost_of(database, run) == 2 * ANSWER.cost_usd


async def test_a_call_that_was_answered_before_is_replayed(database, sent):
    run = await claimed(database)
    await database.write(reserve_call, run.id, 1, CALL)
    await database.write(commit_call, run.id, 1, CALL, ANSWER)

    assert await database.write_jointly(RESERVING, Asked(run.id, 1, CALL)) == ANSWER

    assert sent == ["INSERT"]
    ((*_, lost),) = await status_of(database, run)
    assert lost == 0


async def test_a_call_that_was_cut_off_is_counted_by_the_next_attempt(database):
    run = await claimed(database)
    await database.write_jointly(RESERVING, Asked(run.id, 1, CALL))
    await database.write(release_run, run.id, 1)
    (run,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)

    assert await database.write_jointly(RESERVING, Asked(run.id, 2, CALL)) is None

    assert await status_of(database, run) == [(CallStatus.STARTED, 2, 1)]


async def test_an_attempt_that_is_over_writes_nothing(database):
    run = await claimed(database)
    await database.write_jointly(RESERVING, Asked(run.id, 1, CALL))
    await database.write(release_run, run.id, 1)
    await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)

    with pytest.raises(Fenced):
        await database.write_jointly(RESERVING, Asked(run.id, 1, replace(CALL, n=1)))
    with pytest.raises(Fenced):
        await database.write_jointly(COMMITTING, Answered(run.id, 1, CALL, ANSWER))

    assert await status_of(database, run) == [(CallStatus.STARTED, 1, 0)]
    assert await cost_of(database, run) == 0


async def test_what_is_large_goes_the_usual_way(database, sent):
    run = await claimed(database)
    large = replace(CALL, request={"messages": ["x" * INLINE_CHARS]})
    answer = replace(ANSWER, response={"text": "y" * INLINE_CHARS})

    await database.write_jointly(RESERVING, Asked(run.id, 1, large))
    await database.write_jointly(COMMITTING, Answered(run.id, 1, large, answer))

    assert sent == []
    assert (await database.write_jointly(RESERVING, Asked(run.id, 1, large))) == answer


async def test_a_budget_counts_what_its_run_pays(database, sent):
    run = await claimed(database)
    budget = await capped(database, "1")
    here = await within(database, run.id)

    await database.write_jointly(RESERVING, Asked(run.id, 1, ASKED, here))
    await database.write_jointly(COMMITTING, Answered(run.id, 1, ASKED, PAID, here.budgets))

    assert sent == []
    assert await books(database, budget.id) == (PAID.cost_usd, 0, Decimal(1) - PAID.cost_usd)


async def test_a_budget_that_is_set_meanwhile_is_noticed(database, sent):
    run = await claimed(database)
    before = await within(database, run.id)
    assert await database.write_jointly(RESERVING, Asked(run.id, 1, ASKED, before)) is None
    assert sent == ["INSERT"]
    await capped(database, "1")

    with pytest.raises(BudgetsChanged):
        await database.write_jointly(RESERVING, Asked(run.id, 1, replace(ASKED, n=1), before))

    assert await status_of(database, run) == [(CallStatus.STARTED, 1, 0)]


@pytest.mark.parametrize("lost", ["before", "after"])
async def test_a_write_whose_answer_is_lost_is_written_once(database, monkeypatch, lost):
    """The connection breaks before the statement, or when it is done and nobody heard of it."""
    run = await claimed(database)
    way = "_in_one_visit" if database.engine.dialect.name == "sqlite" else "_in_one_statement"
    write, broken = getattr(prepared, way), []

    async def breaks(driver, steps):
        if lost == "after":
            assert await write(driver, steps)
        broken.append(len(steps))
        raise ConnectionResetError

    monkeypatch.setattr(prepared, way, breaks)

    assert await database.write_jointly(RESERVING, Asked(run.id, 1, CALL)) is None
    assert await database.write_jointly(COMMITTING, Answered(run.id, 1, CALL, ANSWER)) == []

    assert len(broken) == 2
    assert await status_of(database, run) == [(CallStatus.SUCCEEDED, 1, 0)]
    assert await cost_of(database, run) == ANSWER.cost_usd


async def test_a_connection_that_the_server_has_ended_costs_no_call(database, sent):
    if database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite runs in our process and ends with it")
    run = await claimed(database)
    await database.write_jointly(RESERVING, Asked(run.id, 1, CALL))
    ((held, _),) = database.drivers._idle  # noqa: SLF001  the server's view of it
    number = held.driver_connection.thread_id()
    await database.write(lambda session: session.execute(sa.text(f"KILL CONNECTION {number}")))

    await database.write_jointly(COMMITTING, Answered(run.id, 1, CALL, ANSWER))
    await database.write_jointly(RESERVING, Asked(run.id, 1, replace(CALL, n=1)))

    assert sent == ["INSERT", "UPDATE", "INSERT"]
    assert [status for status, *_ in await status_of(database, run)] == [
        CallStatus.SUCCEEDED,
        CallStatus.STARTED,
    ]


async def test_who_is_cancelled_leaves_no_lock_behind(database):
    run = await claimed(database)
    await database.write_jointly(RESERVING, Asked(run.id, 1, CALL))
    writing = asyncio.create_task(database.write_jointly(COMMITTING, Answered(run.id, 1, CALL, ANSWER)))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)

    await database.write_jointly(COMMITTING, Answered(run.id, 1, CALL, ANSWER))

    assert await cost_of(database, run) == ANSWER.cost_usd


async def test_a_closed_database_keeps_no_connection(database):
    run = await claimed(database)
    await database.write_jointly(RESERVING, Asked(run.id, 1, CALL))
    ((held, _),) = database.drivers._idle  # noqa: SLF001  the test looks behind

    await database.drivers.close()

    driver = held.driver_connection
    if database.engine.dialect.name == "sqlite":
        with pytest.raises(ValueError, match="no active connection"):
            await driver.execute("SELECT 1")
    else:
        assert driver.closed
    # Whoever comes later goes the usual way.
    assert await database.write_jointly(COMMITTING, Answered(run.id, 1, CALL, ANSWER)) == []


async def test_as_many_connections_are_opened_as_may_be_and_the_others_wait_as_usual(database, monkeypatch):
    """Where a lock is held for seconds, everybody who waits for it would otherwise open one more."""
    run = await claimed(database)
    calls = [replace(CALL, n=n) for n in range(3)]
    monkeypatch.setattr(prepared, "MOST", 2)
    opened = []
    open_one = database.drivers._opened  # noqa: SLF001

    async def noted():
        opened.append(await open_one())
        return opened[-1]

    monkeypatch.setattr(database.drivers, "_opened", noted)

    await asyncio.gather(*(database.write_jointly(RESERVING, Asked(run.id, 1, call)) for call in calls))
    await asyncio.gather(
        *(database.write_jointly(COMMITTING, Answered(run.id, 1, call, ANSWER)) for call in calls)
    )

    assert len(opened) <= 2
    assert await cost_of(database, run) == 3 * ANSWER.cost_usd
