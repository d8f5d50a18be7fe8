"""Ended runs once more: retries keep what was paid, forks share their beginning."""

from decimal import Decimal
from uuid import uuid4

import pytest
import sqlalchemy as sa

from contracts.calls import CallAnswer, CallRequest
from contracts.runs import EventKind, RunOptions, RunStatus
from database.journal.calls import commit_call, list_calls, reserve_call, spent
from database.queue.again import fork_run, retry_run
from database.queue.events import append_events
from database.queue.leases import claim_runs, finish_run, release_run
from database.queue.reaper import reap_expired
from database.queue.runs import get_run, request_cancel
from database.queue.slots import key_holder
from database.tables import RunRow, core
from runtime.clock import utcnow
from runtime.errors import BadInput, Conflict, NotFound
from tests.fixtures.made_runs import PARAMS, accepted, claimed

RUNS = core(RunRow)
ANSWER = CallAnswer(
    response={"text": "yes"},
    deployment="first",
    model="m",
    input_tokens=1,
    output_tokens=1,
    cost_usd=Decimal("0.25"),
    latency_ms=2.0,
)


def call(step, mark="f"):
    return CallRequest(step=step, n=0, fingerprint=mark * 64, kind="model", role="chat", request={"of": step})


async def execute(database, run, *steps, status=RunStatus.SUCCEEDED):
    """Play a run whose steps make one call each; return how many were answered by the ledger."""
    replayed = 0
    for step in steps:
        begun = [(EventKind.STEP, {"step": step, "status": "started", "tries": 1}, utcnow())]
        await database.write(append_events, run.id, run.attempt, begun)
        if await database.write(reserve_call, run.id, run.attempt, call(step)):
            replayed += 1
        else:
            await database.write(commit_call, run.id, run.attempt, call(step), ANSWER)
    await database.write(finish_run, run.id, run.attempt, status)
    return replayed


async def claim(database):
    (one,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    return one


async def found(database, run_id):
    async with database.read() as session:
        return await get_run(session, "local", run_id)


async def cost(database, run_id):
    async with database.read() as session:
        return await spent(session, run_id)


async def fork(database, run, **changes):
    forked, _created = await database.write(fork_run, "local", run.id, **{"params": PARAMS, **changes})
    return forked


async def test_a_failed_run_goes_on_where_it_failed_and_pays_nothing_twice(database):
    run = await claimed(database)
    await execute(database, run, "read#1", "think#1", status=RunStatus.FAILED)
    again = await database.write(retry_run, "local", run.id)
    assert (again.status, again.error, again.finished_at) == (RunStatus.QUEUED, None, None)
    second = await claim(database)
    assert (second.id, second.attempt) == (run.id, 2)
    assert await execute(database, second, "read#1", "think#1", "write#1") == 2
    assert (await found(database, run.id)).cost_usd == Decimal("0.75")


async def test_a_dead_run_gets_fresh_attempts_and_keeps_its_history(database):
    run = await claimed(database)
    for attempt in (1, 2, 3):
        await database.write(release_run, run.id, attempt)
        if attempt < 3:
            await claim(database)
    assert (await found(database, run.id)).status is RunStatus.DEAD
    await database.write(retry_run, "local", run.id)
    for attempt in (4, 5, 6):
        assert (await claim(database)).attempt == attempt
        await database.write(release_run, run.id, attempt)
    assert (await found(database, run.id)).status is RunStatus.DEAD


async def test_a_cancelled_run_that_is_retried_is_not_cancelled_again(database):
    """The old wish must not stop the new attempt."""
    run = await claimed(database)
    change = sa.update(RUNS).where(RUNS.c.id == run.id).values(cancel_requested_at=utcnow())
    await database.write(lambda session: session.execute(change))
    await database.write(finish_run, run.id, 1, RunStatus.CANCELLED)
    await database.write(retry_run, "local", run.id)
    assert not (await claim(database)).cancel_requested


async def test_a_retried_run_waits_for_its_key_again(database):
    keyed = {"options": RunOptions(concurrency_key="k")}
    first = await accepted(database, **keyed)
    await database.write(finish_run, (await claim(database)).id, 1, RunStatus.FAILED)
    second = await accepted(database, **keyed)
    await database.write(retry_run, "local", first.id)
    assert (await claim(database)).id == second.id
    assert await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15) == []
    await database.write(finish_run, second.id, 1, RunStatus.SUCCEEDED)
    async with database.read() as session:
        assert await key_holder(session, "local", "k") == first.id


