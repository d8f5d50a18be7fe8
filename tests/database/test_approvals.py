"""Questions to people: asked once, decided once, about exactly one thing."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from contracts.approvals import ApprovalStatus, Asking, Decision
from contracts.runs import EventKind, RunStatus, Waiting, WaitKind
from database.queue.approvals import ask, decide, decided, get_approval, list_approvals
from database.queue.events import read_events
from database.queue.leases import claim_runs, finish_run
from database.queue.parking import park_run
from database.queue.runs import get_run, request_cancel
from database.tables import ApprovalRow, core
from runtime.errors import BadInput, Conflict, NotFound
from tests.fixtures.deciders import decider
from tests.fixtures.made_runs import claimed

APPROVALS = core(ApprovalRow)
WHAT = {"release": 7}
DIGEST = "d" * 64
ANNA = {"by": decider("anna")}


async def asked(database, run, **changes):
    question = {
        "asking": Asking.APPROVAL,
        "step": "flow/approval",
        "title": "Release 7?",
        "what": WHAT,
        "digest": DIGEST,
        **changes,
    }
    return await database.write(ask, run.id, "local", **question)


async def answer(database, approval, decision=Decision.APPROVE, digest=DIGEST, **more):
    return await database.write(decide, "local", approval.id, decision, digest, **ANNA, **more)


async def shown(database, approval):
    async with database.read() as session:
        return await get_approval(session, "local", approval.id)


async def parked(database, approval, run):
    waiting = Waiting(kind=WaitKind.APPROVAL, reason=approval.title, about=str(approval.id))
    return await database.write(
        park_run, run.id, run.attempt, waiting, lambda session: decided(session, approval.id)
    )


async def test_a_question_is_asked_once_however_often_its_code_runs(database):
    run = await claimed(database)
    first = await asked(database, run)
    again = await asked(database, run)
    assert again == first
    assert (first.status, first.what, first.run_id) == (ApprovalStatus.PENDING, WHAT, run.id)


async def test_a_decision_says_who_and_when_and_wakes_the_run(database):
    run = await claimed(database)
    approval = await asked(database, run)
    assert await parked(database, approval, run) is RunStatus.WAITING
    approved = await answer(database, approval, comment="checked")
    assert (approved.status, approved.decided_by, approved.comment) == ("approved", "anna", "checked")
    assert approved.decided_at is not None
    assert await asked(database, run) == approved
    async with database.read() as session:
        assert (await get_run(session, "local", run.id)).status is RunStatus.QUEUED
        told = [each.data for each in await read_events(session, run.id) if each.kind is EventKind.APPROVAL]
    assert [(each["status"], each["decided_by"]) for each in told] == [("approved", "anna")]


async def test_a_decision_that_comes_while_the_run_parks_is_not_slept_through(database):
    for _ in range(20):
        run = await claimed(database)
        approval = await asked(database, run)
        await asyncio.gather(parked(database, approval, run), answer(database, approval))
        async with database.read() as session:
            assert (await get_run(session, "local", run.id)).status is RunStatus.QUEUED
        await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)


async def test_of_many_decisions_at_once_one_counts(database):
    approval = await asked(database, await claimed(database))
    choices = [Decision.APPROVE, Decision.REJECT] * 5
    given = await asyncio.gather(
        *(answer(database, approval, each) for each in choices), return_exceptions=True
    )
    refused = [each for each in given if isinstance(each, Conflict)]
    assert (len(refused), {each.code for each in refused}) == (9, {"already_decided"})
    (counted,) = [each for each in given if not isinstance(each, Exception)]
    assert await shown(database, approval) == counted


async def test_a_decision_about_something_else_is_refused(database):
    """Somebody looked at release 6 while the run already asked about release 7."""
    approval = await asked(database, await claimed(database))
    with pytest.raises(Conflict) as refused:
        await answer(database, approval, digest="e" * 64)
    assert refused.value.code == "digest_mismatch"
    assert (await shown(database, approval)).status is ApprovalStatus.PENDING


async def test_an_approval_of_one_thing_is_none_of_another(database):
    run = await claimed(database)
    seven = await asked(database, run)
    await answer(database, seven)
    eight = await asked(database, run, what={"release": 8}, digest="8" * 64)
    assert (eight.id != seven.id, eight.status) == (True, ApprovalStatus.PENDING)


async def test_what_the_code_asks_no_more_is_taken_back_and_may_be_asked_again(database):
    run = await claimed(database)
    seven = await asked(database, run)
    await asked(database, run, what={"release": 8}, digest="8" * 64)
    with pytest.raises(Conflict) as refused:
        await answer(database, seven)
    assert refused.value.code == "approval_withdrawn"
    again = await asked(database, run)
    assert (again.id, again.status) == (seven.id, ApprovalStatus.PENDING)


async def test_nobody_decides_after_its_time(database):
    run = await claimed(database)
    approval = await asked(database, run, expires_in=timedelta(hours=1))
    assert approval.status is ApprovalStatus.PENDING
    past = sa.update(APPROVALS).values(expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    await database.write(lambda session: session.execute(past))
    with pytest.raises(Conflict) as refused:
        await answer(database, approval)
    assert refused.value.code == "approval_expired"
    async with database.read() as session:
        assert await decided(session, approval.id)
        listed = await list_approvals(session, "local", status=ApprovalStatus.EXPIRED)
        pending = await list_approvals(session, "local", status=ApprovalStatus.PENDING)
    assert ([each.id for each in listed.items], pending.items) == ([approval.id], [])
    assert (await asked(database, run)).status is ApprovalStatus.EXPIRED


@pytest.mark.parametrize("end", ["cancelled", "succeeded"])
async def test_an_ended_run_asks_nothing_more(database, end):
    run = await claimed(database)
    approval = await asked(database, run)
    if end == "cancelled":
        await parked(database, approval, run)
        await database.write(request_cancel, "local", run.id)
    else:
        await database.write(finish_run, run.id, 1, RunStatus.SUCCEEDED, {})
    assert (await shown(database, approval)).status is ApprovalStatus.WITHDRAWN


async def test_each_kind_of_question_has_answers_of_its_own(database):
    run = await claimed(database)
    approval = await asked(database, run)
    for decision, more in ((Decision.HAPPENED, {}), (Decision.APPROVE, {"result": 1})):
        with pytest.raises(BadInput) as refused:
            await answer(database, approval, decision, **more)
        assert refused.value.code == "decision_not_offered"
    lost = await asked(database, run, step="touch/tool", asking=Asking.TOOL_CALL)
    settled = await answer(database, lost, Decision.HAPPENED, result={"lines": 1})
    assert (settled.status, settled.result) == (ApprovalStatus.HAPPENED, {"lines": 1})


async def test_questions_of_others_do_not_exist(database):
    approval = await asked(database, await claimed(database))
    with pytest.raises(NotFound):
        await database.write(decide, "someone else", approval.id, Decision.APPROVE, DIGEST, **ANNA)
    with pytest.raises(NotFound):
        await database.write(decide, "local", uuid4(), Decision.APPROVE, DIGEST, **ANNA)
    async with database.read() as session:
        assert (await list_approvals(session, "someone else")).items == []


async def test_questions_are_listed_newest_first_page_by_page(database):
    run, other = await claimed(database), await claimed(database)
    ids = [(await asked(database, run, step=f"flow/{number}")).id for number in range(3)]
    await asked(database, other)
    async with database.read() as session:
        first = await list_approvals(session, "local", run_id=run.id, limit=2)
        second = await list_approvals(session, "local", run_id=run.id, limit=2, cursor=first.next_cursor)
    assert [each.id for each in first.items + second.items] == ids[::-1]
    assert second.next_cursor is None
