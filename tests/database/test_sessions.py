"""Sign-ins in the database: one winner on each kind of it, and none that stays for ever."""

import asyncio
from datetime import timedelta

from contracts.people import Role
from database.engine import Database
from database.people.audit import COMMAND_LINE
from database.people.sessions import (
    Outcome,
    end_session,
    forget_old_sessions,
    known_by_session,
    open_session,
    rotate_token,
)
from database.people.users import create_user
from runtime.clock import utcnow

LATER = timedelta(days=1)


async def signed_in(database: Database, token: str = "first", until: timedelta = LATER):
    user = await database.write(
        create_user,
        COMMAND_LINE,
        email=f"{token}@example.org",
        name="",
        role=Role.USER,
        password_hash=None,
    )
    at = utcnow() + until
    return user, await database.write(open_session, user.id, token, token_until=at, until=at)


async def test_of_twenty_who_show_a_token_at_once_one_wins_and_the_sign_in_ends(database: Database):
    _, session_id = await signed_in(database)
    shown = [
        database.write(rotate_token, "first", f"next{n}", token_until=utcnow() + LATER) for n in range(20)
    ]
    outcomes = [each.outcome for each in await asyncio.gather(*shown)]

    assert outcomes.count(Outcome.ROTATED) == 1
    assert set(outcomes) == {Outcome.ROTATED, Outcome.REUSED, Outcome.OVER}
    async with database.read() as session:
        assert await known_by_session(session, session_id) is None


async def test_an_expired_sign_in_is_over(database: Database):
    await signed_in(database, until=-timedelta(seconds=1))
    rotation = await database.write(rotate_token, "first", "next", token_until=utcnow() + LATER)

    assert rotation.outcome is Outcome.OVER


async def test_a_token_that_never_was_is_unknown(database: Database):
    rotation = await database.write(rotate_token, "guess", "next", token_until=utcnow() + LATER)

    assert rotation.outcome is Outcome.UNKNOWN


async def test_sign_ins_that_ended_long_ago_are_deleted_and_living_ones_stay(database: Database):
    _, ended = await signed_in(database, "ended")
    user, living = await signed_in(database, "living")
    await database.write(end_session, ended, "signed_out")

    assert await database.write(forget_old_sessions, utcnow() - LATER) == 0
    assert await database.write(forget_old_sessions, utcnow() + timedelta(seconds=1)) == 1
    assert await database.write(forget_old_sessions, utcnow() + timedelta(seconds=1)) == 0
    async with database.read() as session:
        found = await known_by_session(session, living)
    assert found is not None
    assert found.user_id == user.id
