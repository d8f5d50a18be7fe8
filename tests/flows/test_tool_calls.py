"""Calls to the world: made once; one that was cut off is asked about and never repeated on a guess."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from contracts.approvals import Approval, ApprovalStatus, Asking, Decision
from contracts.runs import RunStatus, WaitKind
from database.engine import Database
from database.journal.calls import list_calls
from database.queue.again import fork_run
from database.queue.approvals import decide, get_approval
from database.queue.leases import Claimed, claim_runs, finish_run, release_run
from database.queue.parking import park_run
from database.tables import ApprovalRow, core
from flows.durable.approvals import approval, digest_of
from flows.durable.event_log import EventLog
from flows.durable.parking import Parked
from flows.durable.run import Run, enter_run
from flows.durable.tool_calls import tool_call
from flows.durable.versions import Versions
from runtime.clock import utcnow
from runtime.errors import MillraceError, Unavailable
from tests.fixtures.deciders import decider
from tests.fixtures.made_runs import PARAMS, claimed

INVOICE = {"customer": 7, "usd": "12.50"}


class World:
    """What tools do to: a list of invoices that were really sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.dies_after: type[BaseException] | BaseException | None = None

    async def send(self, **invoice: Any) -> dict[str, int]:
        self.sent.append(invoice)
        if self.dies_after is not None:
            raise self.dies_after
        return {"number": len(self.sent)}


@pytest.fixture
def world() -> World:
    return World()


@asynccontextmanager
async def attempt(database: Database, claim: Claimed) -> AsyncIterator[Run]:
    """Execute one attempt of a run in this task, and write its events."""
    run = Run(
        claim.id,
        claim.attempt,
        "local",
        "analysis",
        database,
        object(),
        EventLog(database),
        Versions(database),
    )
    enter_run(run)
    await run.begin()
    yield run
    await run.events.close()


async def died(database: Database, claim: Claimed) -> Claimed:
    """Give a run back whose process died, and claim it again."""
    await database.write(release_run, claim.id, claim.attempt)
    return await taken(database)


