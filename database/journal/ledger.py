"""The statements of the call ledger, built once: they run before and after every model call.

Building them anew for each call took as long as MariaDB takes to execute them.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite

from contracts.runs import CallStatus, RunStatus
from database.tables import BudgetRow, CallRow, RunRow, core

BUDGETS = core(BudgetRow)
CALLS = core(CallRow)
RUNS = core(RunRow)
RECORDED = (
    *("response", "response_hash", "deployment", "model"),
    *("input_tokens", "output_tokens", "cost_usd", "latency_ms", "cached"),
    *("cache_hit", "cache_key", "saved_usd"),
)
UNANSWERED: dict[str, Any] = {f"new_{name}": None for name in (*RECORDED, "error")} | {"paid": 0}

KEY = ("run_id", "step", "fingerprint", "n")
Changes = Callable[[Any], list[tuple[str, Any]]]

_RESERVED = (
    *("id", "run_id", "attempt", "first_attempt", "asked_attempt", "step", "fingerprint", "n"),
    *("kind", "role", "status", "request", "request_hash"),
    *("tries", "replays", "lost", "started_at", "most_usd", "reserved_usd"),
)
_ENDED = ("status", *RECORDED, "error", "finished_at")
# Of an ended call: what it says already, as far as a row must have it.
_KEPT = (
    *("id", *KEY, "attempt", "first_attempt", "asked_attempt", "kind", "role"),
    *("tries", "replays", "lost", "started_at"),
)


@cache
def reservation(*, sqlite_: bool, calls: int = 1) -> sa.Insert:
    """Return the one statement that inserts behind the fence, or counts on the rows that are there.

    Its parameters are those of `numbered` for each column in `_RESERVED`, and for `subjects`: a new row names
    the budgets that these have at this moment. It returns each row's key, id, reservation and status and the
    recorded answer; no row for an attempt that does not hold its run's lease.
    """
    fenced = [_reserved(place) for place in range(calls)]
    rows = fenced[0] if calls == 1 else sa.union_all(*fenced)
    return _upsert(rows, (*_RESERVED, "reserved_for"), _again, sqlite_=sqlite_).returning(
        *(CALLS.c[name] for name in (*KEY, "id", "status", "reserved_usd", "reserved_for", *RECORDED))
    )


@cache
def first_reservation(subjects: int) -> sa.Insert:
    """Return the plain statement that inserts a call behind the fence, where no budget counts it.

    Its parameters are those of `numbered` for each column in `_RESERVED`, and `subject_0` and so on, one for
    each subject. A call that is there already breaks its key.
    """
    row = sa.select(*(_at(0, name).label(name) for name in _RESERVED))
    row = row.where(_fence(_at(0, "run_id"), _at(0, "attempt")), _leased())
    if subjects:
        kind = BUDGETS.c.subject.type
        ids = [sa.bindparam(f"subject_{place}", type_=kind) for place in range(subjects)]
        row = row.where(~sa.exists().where(BUDGETS.c.owner == RUNS.c.owner, BUDGETS.c.subject.in_(ids)))
    return sa.insert(CALLS).from_select(_RESERVED, row, include_defaults=False)


@cache
def ending(*, sqlite_: bool) -> tuple[sa.Update, ...]:
    """Return the statements that end a call and add its cost to the run; each must match a row.

    One on MariaDB, two on SQLite. Their parameters are `given_` and the name of each column of the key,
    `new_` and the name of each column in `_ENDED`, and `paid`. An attempt that lost its lease matches
    nothing; one that has ended or waits still writes what its last calls cost.
    """
    values: dict[Any, Any] = {
        CALLS.c[name]: sa.bindparam(f"new_{name}", type_=CALLS.c[name].type) for name in _ENDED
    }
    values |= {CALLS.c.reserved_for: None}
    cost = {RUNS.c.cost_usd: RUNS.c.cost_usd + sa.bindparam("paid", type_=RUNS.c.cost_usd.type)}
    may_write = _this_attempt() & _may_write()
    call = sa.update(CALLS).where(_this_call(), CALLS.c.status != CallStatus.SUCCEEDED)
    if sqlite_:
        return (
            call.where(sa.exists().where(may_write)).values(values),
            sa.update(RUNS).where(RUNS.c.id == _given("run_id")).values(cost),
        )
    return (call.where(RUNS.c.id == CALLS.c.run_id, may_write).values({**values, **cost}),)


@cache
def payments(runs: int) -> sa.Update:
    """Return the statement that adds what calls have cost to several attempts' runs, and holds those rows.

    Its parameters are those of `paid_by` for each. It matches the attempts that may write, as `ending`.
    """
    here = [(_at(place, "run_id"), _at(place, "attempt")) for place in range(runs)]
    paid = (sa.bindparam(f"paid_{place}", type_=RUNS.c.cost_usd.type) for place in range(runs))
    total = sa.case(*((RUNS.c.id == run, usd) for (run, _), usd in zip(here, paid, strict=True)))
    these = sa.or_(*(_fence(run, attempt) for run, attempt in here))
    return sa.update(RUNS).where(these, _may_write()).values(cost_usd=RUNS.c.cost_usd + total)


def paid_by(run_id: UUID, attempt: int, usd: Decimal, place: int) -> dict[str, Any]:
    """Return the parameters of an attempt at a place of `payments`."""
    return {f"given_run_id_{place}": run_id, f"given_attempt_{place}": attempt, f"paid_{place}": usd}


@cache
def endings(*, sqlite_: bool, calls: int) -> sa.Insert:
    """Return the one statement that ends several calls whose runs are held, and returns the keys of those.

    Its parameters are those of `numbered` for the key, the attempt and each column in `_ENDED`. Neither
    database can update rows from a list of values by an index; both can insert rows that are there.
    """
    ended = [_ended(place) for place in range(calls)]
    rows = ended[0] if calls == 1 else sa.union_all(*ended)
    columns = (*_KEPT, *_ENDED, "reserved_for")

    def changes(new: Any) -> list[tuple[str, Any]]:
        return [*((name, new[name]) for name in _ENDED), ("reserved_for", sa.null())]

    return _upsert(rows, columns, changes, sqlite_=sqlite_).returning(*(CALLS.c[name] for name in KEY))


def _ended(place: int) -> sa.Select[Any]:
    """Return the row of a call that is not answered yet, with its answer."""
    row = CALLS.alias()
    this = (*(row.c[name] == _at(place, name) for name in KEY), _tried_by(row, _at(place, "attempt")))
    values = (_at(place, name).label(name) for name in _ENDED)
    found = sa.select(*(row.c[name] for name in _KEPT), *values, sa.null().label("reserved_for"))
    return found.where(*this, row.c.status != CallStatus.SUCCEEDED)


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Return column values under the names that the statements' parameters have."""
    return {f"given_{name}": value for name, value in values.items()}


