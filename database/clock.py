"""The database's own clock, in SQL.

Leases compare one clock with itself: workers on machines whose clocks differ must agree on what is over.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import FunctionElement

from database.columns import UtcDateTime


class _FromNow(FunctionElement[datetime]):
    """UTC now plus a number of seconds; a negative number lies in the past."""

    name = "from_now"
    type = UtcDateTime()
    inherit_cache = True


def now() -> ColumnElement[datetime]:
    """Return the database's time in UTC (microseconds on MariaDB, milliseconds on SQLite)."""
    return from_now(0)


def from_now(seconds: float) -> ColumnElement[datetime]:
    """Return the database's time in UTC plus `seconds`."""
    return _FromNow(literal(float(seconds)))


@compiles(_FromNow)
def _mariadb(element: _FromNow, compiler: SQLCompiler, **kw: Any) -> str:
    (seconds,) = element.clauses
    return f"(UTC_TIMESTAMP(6) + INTERVAL {compiler.process(seconds, **kw)} SECOND)"


@compiles(_FromNow, "sqlite")
def _sqlite(element: _FromNow, compiler: SQLCompiler, **kw: Any) -> str:
    (seconds,) = element.clauses
    # The text that SQLAlchemy stores has six decimals; texts of one length compare like times.
    shift = f"{compiler.process(seconds, **kw)} || ' seconds'"
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', {shift}) || '000')"
