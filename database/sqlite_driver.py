"""aiosqlite with one visit to a connection's thread per statement.

SQLAlchemy's adapter goes to that thread and back four times for each: it opens a cursor, executes, fetches
and closes. Each way is a wake-up of two threads, which takes longer than most of our statements do.
"""

import sqlite3
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiosqlite
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_dbapi,
)


@dataclass(slots=True)
class _Executed:
    """What a closed cursor has left, under the names of the DB-API (PEP 249)."""

    description: Any = None
    rowcount: int = -1
    lastrowid: int | None = None
    arraysize: int = 1

    def close(self) -> None:
        """Do nothing: it was closed where it was opened."""


class OneVisitCursor(AsyncAdapt_aiosqlite_cursor):
    """Executes a statement, fetches all of its rows and closes it, in one visit.

    So nothing stays half read when whoever waits is cancelled meanwhile.
    """

    __slots__ = ()
    _awaitable_cursor_close = False

    def __init__(self, adapt_connection: AsyncAdapt_aiosqlite_connection) -> None:
        self._adapt_connection = adapt_connection
        self._connection = adapt_connection._connection  # noqa: SLF001  as its parent does
        self._cursor: Any = _Executed()
        self._soft_closed_memoized: Any = {}
        self._rows = deque()

    async def _execute_async(self, operation: Any, parameters: Any = None) -> Any:
        await self._visit(_executed, operation, parameters)

    async def _executemany_async(self, operation: Any, seq_of_parameters: Any) -> Any:
        await self._visit(_executed_for_each, operation, seq_of_parameters)

    async def _visit(self, work: Any, *told: Any) -> None:
        connection: Any = self._connection
        async with self._adapt_connection._execute_mutex:  # noqa: SLF001
            self._cursor, rows = await connection._execute(work, connection._conn, *told)  # noqa: SLF001
            self._rows = deque(rows)


class _Connection(AsyncAdapt_aiosqlite_connection):
    __slots__ = ()
    _cursor_cls: Any = OneVisitCursor


class OneVisitSqlite(AsyncAdapt_aiosqlite_dbapi):
    """The driver for `create_async_engine(..., module=OneVisitSqlite())`."""

    def __init__(self) -> None:
        super().__init__(aiosqlite, sqlite3)

    def connect(self, *arg: Any, **kw: Any) -> _Connection:
        """Return a new connection, in the greenlet of an engine."""
        return _Connection(self, super().connect(*arg, **kw)._connection)  # noqa: SLF001


def _executed(connection: sqlite3.Connection, operation: str, parameters: Any) -> tuple[_Executed, list[Any]]:
    cursor = connection.cursor()
    try:
        cursor.execute(operation, () if parameters is None else parameters)
        rows = cursor.fetchall() if cursor.description else []
        return _left(cursor), rows
    finally:
        cursor.close()


def _executed_for_each(
    connection: sqlite3.Connection, operation: str, parameters: Sequence[Any]
) -> tuple[_Executed, list[Any]]:
    cursor = connection.cursor()
    try:
        cursor.executemany(operation, parameters)
        return _left(cursor), []
    finally:
        cursor.close()


def _left(cursor: sqlite3.Cursor) -> _Executed:
    return _Executed(cursor.description, cursor.rowcount, cursor.lastrowid)
