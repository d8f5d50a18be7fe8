"""Caps are exact to the call, and the same again when the ledger answers."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from contracts.calls import CallAnswer, CallRequest
from flows.learning.caps import Caps, Interrupted, Stopped
from llm.ledger import StepCalls
from runtime.clock import utcnow
from runtime.errors import MillraceError, Unavailable
from tests.fixtures.notebook_ledger import NotebookLedger


def request(n: int, most: str = "0") -> CallRequest:
    return CallRequest("s", n, "f", "model", "chat", {}, Decimal(most))


def answer(cost: str) -> CallAnswer:
    return CallAnswer({}, "d", "m", 1, 1, Decimal(cost), 1.0)


async def made(notes: NotebookLedger, caps: Caps, cost: str = "0.3", most: str = "0.4") -> int:
    """Make calls until the caps say stop, and return how many came to an answer."""
    calls = StepCalls(notes, "s")
    caps.guard(calls)
    for n in range(100):
        try:
            known = await calls.ledger.reserve(request(n, most))
        except Stopped:
            return n
        if known is None:
            await calls.ledger.commit(request(n, most), answer(cost))
    return 100


async def test_a_cap_on_calls_stops_at_exactly_that_number():
    caps = Caps(calls=7, hard=True)
    assert await made(NotebookLedger(), caps) == 7
    assert (caps.made, caps.reached) == (7, "calls")


async def test_a_cap_on_money_is_never_passed():
    """0.3 each, 0.4 at most: the third would end at 0.9, a fourth could end at 1.3."""
    caps = Caps(usd=Decimal(1), hard=True)
    assert await made(NotebookLedger(), caps) == 3
    assert (caps.spent, caps.held, caps.reached) == (Decimal("0.9"), 0, "usd")


async def test_calls_in_flight_count_with_the_most_that_they_may_cost():
    caps, notes = Caps(usd=Decimal(1), hard=True), NotebookLedger()
    calls = StepCalls(notes, "s")
    caps.guard(calls)
    results = await asyncio.gather(
        *(calls.ledger.reserve(request(n, "0.4")) for n in range(4)), return_exceptions=True
    )
    assert sum(isinstance(one, Stopped) for one in results) == 2


async def test_a_repeated_try_ends_at_the_same_call():
    notes = NotebookLedger()
    first = await made(notes, Caps(usd=Decimal(1), hard=True))
    assert await made(notes, Caps(usd=Decimal(1), hard=True)) == first


async def test_under_a_cap_on_money_no_call_of_unknown_price_is_made():
    """Nobody could keep to the cap. Without one it is made, as before."""
    unknown = MillraceError("nobody knows", code="price_unknown")
    call = replace(request(0), most_usd=unknown)
    calls = StepCalls(NotebookLedger(), "s")
    Caps(usd=Decimal(1), hard=True).guard(calls)
    with pytest.raises(Interrupted) as hard:
        await calls.ledger.reserve(call)
    assert hard.value.error is unknown
    calls = StepCalls(NotebookLedger(), "s")
    Caps(usd=Decimal(1)).guard(calls)
    with pytest.raises(MillraceError) as soft:
        await calls.ledger.reserve(call)
    assert soft.value is unknown
    calls = StepCalls(NotebookLedger(), "s")
    Caps(calls=1, hard=True).guard(calls)
    assert await calls.ledger.reserve(call) is None


async def test_time_is_over_when_it_is():
    caps = Caps(until=utcnow() - timedelta(seconds=1), hard=True)
    assert (await made(NotebookLedger(), caps), caps.reached) == (0, "minutes")


async def test_where_errors_are_handled_the_cap_is_an_error():
    calls = StepCalls(NotebookLedger(), "s")
    Caps(calls=0).guard(calls)
    with pytest.raises(MillraceError, match="cap of this run is reached") as caught:
        await calls.ledger.reserve(request(0))
    assert (caught.value.code, caught.value.retryable) == ("cap_reached", False)


async def test_a_failure_that_may_heal_ends_the_try_of_an_optimizer():
    """It would count the example as wrong, and go on to another program than without the failure."""
    notes = NotebookLedger()
    calls = StepCalls(notes, "s")
    Caps(hard=True).guard(calls)
    await calls.ledger.reserve(request(0))
    with pytest.raises(Interrupted):
        await calls.ledger.fail(request(0), Unavailable("away"), 1.0)
    await calls.ledger.fail(request(0), MillraceError("no", code="unparsable_answer"), 1.0)
    assert notes.statuses == ["failed"]


async def test_an_answer_that_cannot_be_written_ends_the_try_of_an_optimizer():
    """It would go on with an answer that the next try does not get."""

    class Away(NotebookLedger):
        async def commit(self, call: CallRequest, answer: CallAnswer) -> None:
            del call, answer
            raise Unavailable("away", code="database_timeout")

    for hard, raised in ((True, Interrupted), (False, Unavailable)):
        calls = StepCalls(Away(), "s")
        Caps(hard=hard).guard(calls)
        await calls.ledger.reserve(request(0))
        with pytest.raises(raised):
            await calls.ledger.commit(request(0), answer("0.3"))
