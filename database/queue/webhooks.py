"""The outbox of webhooks: filled by the end of a run, emptied by workers, its log kept."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.webhooks import Delivery, Webhook, WebhookStatus
from database.clock import from_now, now
from database.engine import ReadSession, WriteSession
from database.statements import AnyRow
from database.tables import RunRow, WebhookRow, core
from runtime.clock import utcnow
from runtime.errors import NotFound
from runtime.ids import new_id

_RUNS = core(RunRow)
_HOOKS = core(WebhookRow)
_TOLD = ("id", "pipeline", "status", "origin", "attempt", "error", "cost_usd", "created_at", "finished_at")
# Deliveries under way in one worker. One owner gets a quarter: slow receivers of theirs delay nobody else.
MOST_AT_ONCE = 80
MOST_OF_ONE = MOST_AT_ONCE // 4

# Seconds until the next try after each one that failed; after the last the message has failed. About three
# days in all, as standardwebhooks.com recommends.
PAUSES = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)


@dataclass(frozen=True, slots=True)
class Due:
    """A message that this worker may deliver now."""

    id: UUID
    run_id: UUID
    owner: str
    url: str
    body: dict[str, Any]
    deliveries: list[Any]


async def queue_webhooks(session: WriteSession, run_ids: Sequence[UUID]) -> None:
    """Write the messages about runs that have ended and were asked to tell it."""
    query = sa.select(_RUNS.c.owner, _RUNS.c.webhook_url, *(_RUNS.c[name] for name in _TOLD))
    rows = (
        await session.execute(query.where(_RUNS.c.id.in_(run_ids), _RUNS.c.webhook_url.is_not(None)))
    ).all()
    if rows:
        await session.execute(sa.insert(_HOOKS).values([_message(row) for row in rows]))


async def claim_webhooks(
    session: WriteSession, lease_seconds: float, under_way: Iterable[str] = ()
) -> list[Due]:
    """Take messages that are due out of the reach of all workers for some seconds.

    Args:
        session: the transaction.
        lease_seconds: how long.
        under_way: whose messages this worker delivers already, an owner for each: these places are taken.
    """
    places, claimed = Counter(under_way), list[Due]()
    while (free := MOST_AT_ONCE - places.total()) > 0:
        full = [owner for owner, held in places.items() if held >= MOST_OF_ONE]
        found = await _due(session, full, free)
        taken = []
        for each in found:
            if places[each.owner] < MOST_OF_ONE:
                places[each.owner] += 1
                taken.append(each)
        if taken:
            lease = sa.update(_HOOKS).where(_HOOKS.c.id.in_([each.id for each in taken]))
            await session.execute(lease.values(next_try_at=from_now(lease_seconds)))
            claimed += taken
        # What was left out belongs to owners who are full now: another look finds what stands behind it.
        if len(taken) == len(found):
            break
    return claimed


async def _due(session: WriteSession, full: Sequence[str], limit: int) -> list[Due]:
    query = sa.select(*(_HOOKS.c[each.name] for each in fields(Due)))
    query = query.where(_HOOKS.c.next_try_at <= now(), _HOOKS.c.owner.not_in(full))
    query = query.order_by(_HOOKS.c.next_try_at).limit(limit).with_for_update(skip_locked=True)
    return [Due(**row._mapping) for row in await session.execute(query)]  # noqa: SLF001  SQLAlchemy's public name


async def note_delivery(session: WriteSession, due: Due, delivery: Delivery, *, good: bool) -> None:
    """Write how a try went, and when the next one is due if it must be."""
    tries = len(due.deliveries)
    if good:
        change: dict[str, Any] = {"status": WebhookStatus.DELIVERED, "next_try_at": None}
    elif tries < len(PAUSES):
        change = {"next_try_at": from_now(PAUSES[tries])}
    else:
        change = {"status": WebhookStatus.FAILED, "next_try_at": None}
    log = [*due.deliveries, delivery.model_dump(mode="json")]
    await session.execute(sa.update(_HOOKS).where(_HOOKS.c.id == due.id).values(**change, deliveries=log))


async def has_due_webhooks(session: ReadSession) -> bool:
    """Return whether `claim_webhooks` would find any: a read that takes no lock."""
    query = sa.select(_HOOKS.c.id).where(_HOOKS.c.next_try_at <= now()).limit(1)
    return (await session.execute(query)).first() is not None


async def webhook_of(session: ReadSession, owner: str, run_id: UUID) -> Webhook:
    """Return the last message about a run of the owner.

    Raises:
        NotFound: `webhook_not_found`.
    """
    query = sa.select(*(_HOOKS.c[name] for name in Webhook.model_fields))
    query = query.where(_HOOKS.c.run_id == run_id, _HOOKS.c.owner == owner).order_by(_HOOKS.c.id.desc())
    row = (await session.execute(query.limit(1))).one_or_none()
    if row is None:
        raise NotFound(f"No webhook was sent about run {run_id}, or not yet.", "webhook_not_found")
    return Webhook.model_validate(row, from_attributes=True)


def _message(row: AnyRow) -> dict[str, Any]:
    """Return the columns of a message; without parameters and result, which are private and large."""
    at = utcnow()
    told = {
        **{name: getattr(row, name) for name in ("pipeline", "status", "origin", "attempt", "error")},
        "id": str(row.id),
        "cost_usd": format(row.cost_usd, "f"),
        "created_at": row.created_at.isoformat(),
        "finished_at": row.finished_at.isoformat(),
        "links": {"run": f"/api/v1/runs/{row.id}", "receipt": f"/api/v1/runs/{row.id}/receipt"},
    }
    return {
        "id": new_id(),
        "run_id": row.id,
        "owner": row.owner,
        "url": row.webhook_url,
        "body": {"type": f"run.{row.status}", "timestamp": at.isoformat(), "data": told},
        "status": WebhookStatus.PENDING,
        "next_try_at": now(),
        "deliveries": [],
        "created_at": at,
    }
