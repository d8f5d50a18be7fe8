"""Canaries as rows: begun, looked at, ended. What their results say is judged elsewhere.

Who begins or ends one holds the program's row, see `database.learning.serving`.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from contracts.canaries import Canary, CanaryPolicy, CanaryStatus, Look
from database.clock import from_now, now
from database.engine import ReadSession, WriteSession
from database.learning.policies import get_policy
from database.learning.programs import get_program
from database.pages import MAX_PAGE, Page, bad_cursor, cursor_id, decode_cursor, encode_cursor
from database.statements import AnyRow, changed_rows
from database.tables import CanaryLookRow, CanaryRow, ProgramVersionRow, core
from runtime.clock import utcnow
from runtime.errors import NotFound
from runtime.ids import new_id

_CANARIES = core(CanaryRow)
_LOOKS = core(CanaryLookRow)
_VERSIONS = core(ProgramVersionRow)


@dataclass(frozen=True, slots=True)
class Due:
    """A canary at whose results somebody should look now."""

    id: UUID
    owner: str
    program: str
    version_id: UUID
    against_id: UUID
    policy: CanaryPolicy
    started_at: datetime
    due_at: datetime


async def begin_canary(
    session: WriteSession,
    owner: str,
    program: str,
    version_id: UUID,
    against_id: UUID,
    *,
    percent: float,
    policy: CanaryPolicy | None,
    by: str,
) -> None:
    """Watch a version from now on, or give the one that is watched another share, and a policy when told.

    Without a policy it is the program's (`database.learning.policies`).
    """
    values = {"percent": percent, **({} if policy is None else {"policy": policy.model_dump(mode="json")})}
    known = sa.update(_CANARIES).where(*_watched(owner, program), _CANARIES.c.version_id == version_id)
    if await changed_rows(session, known.values(values)):
        return
    usual = (await get_policy(session, owner, program)).canary
    new = {
        "id": new_id(),
        "owner": owner,
        "program": program,
        "version_id": version_id,
        "against_id": against_id,
        "policy": usual.model_dump(mode="json"),
        "status": CanaryStatus.WATCHED,
        "started_by": by,
        # By the clock of the workers, whose runs are compared with it.
        "started_at": utcnow(),
        "due_at": now(),
        "looks": 0,
        **values,
    }
    await session.execute(sa.insert(_CANARIES).values(new))


async def end_canary(
    session: WriteSession, owner: str, program: str, status: CanaryStatus, *, by: str, reason: str
) -> None:
    """Watch it no longer; nothing is done where none is watched."""
    ended = {"status": status, "ended_by": by, "ended_at": utcnow(), "reason": reason, "due_at": None}
    await session.execute(sa.update(_CANARIES).where(*_watched(owner, program)).values(ended))


async def note_active(
    session: WriteSession, owner: str, program: str, active_id: UUID, *, by: str, reason: str
) -> None:
    """Hear which version has just become active: the canary is promoted, or is compared anew with another."""
    row = (await session.execute(sa.select(_CANARIES).where(*_watched(owner, program)))).one_or_none()
    if row is None:
        return
    if row.version_id == active_id:
        await end_canary(session, owner, program, CanaryStatus.PROMOTED, by=by, reason=reason)
        return
    await end_canary(session, owner, program, CanaryStatus.RESTARTED, by=by, reason=reason)
    await begin_canary(
        *(session, owner, program, row.version_id, active_id),
        percent=row.percent,
        policy=CanaryPolicy.model_validate(row.policy),
        by=by,
    )


async def get_canary(session: ReadSession, owner: str, program: str) -> Canary:
    """Return the owner's newest canary of a program, ended or not, with its last look.

    Raises:
        NotFound: `unknown_program`, or `canary_not_found`: there was never one.
    """
    page = await list_canaries(session, owner, program, limit=1)
    if not page.items:
        raise NotFound(f"No version of {program} was ever a canary.", "canary_not_found")
    return page.items[0]


async def list_canaries(
    session: ReadSession, owner: str, program: str, *, limit: int = 50, cursor: str | None = None
) -> Page[Canary]:
    """Return the owner's canaries of a program, newest first, each with its last look.

    Raises:
        NotFound: `unknown_program`.
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    version, against = _VERSIONS.alias("version"), _VERSIONS.alias("against")
    last = (_LOOKS.c.canary_id == _CANARIES.c.id) & (_LOOKS.c.number == _CANARIES.c.looks)
    query = (
        sa.select(
            *(_CANARIES.c[name] for name in Canary.model_fields if name in _CANARIES.c),
            *(version.c.version, against.c.version.label("against"), _LOOKS.c.found.label("last")),
        )
        .join_from(_CANARIES, version, version.c.id == _CANARIES.c.version_id)
        .join(against, against.c.id == _CANARIES.c.against_id)
        .outerjoin(_LOOKS, last)
        .where(_CANARIES.c.owner == owner, _CANARIES.c.program == program)
    )
    if cursor is not None:
        query = query.where(_CANARIES.c.id < cursor_id(cursor))
    rows = (await session.execute(query.order_by(_CANARIES.c.id.desc()).limit(limit + 1))).all()
    if not rows:
        await get_program(session, owner, program)
    items = [Canary.model_validate(row, from_attributes=True) for row in rows[:limit]]
    return Page(items, encode_cursor(str(items[-1].id)) if len(rows) > limit else None)


