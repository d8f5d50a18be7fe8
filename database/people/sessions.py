"""Sign-ins and the chain of refresh tokens that each has.

A refresh token works once. A second use means that two have it, and nobody knows which one is the thief: the
whole sign-in ends (RFC 9700 §4.14.2).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa

from contracts.people import Role
from database.engine import ReadSession, WriteSession
from database.statements import changed_rows
from database.tables import MemberRow, ProjectRow, RefreshTokenRow, SessionRow, UserRow, core
from runtime.clock import utcnow
from runtime.ids import new_id

_SESSIONS = core(SessionRow)
_TOKENS = core(RefreshTokenRow)


@dataclass(frozen=True, slots=True)
class Known:
    """A person as each request needs them: what they are, here and in their projects."""

    user_id: UUID
    email: str
    role: Role
    projects: dict[UUID, Role]


class Outcome(StrEnum):
    """What became of a refresh token that was shown."""

    ROTATED = "rotated"
    UNKNOWN = "unknown"
    REUSED = "reused"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Rotation:
    """A refresh token that was shown, and whose it is when it is anybody's."""

    outcome: Outcome
    user_id: UUID | None = None
    session_id: UUID | None = None


async def open_session(
    session: WriteSession, user_id: UUID, token_hash: str, *, token_until: datetime, until: datetime
) -> UUID:
    """Begin a sign-in with its first refresh token; return its id."""
    session_id = new_id()
    values = {"id": session_id, "user_id": user_id, "created_at": utcnow(), "expires_at": until}
    await session.execute(sa.insert(_SESSIONS).values(values))
    await _add_token(session, session_id, token_hash, token_until)
    return session_id


async def rotate_token(
    session: WriteSession, shown_hash: str, next_hash: str, *, token_until: datetime
) -> Rotation:
    """Take a refresh token in and put the next one in its place; of many who show it, one wins.

    It returns where others raise: that a reused token ended its sign-in must be committed.
    """
    at = utcnow()
    unused = (_TOKENS.c.hash == shown_hash, _TOKENS.c.used_at.is_(None))
    won = await changed_rows(session, sa.update(_TOKENS).where(*unused).values(used_at=at))
    query = (
        sa.select(
            *(SessionRow.id, SessionRow.user_id, SessionRow.ended_at, UserRow.disabled_at, UserRow.erased_at),
            RefreshTokenRow.expires_at.label("token_until"),
            SessionRow.expires_at.label("until"),
        )
        .join(RefreshTokenRow, RefreshTokenRow.session_id == SessionRow.id)
        .join(UserRow, UserRow.id == SessionRow.user_id)
        .where(RefreshTokenRow.hash == shown_hash)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return Rotation(Outcome.UNKNOWN)
    if row.ended_at or row.disabled_at or row.erased_at or min(row.token_until, row.until) <= at:
        return Rotation(Outcome.OVER, row.user_id, row.id)
    if not won:
        await end_session(session, row.id, "reused")
        return Rotation(Outcome.REUSED, row.user_id, row.id)
    await _add_token(session, row.id, next_hash, token_until)
    return Rotation(Outcome.ROTATED, row.user_id, row.id)


async def end_session(session: WriteSession, session_id: UUID, why: str) -> None:
    """End a sign-in: none of its tokens works any more."""
    live = (_SESSIONS.c.id == session_id, _SESSIONS.c.ended_at.is_(None))
    await session.execute(sa.update(_SESSIONS).where(*live).values(ended_at=utcnow(), ended_why=why))


async def end_sessions(session: WriteSession, user_id: UUID, why: str, but: UUID | None = None) -> None:
    """End all sign-ins of a person, save one when it is given."""
    live = sa.update(_SESSIONS).where(_SESSIONS.c.user_id == user_id, _SESSIONS.c.ended_at.is_(None))
    if but is not None:
        live = live.where(_SESSIONS.c.id != but)
    await session.execute(live.values(ended_at=utcnow(), ended_why=why))


async def known_by_session(session: ReadSession, session_id: UUID) -> Known | None:
    """Return whose sign-in this is, while it lasts and the person may sign in."""
    query = (
        sa.select(UserRow.id)
        .join(SessionRow, SessionRow.user_id == UserRow.id)
        .where(SessionRow.id == session_id, SessionRow.ended_at.is_(None), SessionRow.expires_at > utcnow())
    )
    user_id = (await session.execute(query)).scalar_one_or_none()
    return None if user_id is None else await known(session, user_id)


async def known(session: ReadSession, user_id: UUID) -> Known | None:
    """Return a person with their projects; none when they are disabled or gone."""
    query = sa.select(UserRow.email, UserRow.role).where(
        UserRow.id == user_id, UserRow.disabled_at.is_(None), UserRow.erased_at.is_(None)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return None
    projects = (
        sa.select(MemberRow.project_id, MemberRow.role)
        .join(ProjectRow, ProjectRow.id == MemberRow.project_id)
        .where(MemberRow.user_id == user_id, ProjectRow.deleted_at.is_(None))
    )
    memberships = {each.project_id: Role(each.role) for each in await session.execute(projects)}
    return Known(user_id, row.email, Role(row.role), memberships)


async def forget_old_sessions(session: WriteSession, before: datetime, limit: int = 1000) -> int:
    """Delete sign-ins that ended or expired before a time, with their tokens; return how many."""
    over = (SessionRow.expires_at < before) | (SessionRow.ended_at < before)
    ids = list((await session.execute(sa.select(SessionRow.id).where(over).limit(limit))).scalars())
    if ids:
        await session.execute(sa.delete(_TOKENS).where(_TOKENS.c.session_id.in_(ids)))
        await session.execute(sa.delete(_SESSIONS).where(_SESSIONS.c.id.in_(ids)))
    return len(ids)


async def _add_token(session: WriteSession, session_id: UUID, token_hash: str, until: datetime) -> None:
    values = {
        "id": new_id(),
        "session_id": session_id,
        "hash": token_hash,
        "created_at": utcnow(),
        "expires_at": until,
    }
    await session.execute(sa.insert(_TOKENS).values(values))