async def test_a_retried_run_is_not_failed_again_by_the_runs_that_it_started(database):
    """It found them as they had ended, and `child_failed` ended it at once, in every retry."""
    parent = await claimed(database)
    key = {"idempotency_key": f"child {parent.id} offers", "parent_id": parent.id}
    failed = await accepted(database, **key)
    done = await accepted(database, parent_id=parent.id)
    below = await accepted(database, parent_id=failed.id)
    fates = {failed.id: RunStatus.FAILED, done.id: RunStatus.SUCCEEDED, below.id: RunStatus.FAILED}
    for _ in fates:
        child = await claim(database)
        await database.write(finish_run, child.id, child.attempt, fates[child.id])
    await database.write(finish_run, parent.id, 1, RunStatus.FAILED)

    await database.write(retry_run, "local", parent.id)

    for run, status in ((parent, "queued"), (failed, "queued"), (below, "queued"), (done, "succeeded")):
        assert (await found(database, run.id)).status == status
    assert (await accepted(database, **key)).id == failed.id
    assert {(await claim(database)).attempt for _ in range(3)} == {2}


async def test_a_cancelled_run_is_retried_with_the_runs_that_were_cancelled_with_it(database):
    parent = await accepted(database)
    child = await accepted(database, parent_id=parent.id, options=RunOptions(concurrency_key="k"))
    await database.write(request_cancel, "local", parent.id)
    assert (await found(database, child.id)).status is RunStatus.CANCELLED
    await database.write(retry_run, "local", parent.id)
    assert {(await claim(database)).id for _ in range(2)} == {parent.id, child.id}
    async with database.read() as session:
        assert await key_holder(session, "local", "k") == child.id


async def test_a_run_is_not_retried_while_one_that_it_started_is_still_being_cancelled(database):
    """That one would end as cancelled after the retry, and fail it."""
    parent = await claimed(database)
    child = await accepted(database, parent_id=parent.id)
    await claim(database)
    await database.write(finish_run, parent.id, 1, RunStatus.CANCELLED)
    with pytest.raises(Conflict, match=str(child.id)) as caught:
        await database.write(retry_run, "local", parent.id)
    assert caught.value.code == "run_not_ended"
    assert (await found(database, parent.id)).status is RunStatus.CANCELLED
    await database.write(finish_run, child.id, 1, RunStatus.CANCELLED)
    await database.write(retry_run, "local", parent.id)
    assert {(await claim(database)).id for _ in range(2)} == {parent.id, child.id}


async def test_a_child_under_way_goes_on_when_its_parent_is_retried(database):
    parent = await claimed(database)
    child = await accepted(database, parent_id=parent.id)
    await claim(database)
    await database.write(finish_run, parent.id, 1, RunStatus.FAILED)
    await database.write(retry_run, "local", parent.id)
    assert (await found(database, child.id)).attempt == 1
    assert (await claim(database)).id == parent.id
    await database.write(finish_run, child.id, 1, RunStatus.SUCCEEDED)


async def test_only_what_ended_without_success_is_retried(database):
    run = await claimed(database)
    with pytest.raises(Conflict) as caught:
        await database.write(retry_run, "local", run.id)
    assert caught.value.code == "run_not_ended"
    await database.write(finish_run, run.id, 1, RunStatus.SUCCEEDED)
    with pytest.raises(Conflict) as caught:
        await database.write(retry_run, "local", run.id)
    assert caught.value.code == "run_succeeded"
    with pytest.raises(NotFound):
        await database.write(retry_run, "someone", run.id)


