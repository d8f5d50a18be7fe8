"""An ended run once more: retried under its own id, or forked into a new run that shares its beginning."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.calls import NO_STEP, TOOL_CALL
from contracts.people import Scope
from contracts.pipelines import PIPELINES
from contracts.runs import CallStatus, EventKind, Origin, Run, RunOptions, RunStatus
from database.clock import now
from database.engine import ReadSession, WriteSession
from database.learning.arms import copy_arms
from database.learning.programs import version_by_id
from database.learning.serving import pin_versions, programs_of
from database.queue.events import append_state
from database.queue.runs import accept_run, get_run
from database.queue.slots import take_key
from database.statements import AnyRow
from database.tables import CallRow, EventRow, RunRow, core
from database.talk.pins import AgentPin
from runtime.errors import BadInput, Conflict
from runtime.ids import new_id

FRESH_ATTEMPTS = 3
_MOST_NAMED = 20

_RUNS = core(RunRow)
_CALLS = core(CallRow)
_EVENTS = core(EventRow)


async def retry_run(
    session: WriteSession, owner: str, run_id: UUID, *, grants: frozenset[Scope] | None = None
) -> Run:
    """Put a run that did not succeed back into the queue, with its history and fresh attempts.

    Its finished calls are answered by the ledger, so it goes on where it failed. Its start time and its
    deadline do not hold any more. The runs that it started and that did not succeed are retried with it, and
    theirs: it would find them as they ended, and fail by them again. `grants` are those of who asks for it:
    the run may do what both of them may.

    Raises:
        NotFound: `run_not_found`.
        Conflict: `run_not_ended`, also of a run that it started and that is still being cancelled; or
            `run_succeeded`: fork it instead.
    """
    run = await _locked(session, owner, run_id)
    if run.status is RunStatus.SUCCEEDED:
        raise Conflict("The run has succeeded: there is nothing to retry. Fork it instead.", "run_succeeded")
    await _requeue(session, owner, run, grants)
    return await get_run(session, owner, run_id)


async def _requeue(session: WriteSession, owner: str, run: Run, grants: frozenset[Scope] | None) -> None:
    """Queue a run that did not succeed, and those below it that did not."""
    again = {
        "status": RunStatus.QUEUED,
        **dict.fromkeys(
            (
                *("error", "finished_at", "cancel_requested_at"),
                *("start_at", "deadline_at", "untold_at", "stalled_since"),
            )
        ),
        "max_attempts": _RUNS.c.attempt + FRESH_ATTEMPTS,
        "available_at": now(),
        "last_seq": _RUNS.c.last_seq + 1,
    }
    if grants is not None:
        had = (await session.execute(sa.select(_RUNS.c.grants).where(_RUNS.c.id == run.id))).scalar_one()
        again["grants"] = sorted(grants.intersection(had or ()))
    await session.execute(sa.update(_RUNS).where(_RUNS.c.id == run.id).values(again))
    await append_state(session, run.id)
    if run.concurrency_key is not None:
        await take_key(session, owner, run.concurrency_key, run.id)
    for child in await _unsuccessful_children(session, owner, run.id):
        await _requeue(session, owner, child, grants)


async def _unsuccessful_children(session: WriteSession, owner: str, run_id: UUID) -> list[Run]:
    """Return the ended runs that a run started and that did not succeed, in the order of their ids.

    Raises:
        Conflict: `run_not_ended`, one is still being cancelled: nobody can say yet that it will not end so.
    """
    query = sa.select(_RUNS.c.id, _RUNS.c.cancel_requested_at, _RUNS.c.status).order_by(_RUNS.c.id)
    query = query.where(_RUNS.c.parent_id == run_id, _RUNS.c.status != RunStatus.SUCCEEDED)
    found = []
    for child in (await session.execute(query.with_for_update())).all():
        if RunStatus(child.status).terminal:
            found.append(await get_run(session, owner, child.id))
        elif child.cancel_requested_at is not None:
            raise Conflict(
                f"Run {child.id}, which it started, is still being cancelled: retry when it has ended.",
                "run_not_ended",
            )
    return found


async def fork_run(  # noqa: PLR0913  a request's parts
    session: WriteSession,
    owner: str,
    run_id: UUID,
    *,
    params: dict[str, Any],
    from_step: str | None = None,
    versions: Mapping[str, UUID] | None = None,
    options: RunOptions | None = None,
    idempotency_key: str | None = None,
    started_by: str | None = None,
    grants: Iterable[Scope] = (),
    agent: AgentPin | None = None,
) -> tuple[Run, bool]:
    """Accept a new run that begins with what an ended one has recorded.

    The finished calls of the steps before `from_step` (of all steps without it) are copied with their
    answers, at no cost: they are counted in the run that paid for them. A step that asks for something else,
    because the parameters or a program version differ, asks anew; so does everything that builds on it.

    Args:
        session: of the transaction.
        owner: whose run it is.
        run_id: the run to begin from.
        params: the new run's, as they are stored.
        from_step: the first step to execute anew: its name, or `name#2`, `name[key]` for one use of it.
        versions: the version of each program that must answer instead of the one that the run is bound to.
        options: of the new run; none are taken over.
        idempotency_key: as for `accept_run`.
        started_by: the same.
        grants: the same; those of the old run count for nothing.
        agent: whom the new run is bound to, see `database.talk.pins.pin_for_fork`.

    Returns:
        The new run, and whether this call made it.

    Raises:
        NotFound: `run_not_found`, `program_version_not_found`.
        Conflict: `run_not_ended`, `idempotency_conflict`, `key_busy`.
        BadInput: `unknown_step`, `key_not_free`, `unknown_program`.
    """
    source = await _locked(session, owner, run_id)
    before = await _steps_before(session, run_id, from_step)
    fork, created = await accept_run(
        session,
        pipeline=source.pipeline,
        pool=PIPELINES[source.pipeline].pool,
        params=params,
        owner=owner,
        origin=Origin.API,
        idempotency_key=idempotency_key,
        started_by=started_by,
        grants=grants,
        agent=agent,
        options=options,
        beginning={
            "forked_from": str(run_id),
            "from_step": from_step,
            "versions": {program: str(version_id) for program, version_id in (versions or {}).items()},
        },
    )
    if created:
        await session.execute(sa.update(_RUNS).where(_RUNS.c.id == fork.id).values(forked_from=run_id))
        await _copy_calls(session, run_id, fork.id, before)
        await copy_arms(session, run_id, fork.id)
        await pin_versions(session, fork.id, await _bound(session, owner, source, versions or {}))
    return await get_run(session, owner, fork.id), created


async def _locked(session: WriteSession, owner: str, run_id: UUID) -> Run:
    """Return an ended run that nobody changes until this transaction ends."""
    await session.execute(
        sa.select(_RUNS.c.id).where(_RUNS.c.id == run_id, _RUNS.c.owner == owner).with_for_update()
    )
    run = await get_run(session, owner, run_id)
    if not run.status.terminal:
        raise Conflict(f"The run has not ended: it is {run.status}.", "run_not_ended")
    return run


async def _steps_before(session: ReadSession, run_id: UUID, from_step: str | None) -> set[str] | None:
    """Return the steps that began before this one; None for all."""
    if from_step is None:
        return None
    query = sa.select(_EVENTS.c.data).where(_EVENTS.c.run_id == run_id, _EVENTS.c.kind == EventKind.STEP)
    begun: dict[str, None] = {}
    for data in (await session.execute(query.order_by(_EVENTS.c.seq))).scalars():
        step = str(data.get("step"))
        if from_step in {step, bare_name(step)}:
            return set(begun) - {step}
        begun[step] = None
    known = ", ".join(list(begun)[:_MOST_NAMED]) or "none"
    raise BadInput(f"The run has no step {from_step}; it has {known}.", "unknown_step")


async def _copy_calls(session: WriteSession, source: UUID, fork: UUID, steps: set[str] | None) -> None:
    """Copy finished calls, as calls of attempt 0, whose money another run has spent.

    Calls to the world that were cut off come along: the fork asks about them instead of repeating them. So do
    calls outside of any step, which nobody can place before or after one.
    """
    cut_off = (_CALLS.c.kind == TOOL_CALL) & (_CALLS.c.status == CallStatus.STARTED)
    wanted = (_CALLS.c.status == CallStatus.SUCCEEDED) | cut_off
    query = sa.select(*_CALLS.c).where(_CALLS.c.run_id == source, wanted)
    rows = (await session.execute(query.order_by(_CALLS.c.id))).all()
    copies = [_copy(row, fork) for row in rows if steps is None or row.step in steps | {NO_STEP}]
    if copies:
        await session.execute(sa.insert(_CALLS), copies)


def _copy(row: AnyRow, fork: UUID) -> dict[str, Any]:
    counted = dict.fromkeys(("attempt", "first_attempt", "asked_attempt", "tries", "replays", "lost"), 0)
    free = {"cost_usd": 0, "reserved_usd": None, "reserved_for": None}
    # A fork of a fork names the call that was paid.
    named = {"id": new_id(), "run_id": fork, "copied_from": row.copied_from or row.id}
    return {**row._mapping, **counted, **free, **named}  # noqa: SLF001  SQLAlchemy's public name


async def _bound(
    session: ReadSession, owner: str, source: Run, versions: Mapping[str, UUID]
) -> dict[str, UUID]:
    """Return the versions of a fork: those of its source, but for the given ones."""
    programs = PIPELINES[source.pipeline].programs
    for program, version_id in versions.items():
        version = await version_by_id(session, owner, version_id)
        if program not in programs or version.program != program:
            raise BadInput(
                f"{version_id} is no version of a program of {source.pipeline}.", "unknown_program"
            )
    bound = {use.program: use.version_id for use in await programs_of(session, owner, source.id)}
    return {**bound, **versions}


def bare_name(step: str) -> str:
    """Return a step's name without the number or the key of one use."""
    return re.split(r"[#\[]", step, maxsplit=1)[0]
