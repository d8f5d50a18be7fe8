"""The statements of the call ledger, built once: they run before and after every model call.

Building them anew for each call took as long as MariaDB takes to execute them.
"""

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite

from contracts.runs import CallStatus
from database.tables import CallRow, RunRow, core

CALLS = core(CallRow)
RUNS = core(RunRow)
RECORDED = ("response", "deployment", "model", "input_tokens", "output_tokens", "cost_usd", "latency_ms")
UNANSWERED: dict[str, Any] = {f"new_{name}": None for name in (*RECORDED, "error")} | {"paid": 0}

_RESERVED = (
    *("id", "run_id", "attempt", "step", "fingerprint", "n", "kind", "role"),
    *("status", "request", "tries", "replays", "lost", "started_at"),
)
_ENDED = ("status", *RECORDED, "error", "finished_at")


@cache
def reservation(*, sqlite_: bool) -> sa.Insert:
    """Return the one statement that inserts behind the fence, or counts on the row that is there.

    Its parameters are `given_` and the name of each column in `_RESERVED`. It returns the status and the
    recorded answer, or no row when the attempt does not hold the run's lease.
    """
    row = sa.select(*(_given(name).label(name) for name in _RESERVED))
    fenced = row.where(_this_attempt(), RUNS.c.lease_owner.is_not(None))
    returned = [CALLS.c.status, *(CALLS.c[name] for name in RECORDED)]
    if sqlite_:
        key = ["run_id", "step", "fingerprint", "n"]
        inserted = sqlite.insert(CALLS).from_select(_RESERVED, fenced, include_defaults=False)
        return inserted.on_conflict_do_update(index_elements=key, set_=dict(_again())).returning(*returned)
    insert = mysql.insert(CALLS).from_select(_RESERVED, fenced, include_defaults=False)
    return insert.on_duplicate_key_update(_again()).returning(*returned)


@cache
def ending(*, sqlite_: bool) -> tuple[sa.Update, ...]:
    """Return the statements that end a call and add its cost to the run; each must match a row.

    One on MariaDB, two on SQLite. Their parameters are `given_` and the name of each column of the key,
    `new_` and the name of each column in `_ENDED`, and `paid`. An attempt that lost its lease matches
    nothing; one that has ended still writes what its last calls cost.
    """
    values = {CALLS.c[name]: sa.bindparam(f"new_{name}", type_=CALLS.c[name].type) for name in _ENDED}
    cost = {RUNS.c.cost_usd: RUNS.c.cost_usd + sa.bindparam("paid", type_=RUNS.c.cost_usd.type)}
    may_write = _this_attempt() & (RUNS.c.lease_owner.is_not(None) | RUNS.c.finished_at.is_not(None))
    call = sa.update(CALLS).where(_this_call(), CALLS.c.status != CallStatus.SUCCEEDED)
    if sqlite_:
        return (
            call.where(sa.exists().where(may_write)).values(values),
            sa.update(RUNS).where(RUNS.c.id == _given("run_id")).values(cost),
        )
    return (call.where(RUNS.c.id == CALLS.c.run_id, may_write).values({**values, **cost}),)


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Return column values under the names that the statements' parameters have."""
    return {f"given_{name}": value for name, value in values.items()}


def _again() -> list[tuple[str, Any]]:
    """Return the changes to a row that exists, in MariaDB's order: it sees those before in those after."""
    done = CALLS.c.status == CallStatus.SUCCEEDED
    in_flight = CALLS.c.status == CallStatus.STARTED
    return [
        ("replays", CALLS.c.replays + sa.case((done, 1), else_=0)),
        ("tries", CALLS.c.tries + sa.case((done, 0), else_=1)),
        ("lost", CALLS.c.lost + sa.case((in_flight, 1), else_=0)),
        *(
            (name, sa.case((done, CALLS.c[name]), else_=_given(name)))
            for name in ("attempt", "started_at", "status")
        ),
    ]


def _given(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(f"given_{name}", type_=CALLS.c[name].type)


def _this_attempt() -> sa.ColumnElement[bool]:
    return sa.and_(RUNS.c.id == _given("run_id"), RUNS.c.attempt == _given("attempt"))


def _this_call() -> sa.ColumnElement[bool]:
    key = ("run_id", "step", "fingerprint", "n", "attempt")
    return sa.and_(*(CALLS.c[name] == _given(name) for name in key))


SAME_ENDING = sa.select(CALLS.c.id).where(
    _this_call(), CALLS.c.status == sa.bindparam("new_status", type_=CALLS.c.status.type)
)
