"""API keys: what programs call with. Stored by their hash; the secret is shown once and kept nowhere."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.people import ApiKey, Scope
from database.engine import ReadSession, WriteSession
from database.pages import MAX_PAGE, Page, cursor_id, encode_cursor
from database.people.audit import Doer, record
from database.people.sessions import Known, known
from database.statements import changed_rows
from database.tables import ApiKeyRow, core
from runtime.clock import utcnow
from runtime.errors import NotFound
from runtime.ids import new_id

_KEYS = core(ApiKeyRow)
_COLUMNS = [_KEYS.c[name] for name in ApiKey.model_fields]
USE_NOTED_EVERY = timedelta(minutes=1)


async def make_key(  # noqa: PLR0913  a row's columns
    session: WriteSession,
    by: Doer,
    user_id: UUID,
    *,
    project_id: UUID | None,
    name: str,
    prefix: str,
    key_hash: str,
    scopes: list[Scope],
    expires_at: datetime | None,
) -> ApiKey:
    """Store a key of the space `by.owner`, made by a person."""
    key_id = new_id()
    values: dict[str, Any] = {
        "id": key_id,
        "owner": by.owner,
        "user_id": user_id,
        "project_id": project_id,
        "name": name,
        "prefix": prefix,
        "hash": key_hash,
        "scopes": sorted(scopes),
        "created_at": utcnow(),
        "expires_at": expires_at,
    }
    await session.execute(sa.insert(_KEYS).values(values))
    await record(session, by, "key.made", f"key:{key_id}", name=name, scopes=sorted(scopes))
    return await get_key(session, by.owner, key_id)


async def get_key(session: ReadSession, owner: str, key_id: UUID, user_id: UUID | None = None) -> ApiKey:
    """Return one key of a space; with `user_id` only when this person made it.

    Raises:
        NotFound: `key_not_found`.
    """
    query = sa.select(*_COLUMNS).where(_KEYS.c.id == key_id, *_seen_by(owner, user_id))
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise _not_found(key_id)
    return ApiKey.model_validate(row, from_attributes=True)


async def list_keys(
    session: ReadSession,
    owner: str,
    user_id: UUID | None = None,
    *,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[ApiKey]:
    """Return the keys of a space, newest first; with `user_id` those that this person made.

    Raises:
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = sa.select(*_COLUMNS).where(*_seen_by(owner, user_id)).order_by(_KEYS.c.id.desc())
    if cursor is not None:
        query = query.where(_KEYS.c.id < cursor_id(cursor))
    rows = await session.execute(query.limit(limit + 1))
    items = [ApiKey.model_validate(row, from_attributes=True) for row in rows]
    more = len(items) > limit
    return Page(items[:limit], encode_cursor(str(items[limit - 1].id)) if more else None)


async def revoke_key(session: WriteSession, by: Doer, key_id: UUID, user_id: UUID | None = None) -> None:
    """End a key of the space `by.owner`; ending it twice is ending it once.

    Raises:
        NotFound: `key_not_found`.
    """
    here = (_KEYS.c.id == key_id, *_seen_by(by.owner, user_id))
    ended = sa.update(_KEYS).where(*here).values(revoked_at=sa.func.coalesce(_KEYS.c.revoked_at, utcnow()))
    if not await changed_rows(session, ended):
        raise _not_found(key_id)
    await record(session, by, "key.revoked", f"key:{key_id}")


async def replace_key(
    session: WriteSession,
    by: Doer,
    key_id: UUID,
    user_id: UUID,
    *,
    prefix: str,
    key_hash: str,
    old_until: datetime,
) -> ApiKey:
    """Make a key like another one of this person's; the old one works on until `old_until`.

    Raises:
        NotFound: `key_not_found`; a revoked or expired key cannot be rotated.
    """
    at = utcnow()
    live = (_KEYS.c.revoked_at.is_(None), _KEYS.c.expires_at.is_(None) | (_KEYS.c.expires_at > at))
    query = sa.select(_KEYS).where(_KEYS.c.id == key_id, *_seen_by(by.owner, user_id), *live)
    old = (await session.execute(query.with_for_update())).one_or_none()
    if old is None:
        raise _not_found(key_id)
    values = {
        **{name: getattr(old, name) for name in ("owner", "user_id", "project_id", "name", "scopes")},
        "id": new_id(),
        "prefix": prefix,
        "hash": key_hash,
        "created_at": at,
        # As long a life as the old one was given.
        "expires_at": None if old.expires_at is None else at + (old.expires_at - old.created_at),
    }
    await session.execute(sa.insert(_KEYS).values(values))
    until = old_until if old.expires_at is None else min(old_until, old.expires_at)
    await session.execute(sa.update(_KEYS).where(_KEYS.c.id == key_id).values(expires_at=until))
    await record(session, by, "key.rotated", f"key:{key_id}", to=str(values["id"]))
    return await get_key(session, by.owner, values["id"])


async def known_by_key(session: ReadSession, key_hash: str) -> tuple[ApiKey, Known] | None:
    """Return a key that works and its maker; none when it does not work or the maker may not sign in."""
    query = sa.select(*_COLUMNS).where(
        _KEYS.c.hash == key_hash,
        _KEYS.c.revoked_at.is_(None),
        _KEYS.c.expires_at.is_(None) | (_KEYS.c.expires_at > utcnow()),
    )
    row = (await session.execute(query)).one_or_none()
    maker = None if row is None else await known(session, row.user_id)
    return None if row is None or maker is None else (ApiKey.model_validate(row), maker)


async def note_use(session: WriteSession, key_id: UUID) -> None:
    """Note that a key was used, at most once a minute."""
    at = utcnow()
    stale = _KEYS.c.used_at.is_(None) | (_KEYS.c.used_at < at - USE_NOTED_EVERY)
    await session.execute(sa.update(_KEYS).where(_KEYS.c.id == key_id, stale).values(used_at=at))


def _seen_by(owner: str, user_id: UUID | None) -> list[sa.ColumnElement[bool]]:
    mine = [] if user_id is None else [_KEYS.c.user_id == user_id]
    return [_KEYS.c.owner == owner, *mine]


def _not_found(key_id: UUID) -> NotFound:
    return NotFound(f"There is no key {key_id}.", "key_not_found")