def numbered(values: dict[str, Any], place: int) -> dict[str, Any]:
    """Return the same for the call at a place of a statement for several; of one it is 0."""
    return {f"given_{name}_{place}": value for name, value in values.items()}


def _reserved(place: int) -> sa.Select[Any]:
    """Return one row to insert, if the attempt holds the run's lease."""
    row = sa.select(
        *(_at(place, name).label(name) for name in _RESERVED), _budgets(place).label("reserved_for")
    )
    this = _fence(_at(place, "run_id"), _at(place, "attempt"))
    return row.where(this, _leased())


def _upsert(
    rows: Any, columns: tuple[str, ...], changes: Changes, *, sqlite_: bool
) -> "sqlite.Insert | mysql.Insert":
    if sqlite_:
        insert = sqlite.insert(CALLS).from_select(columns, rows, include_defaults=False)
        return insert.on_conflict_do_update(index_elements=KEY, set_=dict(changes(insert.excluded)))
    statement = mysql.insert(CALLS).from_select(columns, rows, include_defaults=False)
    return statement.on_duplicate_key_update(changes(statement.inserted))


def _again(new: Any) -> list[tuple[str, Any]]:
    """Return the changes to a row that exists, in MariaDB's order: it sees those before in those after.

    What the same attempt has started at the same moment is this very reservation, whose commit's answer was
    lost: it is there once and counted once.
    """
    done = CALLS.c.status == CallStatus.SUCCEEDED
    in_flight = CALLS.c.status == CallStatus.STARTED
    this = in_flight & (CALLS.c.attempt == new.attempt) & (CALLS.c.started_at == new.started_at)
    return [
        ("asked_attempt", new.asked_attempt),
        ("replays", CALLS.c.replays + sa.case((done, 1), else_=0)),
        ("tries", CALLS.c.tries + sa.case((done | this, 0), else_=1)),
        ("lost", CALLS.c.lost + sa.case((in_flight & ~this, 1), else_=0)),
        *(
            (name, sa.case((done, CALLS.c[name]), else_=new[name]))
            for name in ("attempt", "started_at", "status")
        ),
    ]


def _budgets(place: int) -> sa.ScalarSelect[Any]:
    """Return the ids of the budgets of `subjects` as one text: none without a budget."""
    subjects = sa.bindparam(f"given_subjects_{place}", type_=BUDGETS.c.subject.type, expanding=True)
    of_run = BUDGETS.c.subject.in_(subjects)
    listed = sa.func.group_concat(BUDGETS.c.id, type_=sa.Text())
    return sa.select(listed).where(BUDGETS.c.owner == RUNS.c.owner, of_run).scalar_subquery()


def _given(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(f"given_{name}", type_=CALLS.c[name].type)


def _at(place: int, name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(f"given_{name}_{place}", type_=CALLS.c[name].type)


def _may_write() -> sa.ColumnElement[bool]:
    """An attempt that has ended or waits may still write what its last calls cost."""
    return _leased() | RUNS.c.finished_at.is_not(None) | (RUNS.c.status == RunStatus.WAITING)


def _this_attempt() -> sa.ColumnElement[bool]:
    return _fence(_given("run_id"), _given("attempt"))


def _leased() -> sa.ColumnElement[bool]:
    """Return whether somebody executes the run; a mutation of tests/chaos takes it away."""
    return RUNS.c.lease_owner.is_not(None)


def _fence(run_id: sa.BindParameter[Any], attempt: sa.BindParameter[Any]) -> sa.ColumnElement[bool]:
    """Return whether this attempt of the run is its current one; a mutation of tests/chaos takes it away."""
    return sa.and_(RUNS.c.id == run_id, RUNS.c.attempt == attempt)


def _tried_by(calls: Any, attempt: sa.BindParameter[Any]) -> sa.ColumnElement[bool]:
    """Return whether no later attempt has begun the call anew; a mutation of tests/chaos takes it away."""
    latest: sa.ColumnElement[bool] = calls.c.attempt == attempt
    return latest


def _this_call() -> sa.ColumnElement[bool]:
    return sa.and_(*(CALLS.c[name] == _given(name) for name in KEY), _tried_by(CALLS, _given("attempt")))


@cache
def same_ending() -> sa.Select[Any]:
    """Return the query for a call that this attempt has ended in this way already."""
    status = CALLS.c.status == sa.bindparam("new_status", type_=CALLS.c.status.type)
    return sa.select(CALLS.c.id).where(_this_call(), status)