async def list_looks(
    session: ReadSession, owner: str, program: str, *, limit: int = 50, cursor: str | None = None
) -> Page[Look]:
    """Return the looks at the newest canary of a program, the last first.

    Raises:
        NotFound: `unknown_program` or `canary_not_found`.
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    canary = await get_canary(session, owner, program)
    query = sa.select(_LOOKS.c.found).where(_LOOKS.c.canary_id == canary.id)
    if cursor is not None:
        query = query.where(_LOOKS.c.number < _number(cursor))
    found = await session.execute(query.order_by(_LOOKS.c.number.desc()).limit(limit + 1))
    items = [Look.model_validate(each) for each in found.scalars()]
    more = len(items) > limit
    return Page(items[:limit], encode_cursor(str(items[limit - 1].number)) if more else None)


async def due_canaries(session: ReadSession, limit: int = 20) -> list[Due]:
    """Return canaries of all owners at which somebody should look now, those that wait longest first."""
    query = sa.select(_CANARIES).where(_CANARIES.c.due_at <= now()).order_by(_CANARIES.c.due_at).limit(limit)
    return [_due(row) for row in await session.execute(query)]


async def take_look(session: WriteSession, due: Due, seconds: float) -> bool:
    """Return whether the caller is the one who looks; the next look is due after so many seconds.

    Of several workers that saw the same canary due one gets it, and when it dies, another one the next time.
    """
    mine = sa.update(_CANARIES).where(_CANARIES.c.id == due.id, _CANARIES.c.due_at == due.due_at)
    return await changed_rows(session, mine.values(due_at=from_now(seconds))) == 1


async def write_look(session: WriteSession, canary_id: UUID, look: Look) -> bool:
    """Add a look; false when the canary has ended meanwhile, and nothing is written."""
    counted = sa.update(_CANARIES).where(_CANARIES.c.id == canary_id, _CANARIES.c.due_at.is_not(None))
    if not await changed_rows(session, counted.values(looks=_CANARIES.c.looks + 1)):
        return False
    number = (
        await session.execute(sa.select(_CANARIES.c.looks).where(_CANARIES.c.id == canary_id))
    ).scalar_one()
    at = utcnow()
    found = look.model_copy(update={"number": number, "at": at}).model_dump(mode="json")
    values = {"canary_id": canary_id, "number": number, "found": found, "at": at}
    await session.execute(sa.insert(_LOOKS).values(values))
    return True


async def last_look(session: ReadSession, canary_id: UUID) -> Look | None:
    """Return the last look at a canary."""
    query = sa.select(_LOOKS.c.found).where(_LOOKS.c.canary_id == canary_id)
    found = await session.execute(query.order_by(_LOOKS.c.number.desc()).limit(1))
    row = found.scalar_one_or_none()
    return None if row is None else Look.model_validate(row)


def _watched(owner: str, program: str) -> tuple[sa.ColumnElement[bool], ...]:
    mine = (_CANARIES.c.owner == owner, _CANARIES.c.program == program)
    return (*mine, _CANARIES.c.status == CanaryStatus.WATCHED)


def _due(row: AnyRow) -> Due:
    return Due(
        id=row.id,
        owner=row.owner,
        program=row.program,
        version_id=row.version_id,
        against_id=row.against_id,
        policy=CanaryPolicy.model_validate(row.policy),
        started_at=row.started_at,
        due_at=row.due_at,
    )


def _number(cursor: str) -> int:
    (text,) = decode_cursor(cursor, parts=1)
    if not text.isdecimal() or len(text) > 9:  # noqa: PLR2004
        raise bad_cursor()
    return int(text)
