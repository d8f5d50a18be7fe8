"""Large prompts and answers: each piece stored once per owner, read back exactly."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from database.journal.calls import commit_call, read_request, reserve_call
from database.queue.leases import claim_runs
from database.tables import BlobRow, CallRow, core
from runtime.errors import NotFound
from tests.database.test_pieces import HALF_A_PAIR, MARKS, prose
from tests.fixtures.made_runs import ANSWER, CALL, accepted, claimed

BLOBS, CALLS = core(BlobRow), core(CallRow)
LONG = {"messages": [{"text": prose(1, 30_000)}], "config": {"temperature": 0.5, "none": None, "n": 2**53}}
LARGE = replace(CALL, request=LONG)


async def blobs(database, owner=None):
    query = sa.select(BLOBS) if owner is None else sa.select(BLOBS).where(BLOBS.c.owner == owner)
    async with database.read() as session:
        return (await session.execute(query)).all()


async def only_call(database, run_id):
    async with database.read() as session:
        return (await session.execute(sa.select(CALLS).where(CALLS.c.run_id == run_id))).one()


async def asked(database, call_id, owner="local"):
    async with database.read() as session:
        return await read_request(session, owner, call_id)


async def claimed_for(database, owner):
    run = await accepted(database, owner=owner)
    (claim,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    assert claim.id == run.id
    return claim


async def test_a_large_request_is_read_back_exactly(database):
    run = await claimed(database)
    await database.write(reserve_call, run.id, 1, LARGE)
    row = await only_call(database, run.id)
    assert row.request is None
    assert await asked(database, row.id) == LONG
    assert list(await asked(database, row.id)) == list(LONG)


async def test_a_large_answer_is_replayed_exactly(database):
    run = await claimed(database)
    answer = replace(ANSWER, response={"text": prose(2, 50_000), "usage": {"input": 3}})
    await database.write(reserve_call, run.id, 1, LARGE)
    await database.write(commit_call, run.id, 1, LARGE, answer)
    assert (await only_call(database, run.id)).response is None
    assert await database.write(reserve_call, run.id, 1, LARGE) == answer


async def test_requests_of_any_shape_come_back_exactly(database):
    """Nothing in a prompt can pass for a reference: what is stored is its text, cut."""
    run = await claimed(database)
    requests = [
        {mark: [mark, prose(n, 9000), {"hash": "x", "$ref": [True, None, -1.5e-7, {}]}], "root": mark * 3000}
        for n, mark in enumerate(MARKS)
        if mark != HALF_A_PAIR
    ]
    for n, request in enumerate(requests):
        await database.write(reserve_call, run.id, 1, replace(CALL, n=n, request=request))
    async with database.read() as session:
        ids = (await session.execute(sa.select(CALLS.c.id).order_by(CALLS.c.n))).scalars().all()
    assert [await asked(database, call_id) for call_id in ids] == requests


async def test_a_small_call_writes_no_blob_and_needs_no_statement_more(database):
    run = await claimed(database)
    await database.write(reserve_call, run.id, 1, CALL)
    await database.write(commit_call, run.id, 1, CALL, ANSWER)
    assert await blobs(database) == []


async def test_what_was_said_before_is_stored_once(database):
    """A chat's next prompt is the last one and a message more."""
    run = await claimed(database)
    await database.write(reserve_call, run.id, 1, LARGE)
    first = await blobs(database)
    longer = {**LONG, "messages": [*LONG["messages"], {"text": prose(3, 1000)}]}
    await database.write(reserve_call, run.id, 1, replace(CALL, fingerprint="b" * 64, request=longer))
    added = sum(len(row.content) for row in await blobs(database)) - sum(len(row.content) for row in first)
    assert 1000 <= added < 6000
    async with database.read() as session:
        ids = (await session.execute(sa.select(CALLS.c.id).order_by(CALLS.c.id))).scalars().all()
    assert [await asked(database, call_id) for call_id in ids] == [LONG, longer]


async def test_the_same_text_of_two_owners_is_stored_twice(database):
    """Nobody learns by a hash what somebody else has said."""
    for owner in ("ada", "grace"):
        run = await claimed_for(database, owner)
        await database.write(reserve_call, run.id, 1, LARGE)
    ada, grace = await blobs(database, "ada"), await blobs(database, "grace")
    assert {row.hash for row in ada} == {row.hash for row in grace} != set()


async def test_somebody_elses_request_does_not_exist(database):
    run = await claimed_for(database, "ada")
    await database.write(reserve_call, run.id, 1, LARGE)
    call_id = (await only_call(database, run.id)).id
    assert await asked(database, call_id, "ada") == LONG
    with pytest.raises(NotFound) as raised:
        await asked(database, call_id, "grace")
    assert raised.value.code == "call_not_found"


async def test_a_large_call_takes_a_bounded_number_of_statements(database):
    run = await claimed(database)
    statements: list[str] = []

    @sa.event.listens_for(database.engine.sync_engine, "before_cursor_execute")
    def count(_connection, _cursor, statement, *_rest) -> None:
        if not statement.startswith("BEGIN"):
            statements.append(statement.split()[0])

    await database.write(reserve_call, run.id, 1, LARGE)
    assert statements == ["INSERT", "SELECT", "INSERT"]
    statements.clear()
    await database.write(reserve_call, run.id, 1, LARGE)
    assert statements == ["INSERT", "SELECT"]
