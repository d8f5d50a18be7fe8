"""Who may execute a run, and what one can still write who may not any more."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from contracts.runs import EventKind, Origin, RunError, RunStatus
from database.engine import open_database
from database.errors import Fenced
from database.journal.calls import commit_call, fail_call, reserve_call
from database.queue.events import EventBatch, append_batch, append_events, read_events
from database.queue.leases import (
    adopt_run,
    bind_flow_run,
    called_off,
    claim_runs,
    finish_run,
    has_claimable,
    hold_run,
    mark_running,
    release_run,
    renew_leases,
    unclaim_run,
)
from database.queue.reaper import reap_expired
from database.queue.runs import get_run, request_cancel
from database.settings import DatabaseSettings
from database.tables import RunRow, core
from tests.fixtures.made_runs import ANSWER, CALL, PARAMS, accepted, claimed

RUNS = core(RunRow)


async def row(database, run_id):
    async with database.read() as session:
        return (await session.execute(sa.select(RUNS).where(RUNS.c.id == run_id))).one()


async def states(database, run_id):
    async with database.read() as session:
        return [(event.data["status"], event.data["attempt"]) for event in await read_events(session, run_id)]


async def take_over(database, run):
    """Let the lease of `run` run out and another worker begin the next attempt."""
    await expire(database, run.id)
    await database.write(reap_expired)
    (claim,) = await database.write(claim_runs, pool="batch", worker="worker-2", limit=1, lease_seconds=15)
    return claim


async def expire(database, run_id):
    past = datetime(2020, 1, 1, tzinfo=UTC)
    change = sa.update(RUNS).where(RUNS.c.id == run_id).values(lease_until=past)
    await database.write(lambda session: session.execute(change))


async def test_two_workers_that_claim_fifty_runs_never_get_the_same_one(database, database_url):
    """Two processes: each has its own connections. A double claim is money spent twice."""
    ids = {(await accepted(database)).id for _ in range(50)}
    other = open_database(DatabaseSettings(database_url=SecretStr(database_url)))
    got: list = []

    async def work(where, worker: str) -> None:
        idle = 0
        while idle < 3:
            claims = await where.write(claim_runs, pool="batch", worker=worker, limit=3, lease_seconds=15)
            got.extend(claims)
            idle = 0 if claims else idle + 1
            await asyncio.sleep(0)

    await asyncio.gather(*(work(where, f"{name}") for name, where in enumerate((database, other) * 3)))
    assert len(got) == 50
    assert {claim.id for claim in got} == ids
    assert {claim.attempt for claim in got} == {1}
    await other.close()


async def test_a_claim_carries_what_is_needed_to_execute(database):
    run = await accepted(database)
    (claim,) = await database.write(claim_runs, pool="batch", worker="w", limit=5, lease_seconds=15)
    assert (claim.id, claim.pipeline, claim.params, claim.owner) == (run.id, "analysis", PARAMS, "local")
    assert (claim.attempt, claim.flow_run_id, claim.cancel_requested) == (1, None, False)
    assert claim.created_at == run.created_at
    assert await states(database, run.id) == [("accepted", 0), ("queued", 1)]


async def test_the_longest_waiting_runs_of_the_own_pool_come_first(database):
    runs = [await accepted(database) for _ in range(4)]
    await accepted(database, pool="interactive", pipeline="chat_turn")
    claims = await database.write(claim_runs, pool="batch", worker="w", limit=3, lease_seconds=15)
    assert [claim.id for claim in claims] == [run.id for run in runs[:3]]


async def test_a_claimed_run_is_no_longer_claimable(database):
    await claimed(database)
    async with database.read() as session:
        assert not await has_claimable(session, "batch")
    assert await database.write(claim_runs, pool="batch", worker="w", limit=5, lease_seconds=15) == []


async def test_a_run_goes_its_way_and_tells_each_step_of_it(database):
    run = await claimed(database)
    flow_run_id = uuid4()
    await database.write(bind_flow_run, run.id, 1, flow_run_id)
    await database.write(mark_running, run.id, 1)
    await database.write(finish_run, run.id, 1, RunStatus.SUCCEEDED, {"answer": 42})
    async with database.read() as session:
        ended = await get_run(session, "local", run.id)
    assert (ended.status, ended.result, ended.flow_run_id) == (
        RunStatus.SUCCEEDED,
        {"answer": 42},
        flow_run_id,
    )
    assert ended.created_at <= ended.started_at <= ended.finished_at
    assert await states(database, run.id) == [
        ("accepted", 0),
        ("queued", 1),
        ("running", 1),
        ("succeeded", 1),
    ]


async def test_a_stale_attempt_changes_nothing(database):
    """A worker that was stopped past its lease wakes up while another one executes its run."""
    run = await claimed(database)
    await database.write(reserve_call, run.id, 1, CALL)
    await take_over(database, run)
    before = await row(database, run.id)
    writes = [
        (bind_flow_run, (uuid4(),), {}),
        (mark_running, (), {}),
        (finish_run, (RunStatus.SUCCEEDED, {"answer": "stale"}), {}),
        (finish_run, (RunStatus.FAILED,), {"error": RunError(code="x", message="y")}),
        (unclaim_run, (0,), {}),
        (release_run, (), {}),
        (hold_run, (), {}),
        (append_events, ([(EventKind.TOKEN, {"text": "stale"}, before.created_at)],), {}),
        (reserve_call, (CALL,), {}),
        (reserve_call, (replace(CALL, n=1),), {}),
        (commit_call, (CALL, ANSWER), {}),
        (fail_call, (CALL, RunError(code="x", message="y"), 1.0), {}),
    ]
    for query, args, kwargs in writes:
        with pytest.raises(Fenced):
            await database.write(query, run.id, 1, *args, **kwargs)
    assert await row(database, run.id) == before
    assert await states(database, run.id) == [("accepted", 0), ("queued", 1), ("queued", 1), ("queued", 2)]


async def test_a_lease_that_was_taken_away_is_gone_before_anybody_else_claims(database):
    """Between the reaper and the next claim the attempt is still the same number."""
    run = await claimed(database)
    await expire(database, run.id)
    await database.write(reap_expired)
    with pytest.raises(Fenced):
        await database.write(finish_run, run.id, 1, RunStatus.SUCCEEDED, {})
    with pytest.raises(Fenced):
        await database.write(unclaim_run, run.id, 1, 0)
    assert await database.write(renew_leases, "worker-1", {run.id: 1}, 15) == {}


async def test_a_batch_of_events_leaves_out_the_fenced_runs_and_writes_the_others(database):
    stale, sound = await claimed(database), await claimed(database)
    await take_over(database, stale)
    event = (EventKind.PROGRESS, {"done": 1}, sound.created_at)
    fenced = await database.write(
        append_batch, [EventBatch(stale.id, 1, [event]), EventBatch(sound.id, 1, [event, event])]
    )
    assert fenced == {stale.id}
    async with database.read() as session:
        assert [event.seq for event in await read_events(session, sound.id)] == [1, 2, 3, 4]


async def test_saying_twice_how_a_run_ended_is_saying_it_once(database):
    """The first answer may be lost with the connection, after the commit."""
    run = await claimed(database)
    for _ in range(2):
        await database.write(finish_run, run.id, 1, RunStatus.SUCCEEDED, {"answer": 1})
    with pytest.raises(Fenced):
        await database.write(finish_run, run.id, 1, RunStatus.FAILED)
    assert [status for status, _ in await states(database, run.id)] == ["accepted", "queued", "succeeded"]


async def test_only_an_end_ends_a_run(database):
    run = await claimed(database)
    with pytest.raises(ValueError, match="not the end"):
        await database.write(finish_run, run.id, 1, RunStatus.RUNNING)


async def test_a_run_that_did_not_begin_is_given_back_without_counting_the_attempt(database):
    run = await claimed(database)
    async with database.read() as session:
        before = await get_run(session, "local", run.id)
    assert (before.attempt, before.max_attempts) == (1, 3)
    await database.write(unclaim_run, run.id, 1, 0)
    (again,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    assert (again.id, again.attempt) == (run.id, 2)
    async with database.read() as session:
        after = await get_run(session, "local", run.id)
    assert (after.attempt, after.max_attempts) == (2, 4)


async def test_a_give_back_that_is_repeated_does_not_take_the_lease_of_the_next_worker(database):
    """Its first answer was lost after the commit; a third worker would execute beside the second one."""
    run = await claimed(database)
    await database.write(unclaim_run, run.id, run.attempt, 0)
    (second,) = await database.write(claim_runs, pool="batch", worker="w2", limit=1, lease_seconds=15)
    with pytest.raises(Fenced):
        await database.write(unclaim_run, run.id, run.attempt, 0)
    assert await database.write(claim_runs, pool="batch", worker="w3", limit=1, lease_seconds=15) == []
    await database.write(mark_running, run.id, second.attempt)


async def test_a_run_cancelled_on_its_way_to_an_absent_prefect_ends_when_it_is_given_back(database):
    """It stayed in the queue, cancelled and not cancelled, until Prefect was back."""
    run = await claimed(database)
    await database.write(request_cancel, "local", run.id)
    await database.write(unclaim_run, run.id, 1, 0)
    async with database.read() as session:
        assert not await has_claimable(session, "batch")
        assert (await get_run(session, "local", run.id)).status is RunStatus.CANCELLED


async def test_a_run_that_is_given_back_with_a_delay_waits(database):
    run = await claimed(database)
    await database.write(unclaim_run, run.id, 1, 30)
    async with database.read() as session:
        assert not await has_claimable(session, "batch")


async def test_a_stopping_worker_releases_a_run_and_the_attempt_counts(database):
    run = await claimed(database)
    assert await database.write(release_run, run.id, 1) is RunStatus.QUEUED
    (again,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    assert (again.id, again.attempt) == (run.id, 2)


async def test_a_run_that_is_released_in_every_attempt_is_dead_in_the_end(database):
    """Else a flow that breaks its engine would be executed for ever."""
    run = await claimed(database)
    for _ in range(2):
        await database.write(release_run, run.id, run.attempt)
        (run,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    assert await database.write(release_run, run.id, run.attempt) is RunStatus.DEAD


async def test_all_leases_of_a_worker_are_renewed_in_one_statement(database):
    runs = [await claimed(database) for _ in range(3)]
    theirs = await claimed(database, worker="worker-2")
    ids = [run.id for run in runs]
    before = [(await row(database, run_id)).lease_until for run_id in [*ids, theirs.id]]
    held = dict.fromkeys([*ids, theirs.id], 1)
    assert await database.write(renew_leases, "worker-1", held, 60) == dict.fromkeys(ids, 1)
    after = [(await row(database, run_id)).lease_until for run_id in [*ids, theirs.id]]
    assert all(late > early for early, late in zip(before[:3], after[:3], strict=True))
    assert after[3] == before[3]
    assert await database.write(renew_leases, "worker-1", {}, 60) == {}


async def test_a_frozen_worker_that_gets_its_own_run_back_does_not_keep_the_old_attempt(database):
    """Both attempts would go on in one process, each with a lease that looks like its own."""
    run = await claimed(database)
    await expire(database, run.id)
    await database.write(reap_expired)
    await database.write(claim_runs, pool="batch", worker="worker-1", limit=1, lease_seconds=15)
    before = (await row(database, run.id)).lease_until

    assert await database.write(renew_leases, "worker-1", {run.id: 1}, 60) == {run.id: 2}
    assert (await row(database, run.id)).lease_until == before


async def test_a_wish_to_cancel_reaches_the_worker(database):
    run, other = await claimed(database), await claimed(database)
    await database.write(request_cancel, "local", run.id)
    async with database.read() as session:
        assert await called_off(session, [run.id, other.id]) == {run.id: "cancelled"}
        assert await called_off(session, []) == {}


ADOPTION = {
    "pipeline": "analysis",
    "pool": "batch",
    "params": PARAMS,
    "owner": "local",
    "origin": Origin.SCHEDULE,
    "lease_seconds": 15,
}


async def test_a_flow_run_that_prefect_started_gets_one_row_however_often_it_is_seen(database):
    flow_run_id = uuid4()
    claims = await asyncio.gather(
        *(database.write(adopt_run, flow_run_id=flow_run_id, worker=f"w{n}", **ADOPTION) for n in range(10))
    )
    (claim,) = [claim for claim in claims if claim is not None]
    assert (claim.flow_run_id, claim.attempt) == (flow_run_id, 1)
    assert await states(database, claim.id) == [("accepted", 0), ("queued", 1)]
    async with database.read() as session:
        assert (await get_run(session, "local", claim.id)).origin is Origin.SCHEDULE


async def test_an_adopted_run_is_never_in_the_queue_before_its_lease(database):
    """A polling worker must not start a second flow run for it."""
    await database.write(adopt_run, flow_run_id=uuid4(), worker="w", **ADOPTION)
    assert await database.write(claim_runs, pool="batch", worker="x", limit=5, lease_seconds=15) == []


async def test_a_flow_run_whose_worker_died_is_adopted_again_as_the_next_attempt(database):
    flow_run_id = uuid4()
    first = await database.write(adopt_run, flow_run_id=flow_run_id, worker="w1", **ADOPTION)
    await expire(database, first.id)
    second = await database.write(adopt_run, flow_run_id=flow_run_id, worker="w2", **ADOPTION)
    assert (second.id, second.attempt) == (first.id, 2)
    with pytest.raises(Fenced):
        await database.write(mark_running, first.id, 1)


async def test_a_flow_run_whose_run_has_ended_is_not_adopted(database):
    flow_run_id = uuid4()
    claim = await database.write(adopt_run, flow_run_id=flow_run_id, worker="w", **ADOPTION)
    await database.write(finish_run, claim.id, 1, RunStatus.SUCCEEDED, {})
    assert await database.write(adopt_run, flow_run_id=flow_run_id, worker="w", **ADOPTION) is None
