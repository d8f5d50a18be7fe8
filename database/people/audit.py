"""The audit log: who did what to what. This file adds and reads; nothing anywhere changes a line."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.people import AuditEntry
from database.engine import ReadSession, WriteSession
from database.pages import MAX_PAGE, Page, cursor_id, encode_cursor
from database.tables import AuditRow, core
from runtime.clock import utcnow
from runtime.ids import new_id

_AUDIT = core(AuditRow)
_COLUMNS = [_AUDIT.c[name] for name in AuditEntry.model_fields]
_WHENCE = frozenset({"address", "request_id"})


@dataclass(frozen=True, slots=True)
class Doer:
    """Who acts: `actor` is the credential (`user:<id>`, `key:<id>`), `owner` the space it acts in."""

    actor: str
    owner: str
    address: str | None = None
    request_id: str | None = None


COMMAND_LINE = Doer(actor="command-line", owner="local")


async def record(session: WriteSession, by: Doer, action: str, target: str, **detail: Any) -> None:
    """Add a line, in the transaction of what it tells about: neither is there without the other."""
    values = {
        "id": new_id(),
        "at": utcnow(),
        "actor": by.actor,
        "owner": by.owner,
        "action": action,
        "target": target,
        "detail": detail,
        "address": by.address,
        "request_id": by.request_id,
    }
    await session.execute(sa.insert(_AUDIT).values(values))


async def list_entries(
    session: ReadSession,
    *,
    actor: str | None = None,
    action: str | None = None,
    target: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[AuditEntry]:
    """Return the log, newest first; of one actor, one action or one target when asked for.

    Raises:
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = sa.select(*_COLUMNS).order_by(AuditRow.id.desc()).limit(limit + 1)
    for column, wanted in ((AuditRow.actor, actor), (AuditRow.action, action), (AuditRow.target, target)):
        if wanted is not None:
            query = query.where(column == wanted)
    if cursor is not None:
        query = query.where(AuditRow.id < cursor_id(cursor))
    items = [AuditEntry.model_validate(row, from_attributes=True) for row in await session.execute(query)]
    more = len(items) > limit
    return Page(items[:limit], encode_cursor(str(items[limit - 1].id)) if more else None)


def lines_about(user_id: UUID, keys: Iterable[UUID]) -> sa.Select[Any]:
    """Return the query for what a person and their keys did and for what was done to them, oldest first.

    Of what somebody else did it leaves out where they did it from: that is about them.
    """
    person = f"user:{user_id}"
    own = _AUDIT.c.actor.in_([person, *(f"key:{key}" for key in keys)])
    columns = [
        sa.case((own, column)).label(column.name) if column.name in _WHENCE else column for column in _COLUMNS
    ]
    return sa.select(*columns).where(own | (_AUDIT.c.target == person)).order_by(_AUDIT.c.id)
