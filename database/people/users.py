"""People who may sign in. `database.people.sessions` holds their sign-ins."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.people import Role, User
from database.engine import ReadSession, WriteSession
from database.pages import MAX_PAGE, Page, cursor_id, encode_cursor
from database.people.audit import Doer, record
from database.people.sessions import end_sessions
from database.statements import AnyRow, changed_rows, insert_or_existing
from database.tables import UserRow, core
from runtime.clock import utcnow
from runtime.errors import Conflict, NotFound
from runtime.ids import new_id

_USERS = core(UserRow)
_COLUMNS = [
    *(_USERS.c[name] for name in ("id", "email", "name", "role", "created_at", "signed_in_at")),
    _USERS.c.disabled_at.is_not(None).label("disabled"),
    _USERS.c.email_verified_at.is_not(None).label("email_verified"),
]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a sign-in is checked against."""

    user_id: UUID
    password_hash: str | None
    disabled: bool


async def create_user(
    session: WriteSession,
    by: Doer,
    *,
    email: str,
    name: str,
    role: Role,
    password_hash: str | None,
    email_verified: bool = False,
) -> User:
    """Add a person; `email_verified` says that the address is known to be theirs.

    Raises:
        Conflict: `email_taken`.
    """
    at = utcnow()
    values: dict[str, Any] = {
        "id": new_id(),
        "email": email,
        "name": name,
        "role": role,
        "password_hash": password_hash,
        "email_verified_at": at if email_verified else None,
        "created_at": at,
        "updated_at": at,
    }
    row = await insert_or_existing(session, _USERS, values, [_USERS.c.id])
    if row.id != values["id"]:
        raise Conflict("Somebody has this email address already.", "email_taken")
    await record(session, by, "user.created", f"user:{row.id}", role=role)
    return await get_user(session, row.id)


async def get_user(session: ReadSession, user_id: UUID) -> User:
    """Return one person.

    Raises:
        NotFound: `user_not_found`.
    """
    query = sa.select(*_COLUMNS).where(UserRow.id == user_id, UserRow.erased_at.is_(None))
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise _not_found(user_id)
    return _user(row)


async def list_users(session: ReadSession, *, limit: int = 50, cursor: str | None = None) -> Page[User]:
    """Return people, the newest first.

    Raises:
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = sa.select(*_COLUMNS).where(UserRow.erased_at.is_(None)).order_by(UserRow.id.desc())
    if cursor is not None:
        query = query.where(UserRow.id < cursor_id(cursor))
    items = [_user(row) for row in await session.execute(query.limit(limit + 1))]
    more = len(items) > limit
    return Page(items[:limit], encode_cursor(str(items[limit - 1].id)) if more else None)


async def change_user(
    session: WriteSession,
    by: Doer,
    user_id: UUID,
    *,
    name: str | None = None,
    role: Role | None = None,
    disabled: bool | None = None,
    email_verified: bool | None = None,
) -> User:
    """Change a person; disabling ends their sign-ins.

    Raises:
        NotFound: `user_not_found`.
        Conflict: `last_admin`, nobody would be left who can undo it.
    """
    before = await get_user(session, user_id)
    if role not in {None, Role.ADMIN} or disabled:
        await refuse_last_admin(session, user_id)
    at = utcnow()
    changes: dict[str, Any] = {"updated_at": at}
    if name is not None:
        changes["name"] = name
    if role is not None:
        changes["role"] = role
    if disabled is not None and disabled != before.disabled:
        changes["disabled_at"] = at if disabled else None
    if email_verified is not None and email_verified != before.email_verified:
        changes["email_verified_at"] = at if email_verified else None
    await session.execute(sa.update(_USERS).where(_USERS.c.id == user_id).values(changes))
    if disabled:
        await end_sessions(session, user_id, "disabled")
    told = {
        "role": role,
        "disabled": disabled,
        "renamed": (name is not None) or None,
        "email_verified": email_verified,
    }
    told = {key: value for key, value in told.items() if value is not None}
    await record(session, by, "user.changed", f"user:{user_id}", **told)
    return await get_user(session, user_id)


async def credentials(session: ReadSession, email: str) -> Credentials | None:
    """Return what a sign-in under this address is checked against; none when nobody has it."""
    query = sa.select(UserRow.id, UserRow.password_hash, UserRow.disabled_at).where(
        UserRow.email == email, UserRow.erased_at.is_(None)
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else Credentials(row.id, row.password_hash, row.disabled_at is not None)


async def password_hash(session: ReadSession, user_id: UUID) -> str | None:
    """Return the hash of a person's password; none when they have no password here."""
    query = sa.select(UserRow.password_hash).where(UserRow.id == user_id)
    return (await session.execute(query)).scalar_one_or_none()


async def set_password(
    session: WriteSession, by: Doer, user_id: UUID, new_hash: str, *, keep: UUID | None = None
) -> None:
    """Give a person another password; their other sign-ins end, `keep` goes on.

    Raises:
        NotFound: `user_not_found`.
    """
    here = (_USERS.c.id == user_id, _USERS.c.erased_at.is_(None))
    values = {"password_hash": new_hash, "updated_at": utcnow()}
    if not await changed_rows(session, sa.update(_USERS).where(*here).values(values)):
        raise _not_found(user_id)
    await end_sessions(session, user_id, "password_changed", but=keep)
    await record(session, by, "user.password_changed", f"user:{user_id}")


async def note_sign_in(session: WriteSession, user_id: UUID, better_hash: str | None = None) -> None:
    """Note when somebody signed in, and their password's hash by newer parameters when there is one."""
    values: dict[str, Any] = {"signed_in_at": utcnow()}
    if better_hash:
        values["password_hash"] = better_hash
    await session.execute(sa.update(_USERS).where(_USERS.c.id == user_id).values(values))


async def refuse_last_admin(session: WriteSession, user_id: UUID) -> None:
    """Raise Conflict `last_admin` when this is the only administrator who can sign in."""
    query = (
        sa.select(UserRow.id)
        .where(UserRow.role == Role.ADMIN, UserRow.disabled_at.is_(None), UserRow.erased_at.is_(None))
        .with_for_update()
    )
    if list((await session.execute(query)).scalars()) == [user_id]:
        raise Conflict("This is the last administrator; make another one first.", "last_admin")


def _user(row: AnyRow) -> User:
    return User.model_validate(row, from_attributes=True)


def _not_found(user_id: UUID) -> NotFound:
    return NotFound(f"There is no user {user_id}.", "user_not_found")