async def taken(database: Database) -> Claimed:
    (claim,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    return claim


async def parked(run: Run, work: Callable[[], Awaitable[Any]]) -> Approval:
    """Return what a run asks and waits for; its row is parked as the worker does it."""
    with pytest.raises(Parked) as signal:
        await work()
    await run.events.drain(run.id)
    await run.database.write(park_run, run.id, run.attempt, signal.value.waiting, signal.value.until)
    async with run.database.read() as session:
        return await get_approval(session, "local", UUID(signal.value.waiting.about))


async def answer(database: Database, asked: Approval, decision: Decision, **more: Any) -> None:
    await database.write(decide, "local", asked.id, decision, asked.digest, by=decider("anna"), **more)


async def test_a_finished_call_is_answered_from_the_ledger(database: Database, world: World) -> None:
    claim = await claimed(database)
    async with attempt(database, claim):
        assert await tool_call("send", INVOICE, world.send) == {"number": 1}
    async with attempt(database, await died(database, claim)):
        assert await tool_call("send", INVOICE, world.send) == {"number": 1}
    assert world.sent == [INVOICE]


async def test_equal_calls_of_one_attempt_are_made_each(database: Database, world: World) -> None:
    async with attempt(database, await claimed(database)):
        given = [await tool_call("send", INVOICE, world.send) for _ in range(2)]
    assert given == [{"number": 1}, {"number": 2}]


async def cut_off(database: Database, world: World) -> Claimed:
    """Return the next attempt of a run whose process died after it sent an invoice."""
    claim = await claimed(database)
    world.dies_after = asyncio.CancelledError()
    async with attempt(database, claim):
        with pytest.raises(asyncio.CancelledError):
            await tool_call("send", INVOICE, world.send)
    world.dies_after = None
    return await died(database, claim)


async def test_a_call_that_was_cut_off_is_asked_about(database: Database, world: World) -> None:
    async with attempt(database, await cut_off(database, world)) as run:
        asked = await parked(run, lambda: tool_call("send", INVOICE, world.send))
    assert world.sent == [INVOICE]
    assert (asked.asking, asked.status) == (Asking.TOOL_CALL, ApprovalStatus.PENDING)
    assert run.parked.waiting.kind is WaitKind.ANSWER
    assert "Did `send` happen?" in asked.title
    assert asked.what["arguments_digest"] == digest_of(INVOICE)
    assert (asked.what["arguments"], asked.what["attempt"]) == (INVOICE, 1)


async def test_one_that_happened_gives_the_result_that_the_person_says(
    database: Database, world: World
) -> None:
    async with attempt(database, await cut_off(database, world)) as run:
        asked = await parked(run, lambda: tool_call("send", INVOICE, world.send))
    await answer(database, asked, Decision.HAPPENED, result={"number": 41})
    claim = await taken(database)
    async with attempt(database, claim):
        assert await tool_call("send", INVOICE, world.send) == {"number": 41}
    async with attempt(database, await died(database, claim)):
        assert await tool_call("send", INVOICE, world.send) == {"number": 41}
    assert world.sent == [INVOICE]
    async with database.read() as session:
        (call,) = (await list_calls(session, "local", claim.id)).items
    assert (call.kind, call.role, call.status) == ("tool", "send", "succeeded")


async def test_one_that_did_not_happen_is_made_and_if_cut_off_again_asked_again(
    database: Database, world: World
) -> None:
    async with attempt(database, await cut_off(database, world)) as run:
        asked = await parked(run, lambda: tool_call("send", INVOICE, world.send))
    await answer(database, asked, Decision.REPEAT)
    world.dies_after = asyncio.CancelledError()
    claim = await taken(database)
    async with attempt(database, claim):
        with pytest.raises(asyncio.CancelledError):
            await tool_call("send", INVOICE, world.send)
    world.dies_after = None
    async with attempt(database, await died(database, claim)) as run:
        again = await parked(run, lambda: tool_call("send", INVOICE, world.send))
    assert again.id != asked.id
    await answer(database, again, Decision.REPEAT)
    async with attempt(database, await taken(database)):
        assert await tool_call("send", INVOICE, world.send) == {"number": 3}


async def test_one_that_is_given_up_fails_with_a_code_of_its_own(database: Database, world: World) -> None:
    async with attempt(database, await cut_off(database, world)) as run:
        asked = await parked(run, lambda: tool_call("send", INVOICE, world.send))
    await answer(database, asked, Decision.GIVE_UP, comment="the customer is gone")
    async with attempt(database, await taken(database)):
        with pytest.raises(MillraceError, match="the customer is gone") as given_up:
            await tool_call("send", INVOICE, world.send)
    assert given_up.value.code == "tool_call_given_up"


async def test_one_that_may_be_repeated_is_repeated(database: Database, world: World) -> None:
    async with attempt(database, await cut_off(database, world)):
        assert await tool_call("send", INVOICE, world.send, idempotent=True) == {"number": 2}


async def test_a_tool_that_says_that_nothing_happened_is_tried_again(
    database: Database, world: World
) -> None:
    claim = await claimed(database)
    world.dies_after = Unavailable("the mail server is away")
    async with attempt(database, claim):
        with pytest.raises(Unavailable):
            await tool_call("send", INVOICE, world.send)
    world.dies_after = None
    async with attempt(database, await died(database, claim)):
        assert await tool_call("send", INVOICE, world.send) == {"number": 2}


async def test_a_fork_asks_about_what_was_cut_off_in_the_run_that_it_begins_from(
    database: Database, world: World
) -> None:
    claim = await cut_off(database, world)
    await database.write(finish_run, claim.id, claim.attempt, RunStatus.CANCELLED)
    await database.write(fork_run, "local", claim.id, params=PARAMS)
    async with attempt(database, await taken(database)) as run:
        assert run.id != claim.id
        await parked(run, lambda: tool_call("send", INVOICE, world.send))
    assert world.sent == [INVOICE]


async def test_an_approval_is_asked_for_and_met_again(database: Database) -> None:
    claim = await claimed(database)
    async with attempt(database, claim) as run:
        asked = await parked(run, lambda: approval("Release?", {"release": 7}))
    assert (asked.step, asked.digest) == ("flow/approval", digest_of({"release": 7}))
    await answer(database, asked, Decision.APPROVE)
    async with attempt(database, await taken(database)):
        assert (await approval("Release?", {"release": 7})).decided_by == "anna"


async def test_a_rejection_fails_the_flow_or_is_returned_as_it_likes(database: Database) -> None:
    async with attempt(database, await claimed(database)) as run:
        asked = await parked(run, lambda: approval("Release?", [7]))
    await answer(database, asked, Decision.REJECT, comment="too early")
    claim = await taken(database)
    async with attempt(database, claim):
        with pytest.raises(MillraceError, match="too early") as rejected:
            await approval("Release?", [7])
        assert rejected.value.code == "approval_rejected"
    async with attempt(database, await died(database, claim)):
        assert (await approval("Release?", [7], required=False)).status is ApprovalStatus.REJECTED


async def test_an_approval_that_nobody_gave_in_time_is_none(database: Database) -> None:
    async with attempt(database, await claimed(database)) as run:
        with pytest.raises(Parked) as signal:
            await approval("Release?", [7], expires_in=timedelta(hours=1))
        assert signal.value.waiting.wake_at is not None
        passed = sa.update(core(ApprovalRow)).values(expires_at=utcnow() - timedelta(seconds=1))
        await database.write(lambda session: session.execute(passed))
        run.parked = None
        run.step_counts.clear()
        with pytest.raises(MillraceError) as late:
            await approval("Release?", [7], expires_in=timedelta(hours=1))
    assert late.value.code == "approval_expired"


async def test_two_approvals_of_one_flow_are_two_questions(database: Database) -> None:
    claim = await claimed(database)
    async with attempt(database, claim) as run:
        first = await parked(run, lambda: approval("One?", [1]))
    await answer(database, first, Decision.APPROVE)
    async with attempt(database, await taken(database)) as run:
        await approval("One?", [1])
        second = await parked(run, lambda: approval("Two?", [2]))
    assert second.step == "flow/approval#2"
