"""The call ledger: what was asked, what came back, what it cost.

A call is found again under `(run, step, fingerprint, n)`. Reserving and committing are one statement each
on MariaDB (two and three on SQLite), because each stands in the way of a model call. Those of many calls at
once are in `joint_calls.py`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa

from contracts.budgets import Budget
from contracts.calls import CallAnswer, CallRequest
from contracts.runs import Call, CallStatus, RunError
from database.engine import ReadSession, WriteSession
from database.errors import Fenced
from database.journal.blobs import Packed, keep, pack, unpack
from database.journal.ledger import (
    CALLS,
    RECORDED,
    RUNS,
    UNANSWERED,
    ending,
    given,
    numbered,
    reservation,
    same_ending,
)
from database.pages import MAX_PAGE, Page, cursor_id, encode_cursor
from database.spending.charges import charge
from database.spending.reservations import Within, give_back, set_aside
from database.statements import AnyRow, is_sqlite
from runtime.clock import utcnow
from runtime.errors import NotFound
from runtime.ids import new_id

_OF_ANSWER = tuple(name for name in RECORDED if not name.startswith("response"))
_CALL_COLUMNS = [CALLS.c[name] for name in Call.model_fields]


async def reserve_call(
    session: WriteSession,
    run_id: UUID,
    attempt: int,
    call: CallRequest,
    within: Within | None = None,
    at: datetime | None = None,
) -> CallAnswer | None:
    """Return the recorded answer of a finished call (a replay), or write that it is now started.

    A call that is still `started` was in flight when its process or its step ended: it counts as lost,
    and this is a further try. The most that the call can cost is set aside under the run's budgets.

    Args:
        session: of the transaction.
        run_id: the run.
        attempt: the attempt that holds it.
        call: what is asked.
        within: the run's budgets, as last known; none for a call that costs nothing.
        at: names this try: repeated because the answer to its commit was lost, it is counted once. By default
            now.

    Raises:
        Fenced: the attempt is over; make no call.
        BudgetsChanged: other budgets apply than `within` says; ask again with those.
        OverBudget: one of them has too little left; make no call.
        MillraceError: a budget applies and nobody can say what the call costs at most.
    """
    if within is not None and within.budgets and not await stay(session, {(run_id, attempt)}):
        raise Fenced(f"attempt {attempt} of run {run_id} is over")
    beginning = begun(run_id, attempt, call, within, at)
    statement = reservation(sqlite_=is_sqlite(session))
    row = (await session.execute(statement, numbered(beginning.values, 0))).one_or_none()
    if row is None:
        raise Fenced(f"attempt {attempt} of run {run_id} is over")
    if row.status == CallStatus.SUCCEEDED:
        return await replayed(session, run_id, row)
    await keep(session, run_id, beginning.request)
    if within is not None:
        await set_aside(session, row, call, within, fresh=beginning.made(row))
    return None


@dataclass(frozen=True, slots=True)
class Beginning:
    """A call that is about to be started: its row's values, and its request as they keep it."""

    values: dict[str, Any]
    request: Packed

    def made(self, row: AnyRow) -> bool:
        """Return whether this row is new, of this beginning."""
        return bool(row.id == self.values["id"])


async def stay(session: WriteSession, attempts: Collection[tuple[UUID, int]]) -> bool:
    """Keep runs from ending until this transaction does: an end gives back what its calls have reserved.

    The reservation's own fence takes no lock, so that most calls, which no budget counts, wait for nobody.

    Returns:
        Whether each attempt holds the lease of its run.
    """
    these = sa.or_(*((RUNS.c.id == run_id) & (RUNS.c.attempt == attempt) for run_id, attempt in attempts))
    query = sa.select(RUNS.c.id).where(these, RUNS.c.lease_owner.is_not(None)).order_by(RUNS.c.id)
    return len((await session.execute(query.with_for_update(read=True))).all()) == len(attempts)


