"""Concurrency keys: one run of a key is under way, the others stand in line."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from pydantic import SecretStr, ValidationError

from contracts.runs import OnBusy, Origin, RunOptions, RunStatus
from database.engine import open_database
from database.queue.interrupting import call_off_flow_runs
from database.queue.leases import adopt_run, called_off, claim_runs, finish_run, has_claimable, unclaim_run
from database.queue.reaper import reap_expired
from database.queue.runs import get_run, request_cancel
from database.queue.slots import key_holder, runs_in_line
from database.queue.untold import untold_changes
from database.settings import DatabaseSettings
from database.tables import SlotRow, core
from runtime.clock import utcnow
from runtime.errors import BadInput, Conflict
from tests.fixtures.made_runs import accepted, comes_due

KEY = "customer:7"
SLOTS = core(SlotRow)


async def keyed(database, key=KEY, **options):
    return await accepted(database, options=RunOptions(concurrency_key=key, **options))


async def claim(database, limit=10, lease_seconds=15):
    return await database.write(
        claim_runs, pool="batch", worker="w", limit=limit, lease_seconds=lease_seconds
    )


async def succeed(database, run):
    await database.write(finish_run, run.id, run.attempt, RunStatus.SUCCEEDED, {})


async def line(database, key=KEY):
    async with database.read() as session:
        return await key_holder(session, "local", key), await runs_in_line(session, "local", key)


async def found(database, run_id):
    async with database.read() as session:
        return await get_run(session, "local", run_id)


async def test_of_one_key_one_run_is_claimed_and_the_next_when_it_has_ended(database):
    runs = [await keyed(database) for _ in range(3)]
    for run in runs:
        (one,) = await claim(database)
        assert one.id == run.id
        assert await claim(database) == []
        await succeed(database, one)
    assert await line(database) == (None, [])


async def test_a_run_in_line_is_not_in_the_queue(database):
    """Else workers would look at it again twenty times a second."""
    await keyed(database)
    await claim(database)
    await keyed(database)
    async with database.read() as session:
        assert not await has_claimable(session, "batch")


async def test_another_key_another_owner_and_no_key_do_not_wait(database):
    await keyed(database)
    await keyed(database, key="customer:8")
    await accepted(database)
    await accepted(database, owner="someone", options=RunOptions(concurrency_key=KEY))
    assert len(await claim(database)) == 4


async def test_forty_runs_of_four_keys_under_two_workers_never_overlap(database, database_url):
    """Two processes: each has its own connections. Two turns of one chat at once would mix their answers."""
    other = open_database(DatabaseSettings(database_url=SecretStr(database_url)))
    runs = [await keyed(database, key=f"k{number % 4}") for number in range(40)]
    key_of = {run.id: run.concurrency_key for run in runs}
    under_way: set[str] = set()
    done: list = []

    async def execute(where, run):
        key = key_of[run.id]
        assert key not in under_way
        under_way.add(key)
        done.append(run.id)
        await asyncio.sleep(0.002)
        under_way.remove(key)
        await where.write(finish_run, run.id, run.attempt, RunStatus.SUCCEEDED, {})

    async def work(where, worker):
        while len(done) < len(runs):
            got = await where.write(claim_runs, pool="batch", worker=worker, limit=3, lease_seconds=15)
            await asyncio.gather(*(execute(where, run) for run in got))
            await asyncio.sleep(0.001)

    try:
        async with asyncio.timeout(60):
            await asyncio.gather(work(database, "a"), work(database, "b"), work(other, "c"), work(other, "d"))
    finally:
        await other.close()
    for key in set(key_of.values()):
        asked = [run.id for run in runs if key_of[run.id] == key]
        assert [one for one in done if key_of[one] == key] == asked
    async with database.read() as session:
        assert (await session.execute(sa.select(sa.func.count()).select_from(SLOTS))).scalar_one() == 0


async def test_thirty_that_ask_at_once_get_one_key_and_twenty_nine_places(database):
    runs = await asyncio.gather(*(keyed(database) for _ in range(30)))
    holder, waiting = await line(database)
    assert {holder, *waiting} == {run.id for run in runs}
    assert len(waiting) == 29


async def test_a_run_keeps_its_key_over_its_attempts(database):
    first, second = await keyed(database), await keyed(database)
    (one,) = await claim(database, lease_seconds=0.02)
    await asyncio.sleep(0.05)
    await database.write(reap_expired)
    (again,) = await claim(database)
    assert (again.id, again.attempt) == (first.id, 2)
    await database.write(unclaim_run, again.id, 2, 0)
    (again,) = await claim(database)
    assert again.id == one.id
    await succeed(database, again)
    assert [run.id for run in await claim(database)] == [second.id]


async def test_every_end_frees_the_key(database):
    """A key that an end forgets would block its chat for ever."""
    cancelled = await keyed(database)
    await database.write(request_cancel, "local", cancelled.id)
    dead = await keyed(database)
    for _ in range(3):
        await claim(database, lease_seconds=0.02)
        await asyncio.sleep(0.05)
        await database.write(reap_expired)
    assert (await found(database, dead.id)).status is RunStatus.DEAD
    assert await line(database) == (None, [])


async def test_a_run_that_is_cancelled_in_line_lets_the_one_behind_it_move_up(database):
    first, second, third = [await keyed(database) for _ in range(3)]
    await database.write(request_cancel, "local", second.id)
    assert await line(database) == (first.id, [third.id])


async def test_a_run_cancelled_while_the_key_is_given_back_does_not_come_back_as_the_next(database):
    """The run before it ended while the cancellation was on its way: it was executed after its end."""
    await keyed(database)
    (holder,) = await claim(database)
    cancelled, behind = await keyed(database), await keyed(database)
    on_its_way, go_on = asyncio.Event(), asyncio.Event()

    async def cancel(session):
        await request_cancel(session, "local", cancelled.id)
        on_its_way.set()
        await go_on.wait()

    cancelling = asyncio.create_task(database.write(cancel))
    await on_its_way.wait()
    ending = asyncio.create_task(succeed(database, holder))
    await asyncio.sleep(0.3)
    go_on.set()
    await asyncio.gather(cancelling, ending)

    assert await line(database) == (behind.id, [])
    assert [run.id for run in await claim(database)] == [behind.id]
    assert (await found(database, cancelled.id)).status is RunStatus.CANCELLED


async def test_a_run_cancelled_in_prefect_while_it_stands_in_line_never_begins(database):
    """Prefect said Cancelling until its turn came, and then it was executed."""
    chat, params = uuid4(), {"pipeline": "chat_turn", "pool": "interactive", "owner": "local"}
    adoption = {**params, "origin": Origin.UI, "worker": "w", "lease_seconds": 15}
    adoption["params"] = {"message": "Hello", "chat_id": str(chat)}
    flow_runs = [uuid4() for _ in range(3)]
    holder = await database.write(adopt_run, flow_run_id=flow_runs[0], **adoption)
    for flow_run_id in flow_runs[1:]:
        assert await database.write(adopt_run, flow_run_id=flow_run_id, **adoption) is None
    cancelled, behind = (await line(database, f"chat:{chat}"))[1]

    await database.write(call_off_flow_runs, [flow_runs[1]])
    assert (await found(database, cancelled)).status is RunStatus.CANCELLED
    assert await line(database, f"chat:{chat}") == (holder.id, [behind])
    # One that a worker has is stopped by it.
    await database.write(call_off_flow_runs, [flow_runs[0]])
    async with database.read() as session:
        assert await called_off(session, [holder.id]) == {holder.id: "cancelled"}


async def test_who_will_not_wait_is_refused_while_the_key_is_taken_and_leaves_nothing(database):
    first = await keyed(database)
    with pytest.raises(Conflict) as caught:
        await keyed(database, on_busy=OnBusy.REJECT)
    assert caught.value.code == "key_busy"
    assert await line(database) == (first.id, [])
    await succeed(database, (await claim(database))[0])
    assert (await keyed(database, on_busy=OnBusy.REJECT)).status is RunStatus.ACCEPTED


async def test_who_interrupts_goes_next_and_the_others_are_cancelled(database):
    under_way = await keyed(database)
    (claimed,) = await claim(database)
    waiting = await keyed(database)
    urgent = await keyed(database, on_busy=OnBusy.INTERRUPT)
    assert (await found(database, waiting.id)).status is RunStatus.CANCELLED
    assert await line(database) == (under_way.id, [urgent.id])
    async with database.read() as session:
        assert await called_off(session, [under_way.id]) == {under_way.id: "cancelled"}
    await database.write(finish_run, claimed.id, claimed.attempt, RunStatus.CANCELLED)
    assert [run.id for run in await claim(database)] == [urgent.id]


async def test_interrupting_what_no_worker_has_takes_the_key_at_once(database):
    waiting = await keyed(database)
    urgent = await keyed(database, on_busy=OnBusy.INTERRUPT)
    assert (await found(database, waiting.id)).status is RunStatus.CANCELLED
    assert await line(database) == (urgent.id, [])


async def test_many_that_interrupt_at_once_leave_one(database):
    await keyed(database)
    await claim(database)
    await asyncio.gather(*(keyed(database, on_busy=OnBusy.INTERRUPT) for _ in range(8)))
    _holder, waiting = await line(database)
    assert len(waiting) == 1


async def test_a_run_for_later_does_not_hold_the_key_until_then(database):
    later = await keyed(database, start_at=utcnow() + timedelta(hours=1))
    now = await keyed(database)
    (one,) = await claim(database)
    assert one.id == now.id
    await comes_due(database, later.id, "available_at")
    assert await claim(database) == []
    assert await line(database) == (now.id, [later.id])
    await succeed(database, one)
    assert [run.id for run in await claim(database)] == [later.id]


def test_a_policy_for_a_key_at_a_later_time_is_refused():
    with pytest.raises(ValidationError, match="start_at"):
        RunOptions(concurrency_key=KEY, on_busy=OnBusy.REJECT, start_at=utcnow())


async def test_the_turns_of_a_chat_take_its_key_whoever_starts_them(database):
    chat = uuid4()
    turn = {"pipeline": "chat_turn", "pool": "interactive", "params": {"message": "x", "chat_id": str(chat)}}
    first = await accepted(database, **turn)
    assert first.concurrency_key == f"chat:{chat}"
    adoption = {**turn, "owner": "local", "origin": Origin.UI, "worker": "w", "lease_seconds": 15}
    adoption["params"] = {"message": "y", "chat_id": f"{{{str(chat).upper()}}}"}
    flow_run_id = uuid4()
    for _ in range(2):
        assert await database.write(adopt_run, flow_run_id=flow_run_id, **adoption) is None
    async with database.read() as session:
        (change,) = await untold_changes(session)
    assert (change.flow_run_id, change.in_line_for) == (flow_run_id, f"chat:{chat}")
    (one,) = await database.write(claim_runs, pool="interactive", worker="w", limit=9, lease_seconds=15)
    await succeed(database, one)
    (two,) = await database.write(claim_runs, pool="interactive", worker="w", limit=9, lease_seconds=15)
    assert two.flow_run_id == flow_run_id


async def test_a_turn_without_a_chat_takes_the_key_of_the_chat_that_it_opens(database):
    """A message to the new chat must wait for the turn that opened it."""
    run = await accepted(database, pipeline="chat_turn", pool="interactive", params={"message": "x"})
    assert run.concurrency_key.startswith("chat:")


async def test_a_chat_turn_takes_no_other_key(database):
    with pytest.raises(BadInput) as caught:
        await accepted(
            database,
            pipeline="chat_turn",
            pool="interactive",
            params={"message": "x"},
            options=RunOptions(concurrency_key=KEY),
        )
    assert caught.value.code == "key_not_free"


async def test_the_lowest_priority_number_is_taken_first(database):
    usual, late, urgent = [
        await accepted(database, options=RunOptions(priority=number)) for number in (5, 9, 1)
    ]
    assert [run.id for run in await claim(database, limit=1)] == [urgent.id]
    assert {run.id for run in await claim(database, limit=1)} == {usual.id}
    assert {run.id for run in await claim(database)} == {late.id}


async def test_a_claim_locks_no_row_that_it_does_not_take(database):
    """Else workers that claim at the same time would find nothing, or wait for each other."""
    if database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time and no row locks")
    for number in range(20):
        await accepted(database, options=RunOptions(priority=1 + number % 9))
        await accepted(database, options=RunOptions(start_at=utcnow() + timedelta(hours=1)))

    async def inside(session):
        first = await claim_runs(session, pool="batch", worker="a", limit=5, lease_seconds=15)
        second = await claim(database, limit=20)
        return first, second

    first, second = await database.write(inside)
    assert (len(first), len(second)) == (5, 15)
