"""Kept answers: found by key, told in batches, removed when they are old or there is no room."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.cache import CacheCounts, CacheRole, CacheStatistics, Claimed, KeptAnswer, KeptQuestion, Reuse
from database.clock import from_now, now
from database.engine import ReadSession, WriteSession
from database.statements import add_to, changed_rows, insert_or_existing, put
from database.tables import (
    CacheClaimRow,
    CacheDayRow,
    CacheEntryRow,
    CacheQuestionRow,
    CacheReuseRow,
    CacheWrongRow,
    core,
)
from runtime.clock import utcnow
from runtime.ids import new_id

STATISTICS_DAYS = 30
EVERYBODY = ""
EVICT_AT_ONCE = 500
_ENTRIES, _DAYS, _QUESTIONS = core(CacheEntryRow), core(CacheDayRow), core(CacheQuestionRow)
_REUSES, _WRONGS, _CLAIMS = core(CacheReuseRow), core(CacheWrongRow), core(CacheClaimRow)
_NO_CLAIMS: Mapping[str, UUID] = MappingProxyType({})
_OF_A_ROLE = (
    *("hits", "semantic", "shadow", "guarded", "saved_usd", "saved_ms"),
    *("wrong", "reviewed", "disagreed", "review_usd"),
)
_NOTHING: dict[str, Any] = {**dict.fromkeys(("misses", "kept", "evicted", *_OF_A_ROLE), 0), "saved_ms": 0.0}
_KEPT = [_ENTRIES.c[name] for name in KeptAnswer.__slots__ if name != "seconds"]


async def find_answer(session: ReadSession, key: str) -> KeptAnswer | None:
    """Return the answer under a key unless it is too old; one statement."""
    at = utcnow()
    query = sa.select(*_KEPT, _ENTRIES.c.expires_at).where(_ENTRIES.c.key == key, _ENTRIES.c.expires_at > at)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return None
    told = {column.name: getattr(row, column.name) for column in _KEPT}
    return KeptAnswer(**told, seconds=(row.expires_at - at).total_seconds())


async def tell_cache(
    session: WriteSession,
    kept: Sequence[KeptAnswer],
    used: Mapping[str, int],
    counts: Mapping[tuple[str, str], CacheCounts],
    questions: Sequence[KeptQuestion] = (),
    reuses: Sequence[Reuse] = (),
    over: Mapping[str, UUID] = _NO_CLAIMS,
) -> None:
    """Write new answers and their questions, how often old ones were used, and what was counted.

    Claims that are `over` are given up with it: whoever waited finds the answer or the way free.
    """
    at = utcnow()
    for answer in sorted(kept, key=lambda one: one.key):
        values: dict[str, Any] = {column.name: getattr(answer, column.name) for column in _KEPT}
        key = values.pop("key")
        times = {"created_at": at, "used_at": at, "expires_at": at + timedelta(seconds=answer.seconds)}
        await put(session, _ENTRIES, {"key": key}, {**values, **times, "hits": 0})
    for question in sorted(questions, key=lambda one: one.key):
        told = asdict(question)
        size = len(question.vector) + len(question.text.encode(errors="replace"))
        key = told.pop("key")
        await put(session, _QUESTIONS, {"key": key}, {**told, "size": size, "created_at": at})
    for key in sorted(used):
        more = {"hits": _ENTRIES.c.hits + used[key], "used_at": at}
        await session.execute(sa.update(_ENTRIES).where(_ENTRIES.c.key == key).values(more))
    for owner, role in sorted(counts):
        await count_day(session, owner, role, **asdict(counts[owner, role]))
    if reuses:
        rows = [{**asdict(one), "id": new_id(), "created_at": at} for one in reuses]
        await session.execute(sa.insert(_REUSES), rows)
    if over:
        await session.execute(sa.delete(_CLAIMS).where(*_those(over)))


async def claim_answer(
    session: WriteSession, key: str, owner: str, claim_id: UUID, seconds: float
) -> Claimed:
    """Write the claim to ask a question for all workers, unless another one's lease has not ended.

    An answer that was kept since the caller looked is returned instead: its holder's claim is gone by then.
    """
    told = {"owner": owner, "claim_id": claim_id, "expires_at": from_now(seconds)}
    row = await insert_or_existing(session, _CLAIMS, {"key": key, **told}, [_CLAIMS.c.claim_id])
    if row.claim_id != claim_id:
        ended = sa.update(_CLAIMS).where(_CLAIMS.c.key == key, _CLAIMS.c.expires_at <= now())
        if not await changed_rows(session, ended.values(told)):
            return Claimed(mine=False)
    if (answer := await find_answer(session, key)) is None:
        return Claimed(mine=True)
    await session.execute(sa.delete(_CLAIMS).where(*_those({key: claim_id})))
    return Claimed(mine=False, answer=answer)


async def look_for_answer(session: ReadSession, key: str) -> Claimed:
    """Return the answer that another worker asks for, or whether nobody asks any more."""
    if (answer := await find_answer(session, key)) is not None:
        return Claimed(mine=False, answer=answer)
    asked = sa.select(_CLAIMS.c.key).where(_CLAIMS.c.key == key, _CLAIMS.c.expires_at > now())
    return Claimed(mine=(await session.execute(asked)).first() is None)


async def renew_claims(session: WriteSession, held: Mapping[str, UUID], seconds: float) -> None:
    """Let leases last so long from now; claims that others took over stay theirs."""
    await session.execute(sa.update(_CLAIMS).where(*_those(held)).values(expires_at=from_now(seconds)))


def _those(held: Mapping[str, UUID]) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return _CLAIMS.c.key.in_(sorted(held)), _CLAIMS.c.claim_id.in_(sorted(held.values()))


async def count_day(session: WriteSession, owner: str, role: str, **sums: Any) -> None:
    """Add to what the cache did today for an owner's role; what is not said is zero."""
    day = {"owner": owner, "role": role, "day": utcnow().date().isoformat()}
    await add_to(session, _DAYS, day, {**_NOTHING, **sums})


