"""Runs as those see them who ask for work: accept, look, cancel. `database.queue.leases` executes them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.budgets import BudgetPeriod, BudgetScope
from contracts.people import Scope
from contracts.pipelines import PIPELINES, Pool
from contracts.runs import OnBusy, Origin, Run, RunOptions, RunStatus, RunSummary
from database.clock import now
from database.engine import ReadSession, WriteSession
from database.pages import MAX_PAGE, Page, cursor_id, encode_cursor
from database.queue.endings import ended
from database.queue.events import append_state, insert_states
from database.queue.family import refuse_key_from_above
from database.queue.interrupting import interrupt_key
from database.queue.slots import take_key
from database.spending.budgets import set_budget
from database.statements import AnyRow, insert_or_existing
from database.tables import RunRow, core
from database.talk.pins import AgentPin
from runtime.clock import utcnow
from runtime.errors import BadInput, Conflict, NotFound
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
    options: RunOptions | None = None,
    parent_id: UUID | None = None,
    started_by: str | None = None,
    grants: Iterable[Scope] = (),
    beginning: Mapping[str, Any] | None = None,
    agent: AgentPin | None = None,
    asked: dict[str, Any] | None = None,
) -> tuple[Run, bool]:
    """Write a run that a worker of the pool will take, or find the one of the same key or id.

    `params` are JSON-ready, as `model_dump(mode="json")` gives them. One owner's `idempotency_key` (at most
    255 characters) names one run for ever; repeating a call whose answer was lost under the same `run_id`
    is safe as well. `options` belong to the request: under the same key they must be the same, and so must
    `beginning`, what a fork begins from (JSON). A run with a parent counts in the budgets of its parent's
    chat, agent and project, and of every run above it. `started_by` is the person, whatever key they use, and
    `grants` what of `contracts.people.GRANTS` they had; a child has its parent's. `agent` is whom it is bound
    to, and `asked` stands for `params` where those depend on the agent: repeated after a change of the
    agent, a request is still the same one.

    Returns:
        The run, and whether this call made it.

    Raises:
        Conflict: `idempotency_conflict`, the key belongs to another request; `key_busy`, its concurrency key
            is taken and `on_busy` is `reject`; `key_of_parent`, a run above it has its concurrency key.
        BadInput: `key_not_free`, the pipeline gives its runs another concurrency key.
    """
    options = options or RunOptions()
    values = new_run(
        pipeline=pipeline,
        pool=pool,
        params=params,
        owner=owner,
        origin=origin,
        options=options,
        run_id=run_id,
    )
    values |= {"idempotency_key": idempotency_key, "started_by": started_by, "grants": sorted(grants)}
    values |= {} if agent is None else agent.columns()
    if (said := asked if beginning is None else [params, beginning]) is not None:
        values["params_hash"] = _hash(said, options)
    values["available_at"] = now() if values["start_at"] is None else values["start_at"]
    if parent_id is not None:
        values |= await _inherited(session, parent_id)
    row = await insert_or_existing(session, _RUNS, values, [*RUN_COLUMNS, _RUNS.c.params_hash, _RUNS.c.owner])
    if (row.owner, row.pipeline, row.params_hash) != (owner, pipeline, values["params_hash"]):
        raise Conflict("This idempotency key belongs to another request.", "idempotency_conflict")
    created = row.id == values["id"] and row.created_at == values["created_at"]
    if created:
        await insert_states(session, [(row.id, 1, RunStatus.ACCEPTED, 0)])
        if options.budget_usd is not None:
            await set_budget(
                session,
                owner,
                scope=BudgetScope.RUN,
                subject=row.id,
                period=BudgetPeriod.NONE,
                cap_usd=options.budget_usd,
            )
        if (key := values["concurrency_key"]) is not None:
            if parent_id is not None:
                await refuse_key_from_above(session, owner, parent_id, key)
            # A run that starts later asks for its key when its time has come.
            if options.start_at is None:
                await _ask_for_key(session, owner, key, row.id, options.on_busy)
    return as_run(row), created


async def is_key_known(session: ReadSession, owner: str, key: str) -> bool:
    """Return whether a run of the owner was accepted under an idempotency key."""
    query = sa.select(RunRow.id).where(RunRow.owner == owner, RunRow.idempotency_key == key)
    return (await session.execute(query)).first() is not None


async def get_run(session: ReadSession, owner: str, run_id: UUID) -> Run:
    """Return one run of the owner.

    Raises:
        NotFound: `run_not_found`.
    """
    query = sa.select(*RUN_COLUMNS).where(RunRow.id == run_id, RunRow.owner == owner)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise run_not_found(run_id)
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
        raise run_not_found(run_id)
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
    *,
    pipeline: str,
    pool: Pool,
    params: dict[str, Any],
    owner: str,
    origin: Origin,
    options: RunOptions | None = None,
    run_id: UUID | None = None,
) -> dict[str, Any]:
    """Return the columns of a run that was just accepted, its `state` event counted already.

    Raises:
        BadInput: `key_not_free`.
    """
    options, accepted_at, run_id = options or RunOptions(), utcnow(), run_id or new_id()
    key = _key(pipeline, params, run_id, options)
    return {
        "id": run_id,
        "owner": owner,
        "pipeline": pipeline,
        "pool": pool,
        "status": RunStatus.ACCEPTED,
        "origin": origin,
        "params": params,
        "params_hash": _hash(params, options),
        "chat_id": _named(key, "chat:"),
        "agent_id": options.agent_id,
        "project_id": _named(owner, "project:"),
        "last_seq": 1,
        "priority": options.priority,
        "concurrency_key": key,
        "webhook_url": options.webhook_url,
        "start_at": options.start_at,
        "deadline_at": options.deadline(accepted_at),
        "created_at": accepted_at,
    }


async def _inherited(session: ReadSession, parent_id: UUID) -> dict[str, Any]:
    """Return the columns that a child has from its parent."""
    of_agent = ("agent_id", "agent_version_id", "agent_version")
    columns = [_RUNS.c[name] for name in ("chat_id", *of_agent, "project_id", "started_by", "grants")]
    query = sa.select(*columns).where(_RUNS.c.id == parent_id)
    found = (await session.execute(query)).mappings().one()
    return {"parent_id": parent_id} | {name: each for name, each in found.items() if each is not None}


def _named(text: str | None, kind: str) -> UUID | None:
    """Return the id in `chat:<id>`, the key that a turn takes by itself, or in `project:<id>`, a space."""
    try:
        return UUID((text or "").removeprefix(kind)) if (text or "").startswith(kind) else None
    except ValueError:
        return None


def as_run(row: AnyRow) -> Run:
    """Return the contract of a row with `RUN_COLUMNS`."""
    return Run.model_validate(row, from_attributes=True)


def _key(pipeline: str, params: dict[str, Any], run_id: UUID, options: RunOptions) -> str | None:
    spec = PIPELINES.get(pipeline)
    own = spec.key_of(params, run_id) if spec else None
    if own and options.concurrency_key not in {None, own}:
        raise BadInput(
            f"A run of {pipeline} takes the concurrency key {own} by itself: leave concurrency_key out.",
            "key_not_free",
        )
    return own or options.concurrency_key


async def _ask_for_key(session: WriteSession, owner: str, key: str, run_id: UUID, on_busy: OnBusy) -> None:
    if await take_key(session, owner, key, run_id):
        return
    if on_busy is OnBusy.REJECT:
        raise Conflict(f"Another run of {key} is under way.", "key_busy")
    if on_busy is OnBusy.INTERRUPT:
        await interrupt_key(session, owner, key, run_id)


def _hash(params: Any, options: RunOptions) -> str:
    chosen = options.model_dump(mode="json", exclude_defaults=True)
    text = json.dumps([params, chosen] if chosen else params, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def run_not_found(run_id: UUID) -> NotFound:
    """Return the error for a run that is not there, or not the caller's."""
    return NotFound(f"There is no run {run_id}.", "run_not_found")
