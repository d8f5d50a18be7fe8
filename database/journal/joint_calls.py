"""The call ledger for many calls at once: what each would write alone, in a few statements.

Whatever is not plain (a call asked twice, an attempt that is over, a budget that is spent) is left to
`calls.py`: the group is given up, and each call goes alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from contracts.budgets import Budget
from contracts.calls import CallAnswer, CallRequest
from contracts.runs import CallStatus, RunError
from database.engine import WriteSession
from database.joint import Apart, Joint
from database.journal.blobs import keep, pack
from database.journal.calls import (
    answer_values,
    begun,
    commit_call,
    ended,
    fail_call,
    key_of,
    replayed,
    reserve_call,
    stay,
)
from database.journal.ledger import (
    ending,
    endings,
    first_reservation,
    given,
    numbered,
    paid_by,
    payments,
    reservation,
)
from database.prepared import Drivers, Plain
from database.spending.charges import charge
from database.spending.reservations import Within, set_aside, set_aside_together
from database.statements import AnyRow, changed_rows, is_sqlite
from runtime.clock import utcnow

T = TypeVar("T")
_Key = tuple[UUID, str, str, int]

# Calls of one statement: it is built and compiled once for each of these sizes.
_SIZES = (16, 8, 4, 2, 1)


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that an attempt of a run is about to make, as `reserve_call` is told."""

    run_id: UUID
    attempt: int
    call: CallRequest
    within: Within | None = None
    # Names this try, however often it must be written.
    at: datetime = field(default_factory=utcnow)


@dataclass(frozen=True, slots=True)
class Answered:
    """A call that was answered, as `commit_call` is told."""

    run_id: UUID
    attempt: int
    call: CallRequest
    answer: CallAnswer
    budgets: Sequence[UUID] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """A call that ended without an answer, as `fail_call` is told."""

    run_id: UUID
    attempt: int
    call: CallRequest
    error: RunError
    latency_ms: float
    budgets: Sequence[UUID] = ()


async def _reserve(session: WriteSession, asked: Asked) -> CallAnswer | None:
    return await reserve_call(session, asked.run_id, asked.attempt, asked.call, asked.within, asked.at)


def _reserve_plainly(asked: Asked, drivers: Drivers) -> Plain | None:
    """Return how to start a call whose request is small, and which no budget counts."""
    within = asked.within
    if within is not None and within.budgets:
        return None
    beginning = begun(asked.run_id, asked.attempt, asked.call, within, asked.at)
    if beginning.request.root is not None:
        return None
    subjects = beginning.values["subjects"]
    named = {f"subject_{place}": subject for place, subject in enumerate(subjects)}
    statement = drivers.prepared(first_reservation(len(subjects)))
    return Plain([(statement, numbered(beginning.values, 0) | named)], None)


async def _reserve_all(session: WriteSession, asked: Sequence[Asked]) -> list[CallAnswer | None]:
    mine = _by_key(asked)
    counted = {(one.run_id, one.attempt) for one in asked if one.within is not None and one.within.budgets}
    if counted and not await stay(session, counted):
        raise Apart
    beginnings = {
        key: begun(one.run_id, one.attempt, one.call, one.within, one.at) for key, one in mine.items()
    }
    rows: dict[_Key, AnyRow] = {}
    for some in _pieces(sorted(mine)):
        statement = reservation(sqlite_=is_sqlite(session), calls=len(some))
        found = await session.execute(statement, _merged(beginnings[key].values for key in some))
        rows |= {_key_in(row): row for row in found}
    if len(rows) < len(mine):
        raise Apart
    started = []
    for key, one in mine.items():
        row, beginning = rows[key], beginnings[key]
        if row.status != CallStatus.SUCCEEDED:
            await keep(session, one.run_id, beginning.request)
            if one.within is not None and beginning.made(row):
                started.append((row, one.call, one.within))
            elif one.within is not None:
                await set_aside(session, row, one.call, one.within, fresh=False)
    if not await set_aside_together(session, started):
        raise Apart
    return [
        await replayed(session, one.run_id, row) if row.status == CallStatus.SUCCEEDED else None
        for one, row in ((one, rows[key]) for key, one in mine.items())
    ]