async def tidy_cache(session: WriteSession, most_bytes: int) -> int:
    """Remove what is too old, and of the rest the longest unused beyond so many bytes; return how many."""
    at = utcnow()
    await session.execute(sa.delete(_ENTRIES).where(_ENTRIES.c.expires_at <= at))
    await session.execute(sa.delete(_CLAIMS).where(_CLAIMS.c.expires_at <= now()))
    long_ago = at - timedelta(days=STATISTICS_DAYS)
    for table, when in ((_REUSES, _REUSES.c.created_at), (_WRONGS, _WRONGS.c.found_at)):
        await session.execute(sa.delete(table).where(when < long_ago))
    over, removed = await _total(session) - most_bytes, 0
    while over > 0:
        size = _ENTRIES.c.size + sa.func.coalesce(_QUESTIONS.c.size, 0)
        joined = _ENTRIES.outerjoin(_QUESTIONS, _QUESTIONS.c.key == _ENTRIES.c.key)
        oldest = sa.select(_ENTRIES.c.key, size.label("size")).select_from(joined)
        oldest = oldest.order_by(_ENTRIES.c.used_at, _ENTRIES.c.key).limit(EVICT_AT_ONCE)
        gone = []
        for row in await session.execute(oldest):
            if over <= 0:
                break
            gone.append(row.key)
            over -= int(row.size)
        if not gone:
            break
        removed += await changed_rows(session, sa.delete(_ENTRIES).where(_ENTRIES.c.key.in_(gone)))
    # An answer that was told again a moment ago has its question; one that is gone leaves none behind.
    orphans = _QUESTIONS.c.key.not_in(sa.select(_ENTRIES.c.key))
    await session.execute(sa.delete(_QUESTIONS).where(orphans))
    if removed:
        await count_day(session, EVERYBODY, EVERYBODY, evicted=removed)
    return removed


async def _total(session: ReadSession) -> int:
    """Return the bytes of all answers and questions."""
    sizes = [sa.select(sa.func.coalesce(sa.func.sum(table.c.size), 0)) for table in (_ENTRIES, _QUESTIONS)]
    return sum([int((await session.execute(one)).scalar_one()) for one in sizes])


async def clear_cache(session: WriteSession, owner: str) -> int:
    """Remove an owner's answers, and return how many they were."""
    await session.execute(sa.delete(_QUESTIONS).where(_QUESTIONS.c.owner == owner))
    return await changed_rows(session, sa.delete(_ENTRIES).where(_ENTRIES.c.owner == owner))


async def cache_statistics(session: ReadSession, owner: str) -> CacheStatistics:
    """Return what the cache holds and saved for an owner."""
    since = (utcnow() - timedelta(days=STATISTICS_DAYS)).date().isoformat()
    held = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_ENTRIES.c.size), 0))
    entries, size = (await session.execute(held.where(_ENTRIES.c.owner == owner))).one()
    questions = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_QUESTIONS.c.size), 0))
    findable, more = (await session.execute(questions.where(_QUESTIONS.c.owner == owner))).one()
    sums = [sa.func.sum(_DAYS.c[name]).label(name) for name in ("misses", *_OF_A_ROLE)]
    days = sa.select(_DAYS.c.role, *sums).where(_DAYS.c.owner == owner, _DAYS.c.day >= since)
    rows = (await session.execute(days.group_by(_DAYS.c.role).order_by(_DAYS.c.role))).all()
    evicted = sa.select(sa.func.coalesce(sa.func.sum(_DAYS.c.evicted), 0))
    gone = (
        await session.execute(evicted.where(_DAYS.c.owner == EVERYBODY, _DAYS.c.day >= since))
    ).scalar_one()
    waiting = sa.select(_REUSES.c.role, sa.func.count().label("pending"))
    waiting = waiting.where(_REUSES.c.owner == owner, _REUSES.c.reviewed_at.is_(None))
    pending = {row.role: row.pending for row in await session.execute(waiting.group_by(_REUSES.c.role))}
    return CacheStatistics(
        entries=entries,
        questions=findable,
        bytes=int(size) + int(more),
        evicted=int(gone),
        roles=[_role(row, pending.get(row.role, 0)) for row in rows],
    )


def _role(row: Any, pending: int) -> CacheRole:
    told = {name: int(getattr(row, name)) for name in ("misses", *_OF_A_ROLE) if "_" not in name}
    hits, misses, reviewed = told["hits"], told["misses"], told["reviewed"]
    return CacheRole(
        role=row.role,
        **told,
        exact=hits - told["semantic"],
        hit_rate=hits / (hits + misses) if hits + misses else None,
        saved_usd=row.saved_usd,
        saved_seconds=row.saved_ms / 1000,
        disagreement=told["disagreed"] / reviewed if reviewed else None,
        review_usd=row.review_usd,
        pending=pending,
    )