async def test_a_fork_begins_with_the_paid_answers_of_its_source_and_costs_nothing(database):
    run = await claimed(database)
    await execute(database, run, "read#1", "think#1")
    forked = await fork(database, run)
    assert (forked.forked_from, forked.status) == (run.id, RunStatus.ACCEPTED)
    assert await execute(database, await claim(database), "read#1", "think#1") == 2
    assert await cost(database, forked.id) == (await found(database, forked.id)).cost_usd == 0
    async with database.read() as session:
        paid = (await list_calls(session, "local", run.id)).items
        copied = (await list_calls(session, "local", forked.id)).items
    assert [each.copied_from for each in copied] == [each.id for each in paid]


@pytest.mark.parametrize("step", ["think", "think#1"])
async def test_a_fork_from_a_step_executes_it_and_what_follows_anew(database, step):
    run = await claimed(database)
    await execute(database, run, "read#1", "think#1", "write#1")
    forked = await fork(database, run, from_step=step)
    assert await execute(database, await claim(database), "read#1", "think#1", "write#1") == 1
    assert await cost(database, forked.id) == Decimal("0.5")


async def test_a_fork_of_a_step_that_is_not_there_names_those_that_are(database):
    run = await claimed(database)
    await execute(database, run, "read#1")
    with pytest.raises(BadInput, match="read#1") as caught:
        await fork(database, run, from_step="reed")
    assert caught.value.code == "unknown_step"


async def test_a_fork_of_a_run_under_way_or_of_somebody_else_is_refused(database):
    run = await claimed(database)
    with pytest.raises(Conflict) as caught:
        await fork(database, run)
    assert caught.value.code == "run_not_ended"
    with pytest.raises(NotFound):
        await database.write(fork_run, "someone", run.id, params=PARAMS)
    await database.write(finish_run, run.id, 1, RunStatus.SUCCEEDED)
    with pytest.raises(NotFound) as missing:
        await fork(database, run, versions={"x": uuid4()})
    assert missing.value.code == "program_version_not_found"


async def test_a_fork_of_a_turn_that_opened_its_chat_opens_another_unless_it_is_told_the_first(database):
    opening = {"message": "Hello"}
    turn = await accepted(database, pipeline="chat_turn", pool="interactive", params=opening)
    await database.write(request_cancel, "local", turn.id)
    assert turn.concurrency_key
    apart = await fork(database, turn, params=opening)
    assert apart.concurrency_key not in {None, turn.concurrency_key}
    chat_id = turn.concurrency_key.removeprefix("chat:")
    beside = await fork(database, turn, params={**opening, "chat_id": chat_id})
    assert beside.concurrency_key == turn.concurrency_key


async def test_forking_twice_under_one_key_makes_one_fork(database):
    run = await claimed(database)
    await execute(database, run, "read#1")
    first, second = [await fork(database, run, idempotency_key="k") for _ in range(2)]
    assert first.id == second.id


@pytest.mark.parametrize("change", [{}, {"from_step": "think#1"}])
async def test_a_key_that_made_another_fork_does_not_answer_with_that_one(database, change):
    """Another source or another step under a used key is another request."""
    first = await claimed(database)
    await execute(database, first, "read#1", "think#1")
    second = await claimed(database)
    await execute(database, second, "read#1", "think#1")
    await fork(database, first, idempotency_key="k")
    with pytest.raises(Conflict) as conflict:
        await fork(database, first if change else second, idempotency_key="k", **change)
    assert conflict.value.code == "idempotency_conflict"


async def test_a_worker_that_stops_in_good_order_uses_up_no_attempt(database):
    """Five deployments during one long run must not end it."""
    run = await claimed(database)
    for attempt in range(1, 6):
        status = await database.write(release_run, run.id, attempt, blameless=True)
        assert status is RunStatus.QUEUED
        assert (await claim(database)).attempt == attempt + 1
    assert await database.write(reap_expired) == []
