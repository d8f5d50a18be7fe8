"""The statements that move money between a budget's sums, built once: they stand in the way of model calls.

Budgets are locked in the order of their ids by one statement for all of them, and for no longer than that
statement and the commit. Each begins the next period itself when it finds the last one over. `resets_at` is
assigned last: MariaDB evaluates assignments from left to right, and the others look at its old value.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from contracts.budgets import ALERT_TENTHS, BudgetPeriod
from database.columns import Money, UtcDateTime
from database.tables import BudgetRow, CallRow, core
from runtime.clock import utcnow

_B = core(BudgetRow)
_CALLS = core(CallRow)


def _money(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=Money())


def _time(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=UtcDateTime())


_NOTHING = sa.literal(0, Money())
_AT = _time("at")
_OVER = _B.c.resets_at <= _AT
_SPENT = sa.case((_OVER, _NOTHING), else_=_B.c.spent_usd)
_NEXT = sa.case(
    *(
        (_B.c.period == period.value, _time(f"{period}_ends"))
        for period in BudgetPeriod
        if period is not BudgetPeriod.NONE
    ),
    else_=sa.null(),
)
_TURN = (
    (_B.c.alerted_at, sa.case((_OVER, sa.null()), else_=_B.c.alerted_at)),
    (_B.c.resets_at, sa.case((_OVER, _NEXT), else_=_B.c.resets_at)),
    (_B.c.updated_at, _AT),
)
_THESE = _B.c.id.in_(sa.bindparam("ids", expanding=True))
# What the call still holds: nothing when its run has ended meanwhile.
_THIS = sa.and_(
    *(
        _CALLS.c[name] == sa.bindparam(f"given_{name}", type_=_CALLS.c[name].type)
        for name in ("run_id", "step", "fingerprint", "n")
    )
)
_HELD = sa.select(_CALLS.c.reserved_usd).where(_THIS).scalar_subquery()
_HELD_OR_NOTHING = sa.func.coalesce(_HELD, _NOTHING, type_=Money())

# `ids`, `usd`, the times: matches each budget that has so much left, and takes it there.
RESERVE = (
    sa.update(_B)
    .where(_THESE, _SPENT + _B.c.reserved_usd + _money("usd") <= _B.c.cap_usd)
    .ordered_values((_B.c.spent_usd, _SPENT), (_B.c.reserved_usd, _B.c.reserved_usd + _money("usd")), *_TURN)
)
# `ids`, the call's key as `given_...`, `cost` (none when unknown), the times.
CHARGE = (
    sa.update(_B)
    .where(_THESE)
    .ordered_values(
        (_B.c.spent_usd, _SPENT + sa.func.coalesce(_money("cost"), _HELD, _NOTHING, type_=Money())),
        (_B.c.reserved_usd, _B.c.reserved_usd - _HELD_OR_NOTHING),
        *_TURN,
    )
)
# `ids`, `at`: matches each budget whose alert is due.
ALERT = (
    sa.update(_B)
    .where(
        _THESE,
        _B.c.alerted_at.is_(None),
        _B.c.spent_usd * sa.literal_column("10") >= _B.c.cap_usd * sa.literal_column(str(ALERT_TENTHS)),
    )
    .values(alerted_at=_AT)
)
# `ids`, `usd`.
RELEASE = sa.update(_B).where(_THESE).values(reserved_usd=_B.c.reserved_usd - _money("usd"))
# `ids`, the call's key as `given_...`.
GIVE_BACK = sa.update(_B).where(_THESE).values(reserved_usd=_B.c.reserved_usd - _HELD_OR_NOTHING)
# The call's key as `given_...`.
HOLDS_NOTHING = sa.update(_CALLS).where(_THIS).values(reserved_usd=_NOTHING)


def times(at: datetime | None = None) -> dict[str, datetime | None]:
    """Return the parameters that tell the time: `at` (by default now) and when its periods end."""
    at = at or utcnow()
    ends = {f"{period}_ends": period.ends(at) for period in BudgetPeriod if period is not BudgetPeriod.NONE}
    return {"at": at, **ends}