async def _commit(session: WriteSession, answered: Answered) -> list[Budget]:
    return await commit_call(
        session, answered.run_id, answered.attempt, answered.call, answered.answer, answered.budgets
    )


def _commit_plainly(answered: Answered, drivers: Drivers) -> Plain | None:
    """Return how to end a call whose answer is small, and which no budget counts."""
    packed = pack(answered.answer.response)
    if answered.budgets or packed.root is not None:
        return None
    values = ended(answered.run_id, answered.attempt, answered.call, answered.answer, packed)
    return Plain([(drivers.prepared(each), values) for each in ending(sqlite_=drivers.sqlite)], [])


async def _commit_all(session: WriteSession, answered: Sequence[Answered]) -> list[list[Budget]]:
    mine = _by_key(answered)
    await _pay(session, answered)
    at, ended = utcnow(), 0
    values = {}
    for key, one in mine.items():
        packed = pack(one.answer.response)
        await keep(session, one.run_id, packed)
        told = {**answer_values(one.answer, packed), "error": None, "finished_at": at}
        values[key] = {**key_of(one.run_id, one.attempt, one.call), **told}
    for some in _pieces(sorted(mine)):
        statement = endings(sqlite_=is_sqlite(session), calls=len(some))
        ended += len((await session.execute(statement, _merged(values[key] for key in some))).all())
    if ended != len(mine):
        raise Apart
    alerts = []
    for one in answered:
        found = given(key_of(one.run_id, one.attempt, one.call))
        alerts.append(await charge(session, found, one.answer.cost_usd, one.budgets) if one.budgets else [])
    return alerts


async def _pay(session: WriteSession, answered: Sequence[Answered]) -> None:
    """Add what the calls have cost to their runs, whose rows are held from here on."""
    sums: dict[tuple[UUID, int], Decimal] = {}
    for one in answered:
        run = (one.run_id, one.attempt)
        sums[run] = sums.get(run, Decimal(0)) + (one.answer.cost_usd or 0)
    for some in _pieces(sorted(sums)):
        told = [paid_by(*run, sums[run], place) for place, run in enumerate(some)]
        if await changed_rows(session, payments(len(some)), _joined(told)) != len(some):
            raise Apart


async def _fail(session: WriteSession, failed: Failed) -> None:
    await fail_call(
        session, failed.run_id, failed.attempt, failed.call, failed.error, failed.latency_ms, failed.budgets
    )


async def _fail_all(session: WriteSession, failed: Sequence[Failed]) -> list[None]:
    """One after the other: failures are rare, and what they share is the commit."""
    for one in sorted(failed, key=_key):
        await _fail(session, one)
    return [None] * len(failed)


RESERVING = Joint(_reserve, _reserve_all, _reserve_plainly)
COMMITTING = Joint(_commit, _commit_all, _commit_plainly)
FAILING = Joint(_fail, _fail_all)

_Call = TypeVar("_Call", Asked, Answered)


def _by_key(calls: Sequence[_Call]) -> dict[_Key, _Call]:
    """Return the calls under what finds them, in the same order; each must be another."""
    found = {_key(one): one for one in calls}
    if len(found) < len(calls):
        raise Apart
    return found


def _key(one: Asked | Answered | Failed) -> _Key:
    return one.run_id, one.call.step, one.call.fingerprint, one.call.n


def _key_in(row: AnyRow) -> _Key:
    return row.run_id, row.step, row.fingerprint, row.n


def _pieces(items: Sequence[T]) -> Iterator[Sequence[T]]:
    start = 0
    while start < len(items):
        size = next(size for size in _SIZES if size <= len(items) - start)
        yield items[start : start + size]
        start += size


def _merged(values: Any) -> dict[str, Any]:
    return _joined(numbered(each, place) for place, each in enumerate(values))


def _joined(several: Any) -> dict[str, Any]:
    return {name: value for each in several for name, value in each.items()}