def begun(
    run_id: UUID, attempt: int, call: CallRequest, within: Within | None, at: datetime | None = None
) -> Beginning:
    """Return what `reservation` writes of a call; see `reserve_call`."""
    packed = pack(call.request)
    most = call.most_usd if isinstance(call.most_usd, Decimal) else None
    values = {
        **key_of(run_id, attempt, call),
        "id": new_id(),
        "first_attempt": attempt,
        "asked_attempt": attempt,
        "kind": call.kind,
        "role": call.role,
        "status": CallStatus.STARTED,
        "request": packed.inline,
        "request_hash": packed.root,
        "tries": 1,
        "replays": 0,
        "lost": 0,
        "started_at": at or utcnow(),
        "most_usd": most,
        "reserved_usd": most,
        "subjects": within.subjects.ids if within else (),
    }
    return Beginning(values, packed)


async def replayed(session: ReadSession, run_id: UUID, row: AnyRow) -> CallAnswer:
    """Return the recorded answer of a finished call."""
    response = await unpack(session, run_id, row.response, row.response_hash)
    return CallAnswer(response=response or {}, **{name: getattr(row, name) for name in _OF_ANSWER})


async def commit_call(
    session: WriteSession,
    run_id: UUID,
    attempt: int,
    call: CallRequest,
    answer: CallAnswer,
    budgets: Sequence[UUID] = (),
) -> list[Budget]:
    """Write the answer of a started call, and add its cost to the run's. Saying it twice is saying it once.

    An attempt that has ended or waits may still write what its last calls cost; one that lost its lease
    may not. `budgets` are those under which it was reserved.

    Returns:
        The budgets whose alert this call sets off.

    Raises:
        Fenced: the attempt is over.
    """
    packed = pack(answer.response)
    await keep(session, run_id, packed)
    written = await _finish(session, ended(run_id, attempt, call, answer, packed))
    key = given(key_of(run_id, attempt, call))
    return await charge(session, key, answer.cost_usd, budgets) if written and budgets else []


def ended(
    run_id: UUID, attempt: int, call: CallRequest, answer: CallAnswer, packed: Packed
) -> dict[str, Any]:
    """Return what `ending` writes of an answer; see `commit_call`."""
    values = {f"new_{name}": value for name, value in answer_values(answer, packed).items()}
    key = given(key_of(run_id, attempt, call))
    paid = answer.cost_usd or Decimal(0)
    return {**UNANSWERED, **values, **key, "paid": paid, "new_finished_at": utcnow()}


async def fail_call(
    session: WriteSession,
    run_id: UUID,
    attempt: int,
    call: CallRequest,
    error: RunError,
    latency_ms: float,
    budgets: Sequence[UUID] = (),
) -> None:
    """Write that a started call ended without an answer. `budgets` are those under which it was reserved.

    Raises:
        Fenced: the attempt is over.
    """
    values = {
        "new_status": CallStatus.FAILED,
        "new_error": error.model_dump(mode="json"),
        "new_latency_ms": latency_ms,
    }
    key = given(key_of(run_id, attempt, call))
    if await _finish(session, {**UNANSWERED, **values, **key}) and budgets:
        await give_back(session, key, budgets)


@dataclass(frozen=True, slots=True)
class CutOff:
    """A call that was started and whose end nobody has seen."""

    started_at: datetime
    attempt: int
    tries: int


