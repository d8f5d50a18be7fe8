"""Who was behind a credential: how long that is relied on, and when it is asked for again."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from api.auth import known
from api.auth.known import KnownCallers, Seen
from contracts.people import Role
from database.people.sessions import Known
from runtime.errors import MillraceError, NotAuthenticated, Unavailable
from runtime.ids import new_id

SECONDS = 8.0


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Desk:
    """Answers who somebody is, and counts how often it was asked."""

    def __init__(self) -> None:
        self.person = new_id()
        self.asked = 0
        self.error: MillraceError | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def ask(self) -> Seen:
        self.asked += 1
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return person(self.person)


def person(user_id: UUID) -> Seen:
    return Seen(Known(user_id, "ada@example.org", Role.USER, {}))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(known, "time", made)
    return made


@pytest.fixture
async def callers() -> AsyncIterator[KnownCallers]:
    made = KnownCallers(SECONDS)
    yield made
    await made.close()


async def settled() -> None:
    """Let what goes on beside requests come to its end."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_somebody_is_relied_on_for_a_while_and_then_asked_for_again(
    clock: Clock, callers: KnownCallers
):
    desk = Desk()
    assert (await callers.who("a", desk.ask)).person.user_id == desk.person
    clock.now += SECONDS / 2
    await callers.who("a", desk.ask)
    assert desk.asked == 1
    clock.now += SECONDS
    await callers.who("a", desk.ask)
    assert desk.asked == 2


async def test_who_calls_near_the_end_of_that_time_waits_for_nobody_and_is_known_on(
    clock: Clock, callers: KnownCallers
):
    desk = Desk()
    await callers.who("a", desk.ask)
    clock.now += SECONDS * 0.9
    desk.open.clear()
    for _ in range(3):
        await asyncio.wait_for(callers.who("a", desk.ask), 5)
        await settled()
    assert desk.asked == 2  # once for all three
    desk.open.set()
    await settled()
    clock.now += SECONDS * 0.5
    await callers.who("a", desk.ask)
    assert desk.asked == 2


async def test_a_credential_that_is_good_no_more_is_refused_at_the_next_request(
    clock: Clock, callers: KnownCallers
):
    desk = Desk()
    await callers.who("a", desk.ask)
    desk.error = NotAuthenticated("no", "bad_token")
    clock.now += SECONDS * 0.9
    await callers.who("a", desk.ask)
    await settled()
    with pytest.raises(NotAuthenticated):
        await callers.who("a", desk.ask)


async def test_while_nobody_can_tell_the_rest_of_the_time_is_used_and_no_more(
    clock: Clock, callers: KnownCallers
):
    desk = Desk()
    await callers.who("a", desk.ask)
    desk.error = Unavailable("away", "database_unavailable")
    clock.now += SECONDS * 0.9
    for _ in range(2):
        await callers.who("a", desk.ask)
        await settled()
    clock.now += SECONDS * 0.2
    with pytest.raises(Unavailable):
        await callers.who("a", desk.ask)


async def test_what_was_asked_before_somebody_was_forgotten_is_not_remembered_after_it(callers: KnownCallers):
    """A sign-out in the middle of another request's question."""
    desk = Desk()
    desk.open.clear()
    asking = asyncio.create_task(callers.who("a", desk.ask))
    await settled()
    callers.forget(desk.person)
    desk.open.set()
    await asking
    await callers.who("a", desk.ask)
    assert desk.asked == 2
