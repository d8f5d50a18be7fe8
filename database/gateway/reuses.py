"""Kept answers that were used for other questions: found, looked at by the judge, removed when wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import sqlalchemy as sa

from contracts.cache import KeptQuestion, Reviewed
from database.engine import ReadSession, WriteSession
from database.gateway.cache import count_day
from database.pages import MAX_PAGE, Page, cursor_id, encode_cursor
from database.statements import changed_rows
from database.tables import (
    CacheDayRow,
    CacheEntryRow,
    CacheQuestionRow,
    CacheReuseRow,
    CacheWrongRow,
    CallRow,
    core,
)
from runtime.clock import utcnow
from runtime.ids import new_id

_QUESTIONS, _REUSES, _WRONGS = core(CacheQuestionRow), core(CacheReuseRow), core(CacheWrongRow)
_ENTRIES, _DAYS, _CALLS = core(CacheEntryRow), core(CacheDayRow), core(CallRow)
_KEPT = [_QUESTIONS.c[name] for name in KeptQuestion.__slots__]
_SHOWN = [_REUSES.c[name] for name in Reviewed.model_fields if name != "shadow"]
Verdict = Literal["same", "different"]


@dataclass(frozen=True, slots=True)
class Judged:
    """What the judge said of one use, and what that cost."""

    id: UUID
    verdict: Verdict
    usd: Decimal


async def newest_questions(session: ReadSession, owner: str, role: str, limit: int) -> list[KeptQuestion]:
    """Return the newest questions of an owner and a role, the oldest of them first."""
    mine = sa.select(*_KEPT).where(_QUESTIONS.c.owner == owner, _QUESTIONS.c.role == role)
    rows = await session.execute(mine.order_by(_QUESTIONS.c.created_at.desc()).limit(limit))
    return [KeptQuestion(*row) for row in rows][::-1]


async def questions_since(session: ReadSession, since: datetime, owners: Sequence[str]) -> list[KeptQuestion]:
    """Return the questions of these owners that were written since a moment, oldest first."""
    new = sa.select(*_KEPT).where(_QUESTIONS.c.created_at >= since, _QUESTIONS.c.owner.in_(owners))
    return [KeptQuestion(*row) for row in await session.execute(new.order_by(_QUESTIONS.c.created_at))]


async def wrong_since(session: ReadSession, since: datetime) -> list[str]:
    """Return the keys of answers that were found to be wrong since a moment."""
    return list(
        (await session.execute(sa.select(_WRONGS.c.key).where(_WRONGS.c.found_at >= since))).scalars()
    )


async def list_reuses(
    session: ReadSession, owner: str, *, limit: int = 50, cursor: str | None = None
) -> Page[Reviewed]:
    """Return the sampled uses of an owner's answers for other questions, newest first.

    Raises:
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = sa.select(*_SHOWN).where(_REUSES.c.owner == owner)
    if cursor is not None:
        query = query.where(_REUSES.c.id < cursor_id(cursor))
    rows = (await session.execute(query.order_by(_REUSES.c.id.desc()).limit(limit + 1))).all()
    items = [Reviewed(**row._mapping, shadow=row.fresh_answer is not None) for row in rows]  # noqa: SLF001  public
    return Page(items[:limit], encode_cursor(str(items[limit - 1].id)) if len(items) > limit else None)


async def pending_reuses(session: ReadSession, owner: str, role: str, limit: int) -> list[Reviewed]:
    """Return the owner's uses that the judge has not looked at, oldest first."""
    waiting = sa.select(*_SHOWN).where(
        _REUSES.c.owner == owner, _REUSES.c.role == role, _REUSES.c.reviewed_at.is_(None)
    )
    rows = await session.execute(waiting.order_by(_REUSES.c.id).limit(limit))
    return [Reviewed(**row._mapping, shadow=row.fresh_answer is not None) for row in rows]  # noqa: SLF001  public


async def owners_waiting(session: ReadSession, enough: int, since: datetime) -> list[str]:
    """Return the owners with so many uses to look at, or with one from before a moment."""
    many = sa.or_(sa.func.count() >= enough, sa.func.min(_REUSES.c.created_at) <= since)
    waiting = sa.select(_REUSES.c.owner).where(_REUSES.c.reviewed_at.is_(None))
    found = await session.execute(waiting.group_by(_REUSES.c.owner).having(many).order_by(_REUSES.c.owner))
    return list(found.scalars())


async def reviewed_today(session: ReadSession, owner: str, role: str) -> Decimal:
    """Return what the judge cost an owner's role since midnight UTC."""
    today = sa.select(_DAYS.c.review_usd).where(
        _DAYS.c.owner == owner, _DAYS.c.role == role, _DAYS.c.day == utcnow().date().isoformat()
    )
    found: Decimal | None = (await session.execute(today)).scalar_one_or_none()
    return found or Decimal(0)


async def settle_reuses(session: WriteSession, owner: str, role: str, judged: Sequence[Judged]) -> int:
    """Write what the judge said, and remove what it found wrong; return how many those were.

    Saying it twice is saying it once.
    """
    new: list[Judged] = []
    for one in sorted(judged, key=lambda each: each.id):
        mine = sa.update(_REUSES).where(
            _REUSES.c.id == one.id, _REUSES.c.owner == owner, _REUSES.c.reviewed_at.is_(None)
        )
        if await changed_rows(session, mine.values(verdict=one.verdict, reviewed_at=utcnow())):
            new.append(one)
    different = [one.id for one in new if one.verdict == "different"]
    keys = sa.select(_REUSES.c.key).where(_REUSES.c.id.in_(different)).distinct()
    wrong = list((await session.execute(keys)).scalars())
    removed = await remove_wrong(session, owner, dict.fromkeys(wrong, role), "judge")
    if new:
        usd = sum((one.usd for one in new), Decimal(0))
        sums = {"reviewed": len(new), "disagreed": len(different), "review_usd": usd}
        await count_day(session, owner, role, **sums)
    return removed


async def remove_answers_of(session: WriteSession, owner: str, run_id: UUID) -> int:
    """Remove the kept answers that a run of the owner was given, because a person says that it is wrong."""
    used = sa.select(_CALLS.c.cache_key, _CALLS.c.role).where(
        _CALLS.c.run_id == run_id, _CALLS.c.cache_key.is_not(None)
    )
    return await remove_wrong(
        session, owner, {row[0]: row[1] for row in await session.execute(used)}, "person"
    )


async def remove_wrong(
    session: WriteSession, owner: str, keys: dict[str, str], found_by: Literal["person", "judge"]
) -> int:
    """Remove answers that were found to be wrong, for all workers; return how many were still there.

    Args:
        session: of the transaction.
        owner: whose they are.
        keys: of the answers, each with its role.
        found_by: who says so.
    """
    removed = 0
    for key in sorted(keys):
        mine = sa.delete(_ENTRIES).where(_ENTRIES.c.key == key, _ENTRIES.c.owner == owner)
        await session.execute(
            sa.delete(_QUESTIONS).where(_QUESTIONS.c.key == key, _QUESTIONS.c.owner == owner)
        )
        if not await changed_rows(session, mine):
            continue
        row = {"id": new_id(), "owner": owner, "role": keys[key], "key": key, "found_by": found_by}
        await session.execute(sa.insert(_WRONGS).values(**row, found_at=utcnow()))
        await count_day(session, owner, keys[key], wrong=1)
        removed += 1
    return removed
