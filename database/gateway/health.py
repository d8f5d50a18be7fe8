"""How models are doing: told by each worker about once a second, and read by all of them and by people.

No call waits for this, and none adds a statement: workers count in memory and tell the sums.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from contracts.models import Deployment, Seen, Today, percentiles
from database.clock import from_now, now
from database.engine import ReadSession, WriteSession
from database.queue.workers import SEEN_WITHIN_SECONDS
from database.statements import add_to, changed_rows
from database.tables import ModelDayRow, ModelLatencyRow, ModelRow, WorkerRow, core
from runtime.clock import utcnow

WINDOW_MINUTES = 15
FAILURES = -1
_MODELS, _DAYS, _LATENCIES, _WORKERS = (
    core(ModelRow),
    core(ModelDayRow),
    core(ModelLatencyRow),
    core(WorkerRow),
)
_COUNTS = ("answers", "failures", "input_tokens", "output_tokens", "cost_usd", "unpriced")


@dataclass(frozen=True, slots=True)
class Shared:
    """What all workers together know: rests in seconds from now, money of today in US dollars."""

    rests: dict[str, float]
    known: frozenset[str]
    switched_off: frozenset[str]
    usd_today: dict[str, Decimal]
    workers: int


async def tell_health(session: WriteSession, seen: Mapping[str, Seen], rests: Mapping[str, float]) -> None:
    """Add what a worker saw, and the rests that began there (seconds from now); the longer rest holds."""
    at = utcnow()
    for name in sorted(rests):
        until = from_now(rests[name])
        shorter = _MODELS.c.rests_until.is_(None) | (_MODELS.c.rests_until < until)
        rest = sa.update(_MODELS).where(_MODELS.c.name == name, shorter).values(rests_until=until)
        await session.execute(rest)
    for name in sorted(seen):
        one = seen[name]
        told = {"answered_at": one.answered_at, "failed_at": one.failed_at, "error": one.error}
        if values := {column: value for column, value in told.items() if value is not None}:
            await session.execute(sa.update(_MODELS).where(_MODELS.c.name == name).values(values))
        counts = {column: getattr(one, column) for column in _COUNTS}
        await add_to(session, _DAYS, {"name": name, "day": day_of(at)}, counts)
        buckets = {**one.latencies, FAILURES: one.failures}
        for bucket in sorted(bucket for bucket, count in buckets.items() if count):
            key = {"name": name, "minute": minute_of(at), "bucket": bucket}
            await add_to(session, _LATENCIES, key, {"answers": buckets[bucket]})


async def shared_health(session: ReadSession) -> Shared:
    """Return what decides whether a model is asked; three small statements."""
    columns = (_MODELS.c.name, _MODELS.c.enabled, _MODELS.c.rests_until, now().label("at"))
    models = (await session.execute(sa.select(*columns))).all()
    days = await session.execute(
        sa.select(_DAYS.c.name, _DAYS.c.cost_usd).where(_DAYS.c.day == day_of(utcnow()))
    )
    alive = sa.select(sa.func.count()).where(_WORKERS.c.seen_at >= from_now(-SEEN_WITHIN_SECONDS))
    left = {row.name: (row.rests_until - row.at).total_seconds() for row in models if row.rests_until}
    return Shared(
        rests={name: seconds for name, seconds in left.items() if seconds > 0},
        known=frozenset(row.name for row in models),
        switched_off=frozenset(row.name for row in models if not row.enabled),
        usd_today={row.name: row.cost_usd for row in days},
        workers=max((await session.execute(alive)).scalar_one(), 1),
    )


async def list_deployments(session: ReadSession) -> list[Deployment]:
    """Return how every model is doing, by name."""
    at = utcnow()
    models = (await session.execute(sa.select(*_MODELS.c, now().label("at")).order_by(_MODELS.c.name))).all()
    days = {row.name: row for row in await session.execute(sa.select(_DAYS).where(_DAYS.c.day == day_of(at)))}
    recent = (
        sa.select(_LATENCIES.c.name, _LATENCIES.c.bucket, sa.func.sum(_LATENCIES.c.answers).label("answers"))
        .where(_LATENCIES.c.minute > minute_of(at) - WINDOW_MINUTES)
        .group_by(_LATENCIES.c.name, _LATENCIES.c.bucket)
    )
    latencies: dict[str, dict[int, int]] = {}
    for row in await session.execute(recent):
        latencies.setdefault(row.name, {})[row.bucket] = int(row.answers)
    return [_deployment(row, latencies.get(row.name, {}), days.get(row.name)) for row in models]


async def claim_probe(session: WriteSession, name: str, every_seconds: float) -> bool:
    """Return whether this worker probes a model now: one of them does, once in this time."""
    due = _MODELS.c.probed_at.is_(None) | (_MODELS.c.probed_at < from_now(-every_seconds))
    claim = sa.update(_MODELS).where(_MODELS.c.name == name, due).values(probed_at=now())
    return await changed_rows(session, claim) == 1


async def end_rest(session: WriteSession, name: str) -> None:
    """Let a model be asked again before its rest is over: it answered a probe."""
    await session.execute(sa.update(_MODELS).where(_MODELS.c.name == name).values(rests_until=None))


async def forget_latencies(session: WriteSession) -> int:
    """Remove the histograms of minutes that nobody looks at any more, and return how many rows those were."""
    old = _LATENCIES.c.minute < minute_of(utcnow()) - 4 * WINDOW_MINUTES
    return await changed_rows(session, sa.delete(_LATENCIES).where(old))


def day_of(at: datetime) -> str:
    """Return the day of a time as the table has it."""
    return at.date().isoformat()


def minute_of(at: datetime) -> int:
    """Return the minute of a time, counted from 1970."""
    return int(at.timestamp()) // 60


def _deployment(row: Any, latencies: dict[int, int], day: Any) -> Deployment:
    failures = latencies.pop(FAILURES, 0)
    answers = sum(latencies.values())
    p50, p95, p99 = percentiles(latencies, (0.5, 0.95, 0.99))
    resting = row.rests_until is not None and row.rests_until > row.at
    return Deployment(
        **{name: getattr(row, name) for name in ("name", "kind", "model", "configured", "enabled", "error")},
        rests_until=row.rests_until if resting else None,
        answered_at=row.answered_at,
        failed_at=row.failed_at,
        answers=answers,
        failures=failures,
        error_rate=failures / (answers + failures) if answers + failures else None,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        today=Today() if day is None else Today.model_validate(day, from_attributes=True),
    )
