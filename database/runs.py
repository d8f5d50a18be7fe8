"""Runs as those see them who ask for work: accept, look, cancel. `database.leases` executes them."""

import hashlib
import json
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.pipelines import Pool
from contracts.runs import Origin, Run, RunStatus, RunSummary
from database.clock import now
from database.engine import ReadSession, WriteSession
from database.events import append_state, insert_states
from database.pages import MAX_PAGE, Page, cursor_id, encode_cursor
from database.statements import AnyRow, insert_or_existing
from database.tables import RunRow, core
from runtime.clock import utcnow
from runtime.errors import Conflict, NotFound
from runtime.ids import new_id

_RUNS = core(RunRow)
RUN_COLUMNS = [_RUNS.c[name] for name in Run.model_fields]
_SUMMARY_COLUMNS = [_RUNS.c[name] for name in RunSummary.model_fields]


async def accept_run(  # noqa: PLR0913  a row's columns
    session: WriteSession,
    *,
    pipeline: str,
    pool: Pool,
    params: dict[str, Any],
    owner: str,
    origin: Origin,
    idempotency_key: str | None = None,
    run_id: UUID | None = None,
    available_at: datetime | None = None,
) -> tuple[Run, bool]:
    """Write a run that a worker of the pool will take, or find the one of the same key or id.

    `params` are JSON-ready, as `model_dump(mode="json")` gives them. One owner's `idempotency_key` (at most
    255 characters) names one run for ever; repeating a call whose answer was lost under the same `run_id`
    is safe as well. No worker takes the run before `available_at`; by default it may at once.

    Returns:
        The run, and whether this call made it.

    Raises:
        Conflict: `idempotency_conflict`, the key belongs to another request.
    """
    values = {
        **new_run(pipeline=pipeline, pool=pool, params=params, owner=owner, origin=origin),
        "idempotency_key": idempotency_key,
        "available_at": available_at or now(),
    }
    if run_id is not None:
        values["id"] = run_id
    row = await insert_or_existing(session, _RUNS, values, [*RUN_COLUMNS, _RUNS.c.params_hash, _RUNS.c.owner])
    if (row.owner, row.pipeline, row.params_hash) != (owner, pipeline, values["params_hash"]):
        raise Conflict("This idempotency key belongs to another request.", "idempotency_conflict")
    created = row.id == values["id"] and row.created_at == values["created_at"]
    if created:
        await insert_states(session, [(row.id, 1, RunStatus.ACCEPTED, 0)])
    return as_run(row), created


async def get_run(session: ReadSession, owner: str, run_id: UUID) -> Run:
    """Return one run of the owner.

    Raises:
        NotFound: `run_not_found`.
    """
    query = sa.select(*RUN_COLUMNS).where(RunRow.id == run_id, RunRow.owner == owner)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise _not_found(run_id)
    return as_run(row)


async def list_runs(
    session: ReadSession,
    owner: str,
    *,
    limit: int = 50,
    cursor: str | None = None,
    status: RunStatus | None = None,
    pipeline: str | None = None,
) -> Page[RunSummary]:
    """Return the owner's runs, newest first, without their parameters and results.

    Raises:
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = sa.select(*_SUMMARY_COLUMNS).where(RunRow.owner == owner)
    query = query.order_by(RunRow.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(RunRow.id < cursor_id(cursor))
    if status is not None:
        query = query.where(RunRow.status == status)
    if pipeline is not None:
        query = query.where(RunRow.pipeline == pipeline)
    rows = await session.execute(query)
    items = [RunSummary.model_validate(row, from_attributes=True) for row in rows]
    more = len(items) > limit
    return Page(items[:limit], encode_cursor(str(items[limit - 1].id)) if more else None)


async def request_cancel(session: WriteSession, owner: str, run_id: UUID) -> Run:
    """Cancel a run: at once when no worker has it, else by asking the one that has.

    Asking twice is asking once.

    Raises:
        NotFound: `run_not_found`.
        Conflict: `run_finished`, it has ended already.
    """
    query = (
        sa.select(RunRow.status, RunRow.lease_owner)
        .where(RunRow.id == run_id, RunRow.owner == owner)
        .with_for_update()
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise _not_found(run_id)
    if RunStatus(row.status).terminal:
        raise Conflict(
            f"The run has ended already: {row.status}.", "run_finished", None, {"status": row.status}
        )
    asked = {"cancel_requested_at": sa.func.coalesce(_RUNS.c.cancel_requested_at, now())}
    change = sa.update(_RUNS).where(_RUNS.c.id == run_id).values(asked)
    if row.lease_owner is None:
        change = change.values(ended(RunStatus.CANCELLED))
    await session.execute(change)
    if row.lease_owner is None:
        await append_state(session, run_id)
    return await get_run(session, owner, run_id)


def new_run(
    *, pipeline: str, pool: Pool, params: dict[str, Any], owner: str, origin: Origin
) -> dict[str, Any]:
    """Return the columns of a run that was just accepted, its `state` event counted already."""
    return {
        "id": new_id(),
        "owner": owner,
        "pipeline": pipeline,
        "pool": pool,
        "status": RunStatus.ACCEPTED,
        "origin": origin,
        "params": params,
        "params_hash": _hash(params),
        "last_seq": 1,
        "created_at": utcnow(),
    }


def ended(status: RunStatus) -> dict[str, Any]:
    """Return the columns of a run's end; `events.append_state` must follow."""
    return {
        "status": status,
        "finished_at": utcnow(),
        "lease_owner": None,
        "lease_until": None,
        "available_at": None,
        "last_seq": _RUNS.c.last_seq + 1,
    }


def as_run(row: AnyRow) -> Run:
    """Return the contract of a row with `RUN_COLUMNS`."""
    return Run.model_validate(row, from_attributes=True)


def _hash(params: dict[str, Any]) -> str:
    text = json.dumps(params, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _not_found(run_id: UUID) -> NotFound:
    return NotFound(f"There is no run {run_id}.", "run_not_found")