async def cut_off(session: ReadSession, run_id: UUID, call: CallRequest) -> CutOff | None:
    """Return what is known of a call that an earlier try started and did not finish; none of any other."""
    query = sa.select(CALLS.c.started_at, CALLS.c.attempt, CALLS.c.tries).where(
        CALLS.c.run_id == run_id,
        CALLS.c.step == call.step,
        CALLS.c.fingerprint == call.fingerprint,
        CALLS.c.n == call.n,
        CALLS.c.status == CallStatus.STARTED,
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else CutOff(row.started_at, row.attempt, row.tries)


async def settle_call(
    session: WriteSession, run_id: UUID, attempt: int, call: CallRequest, answer: CallAnswer
) -> None:
    """Write the answer of a call that was cut off and that somebody has looked after.

    Raises:
        Fenced: the attempt is over.
    """
    await reserve_call(session, run_id, attempt, call)
    await commit_call(session, run_id, attempt, call, answer)


async def list_calls(
    session: ReadSession, owner: str, run_id: UUID, *, limit: int = 50, cursor: str | None = None
) -> Page[Call]:
    """Return the calls of the owner's run in the order of their first start; none when it is not the owner's.

    Raises:
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = (
        sa.select(*_CALL_COLUMNS)
        .join(RUNS, RUNS.c.id == CALLS.c.run_id)
        .where(CALLS.c.run_id == run_id, RUNS.c.owner == owner)
        .order_by(CALLS.c.id)
        .limit(limit + 1)
    )
    if cursor is not None:
        query = query.where(CALLS.c.id > cursor_id(cursor))
    items = [Call.model_validate(row, from_attributes=True) for row in await session.execute(query)]
    return Page(items[:limit], encode_cursor(str(items[limit - 1].id)) if len(items) > limit else None)


async def read_request(session: ReadSession, owner: str, call_id: UUID) -> dict[str, Any]:
    """Return what a call of the owner's runs asked, exactly as it was asked.

    Raises:
        NotFound: `call_not_found`.
    """
    query = sa.select(CALLS.c.run_id, CALLS.c.request, CALLS.c.request_hash).join(
        RUNS, RUNS.c.id == CALLS.c.run_id
    )
    row = (await session.execute(query.where(CALLS.c.id == call_id, RUNS.c.owner == owner))).one_or_none()
    if row is None:
        raise NotFound(f"There is no call {call_id}.", "call_not_found")
    return await unpack(session, row.run_id, row.request, row.request_hash) or {}


async def tokens_of(session: ReadSession, owner: str, run_id: UUID) -> tuple[int, int]:
    """Return the tokens in and out of all calls of the owner's run; none where no count is known."""
    sums = (sa.func.coalesce(sa.func.sum(CALLS.c[name]), 0) for name in ("input_tokens", "output_tokens"))
    query = sa.select(*sums).join(RUNS, RUNS.c.id == CALLS.c.run_id)
    row = (await session.execute(query.where(CALLS.c.run_id == run_id, RUNS.c.owner == owner))).one()
    return int(row[0]), int(row[1])


async def spent(session: ReadSession, run_id: UUID) -> Decimal:
    """Return what the run's calls have cost by the ledger alone, in US dollars."""
    query = sa.select(
        sa.func.coalesce(sa.func.sum(CALLS.c.cost_usd), sa.literal(Decimal(0), CALLS.c.cost_usd.type))
    )
    total: Decimal = (await session.execute(query.where(CALLS.c.run_id == run_id))).scalar_one()
    return total


def answer_values(answer: CallAnswer, response: Packed) -> dict[str, Any]:
    """Return what a call's row says of its answer."""
    told = {name: getattr(answer, name) for name in _OF_ANSWER}
    return {
        **told,
        "response": response.inline,
        "response_hash": response.root,
        "status": CallStatus.SUCCEEDED,
    }


def key_of(run_id: UUID, attempt: int, call: CallRequest) -> dict[str, Any]:
    """Return what a call's row is found by."""
    return {
        "run_id": run_id,
        "attempt": attempt,
        "step": call.step,
        "n": call.n,
        "fingerprint": call.fingerprint,
    }


async def _finish(session: WriteSession, values: dict[str, Any]) -> bool:
    """End a call; return whether that is news."""
    values = {"new_finished_at": utcnow(), **values}
    changed = 0
    for statement in ending(sqlite_=is_sqlite(session)):
        result = await session.execute(statement, values)
        changed = cast("sa.CursorResult[*tuple[Any, ...]]", result).rowcount
        if not changed:
            break
    if not changed and (await session.execute(same_ending(), values)).first() is None:
        raise Fenced(f"attempt {values['given_attempt']} of run {values['given_run_id']} is over")
    return bool(changed)
