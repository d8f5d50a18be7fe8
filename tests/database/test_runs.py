"""Accepting, finding and cancelling runs."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from contracts.runs import Origin, RunOptions, RunStatus
from database.queue.events import read_events
from database.queue.leases import claim_runs, finish_run, has_claimable
from database.queue.runs import accept_run, get_run, list_runs, request_cancel
from runtime.clock import utcnow
from runtime.errors import BadInput, Conflict, NotFound
from runtime.ids import new_id
from tests.fixtures.made_runs import PARAMS, accepted, claimed, comes_due

REQUEST = {
    "pipeline": "analysis",
    "pool": "batch",
    "params": PARAMS,
    "owner": "local",
    "origin": Origin.API,
}


async def found(database, run_id, owner="local"):
    async with database.read() as session:
        return await get_run(session, owner, run_id)


async def states(database, run_id):
    async with database.read() as session:
        return [event.data["status"] for event in await read_events(session, run_id)]


async def test_an_accepted_run_is_there_with_its_first_event(database):
    run, created = await database.write(accept_run, **REQUEST)
    assert created
    assert run.status is RunStatus.ACCEPTED
    assert (run.attempt, run.cost_usd, run.params) == (0, 0, PARAMS)
    assert await found(database, run.id) == run
    assert await states(database, run.id) == ["accepted"]


async def test_twenty_equal_requests_with_one_key_at_once_make_one_run(database):
    answers = await asyncio.gather(
        *(database.write(accept_run, **REQUEST, idempotency_key="key") for _ in range(20))
    )
    assert len({run.id for run, _created in answers}) == 1
    assert [created for _run, created in answers].count(True) == 1
    assert await states(database, answers[0][0].id) == ["accepted"]


async def test_the_same_key_for_another_request_is_a_conflict(database):
    """Answering with the first run would tell the caller about work that it did not ask for."""
    await database.write(accept_run, **REQUEST, idempotency_key="key")
    for change in ({"params": {"question": "another"}}, {"pipeline": "chat_turn"}):
        with pytest.raises(Conflict) as caught:
            await database.write(accept_run, **{**REQUEST, **change}, idempotency_key="key")
        assert caught.value.code == "idempotency_conflict"


async def test_parameters_in_another_order_are_the_same_request(database):
    reordered = dict(reversed(PARAMS.items()))
    first, _ = await database.write(accept_run, **REQUEST, idempotency_key="key")
    second, created = await database.write(
        accept_run, **{**REQUEST, "params": reordered}, idempotency_key="key"
    )
    assert (second.id, created) == (first.id, False)


async def test_the_key_of_another_owner_is_another_key(database):
    mine, _ = await database.write(accept_run, **REQUEST, idempotency_key="key")
    theirs, created = await database.write(
        accept_run, **{**REQUEST, "owner": "someone"}, idempotency_key="key"
    )
    assert created
    assert mine.id != theirs.id


async def test_a_request_repeated_under_its_run_id_is_accepted_once(database):
    """The answer of the first may have been lost on the way."""
    run_id = new_id()
    _, first = await database.write(accept_run, **REQUEST, run_id=run_id)
    run, second = await database.write(accept_run, **REQUEST, run_id=run_id)
    assert (first, second, run.id) == (True, False, run_id)


async def test_a_run_of_somebody_else_does_not_exist(database):
    run = await accepted(database)
    for owner, run_id in (("someone", run.id), ("local", uuid4())):
        with pytest.raises(NotFound) as caught:
            await found(database, run_id, owner)
        assert caught.value.code == "run_not_found"
        with pytest.raises(NotFound):
            await database.write(request_cancel, owner, run_id)
    async with database.read() as session:
        assert (await list_runs(session, "someone")).items == []


async def test_pages_show_every_run_once_newest_first_while_new_ones_arrive(database):
    made = [(await accepted(database)).id for _ in range(7)]
    seen, cursor = [], None
    while True:
        async with database.read() as session:
            page = await list_runs(session, "local", limit=3, cursor=cursor)
        seen += [run.id for run in page.items]
        await accepted(database)
        if (cursor := page.next_cursor) is None:
            break
    assert seen == made[::-1]


async def test_a_list_can_be_narrowed_to_a_status_and_a_pipeline(database):
    run = await accepted(database)
    chat = await accepted(database, pipeline="chat_turn", pool="interactive")
    await database.write(request_cancel, "local", run.id)
    async with database.read() as session:
        cancelled = await list_runs(session, "local", status=RunStatus.CANCELLED)
        chats = await list_runs(session, "local", pipeline="chat_turn")
    assert [item.id for item in cancelled.items] == [run.id]
    assert [item.id for item in chats.items] == [chat.id]


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "WyJhIl0", "bnVsbA", "é", "W" * 5000, "W1tbW1tb"])
async def test_a_cursor_from_elsewhere_is_refused(database, cursor):
    async with database.read() as session:
        with pytest.raises(BadInput) as caught:
            await list_runs(session, "local", cursor=cursor)
    assert caught.value.code == "bad_cursor"


async def test_a_run_that_nobody_began_is_cancelled_at_once(database):
    run = await accepted(database)
    cancelled = await database.write(request_cancel, "local", run.id)
    assert cancelled.status is RunStatus.CANCELLED
    assert cancelled.finished_at is not None
    assert await states(database, run.id) == ["accepted", "cancelled"]
    claims = await database.write(claim_runs, pool="batch", worker="w", limit=10, lease_seconds=15)
    assert claims == []


async def test_cancelling_a_run_under_way_asks_its_worker_however_often(database):
    run = await claimed(database)
    for _ in range(2):
        assert (await database.write(request_cancel, "local", run.id)).status is RunStatus.QUEUED
    assert await states(database, run.id) == ["accepted", "queued"]


async def test_an_ended_run_cannot_be_cancelled(database):
    run = await claimed(database)
    await database.write(finish_run, run.id, run.attempt, RunStatus.SUCCEEDED, {})
    with pytest.raises(Conflict) as caught:
        await database.write(request_cancel, "local", run.id)
    assert caught.value.code == "run_finished"
    assert (await found(database, run.id)).status is RunStatus.SUCCEEDED


async def test_a_delayed_run_waits_for_its_time(database):
    run = await accepted(database, options=RunOptions(start_at=utcnow() + timedelta(hours=1)))
    async with database.read() as session:
        assert not await has_claimable(session, "batch")
    await comes_due(database, run.id, "available_at")
    async with database.read() as session:
        assert await has_claimable(session, "batch")
