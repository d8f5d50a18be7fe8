"""Statements compiled once and sent by the driver itself, for what a model call waits for.

A session, its transaction, its result and their greenlets take several times as long as SQLite does for a
small write, and about as long as MariaDB's round trip.

What is written so must be plain: each statement changes a row, or nothing at all is written and the caller
goes the usual way, which knows why. So whatever goes wrong here is no error, and the usual way must be safe
to go after a write whose answer was lost.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Any, cast

import pymysql
import structlog
from sqlalchemy import AdaptedConnection, Dialect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql import Executable
from sqlalchemy.util import greenlet_spawn

# Whoever does not answer for so long is asked in the usual way, by another connection.
SECONDS = 5.0
FRESH_SECONDS = 60.0
# Writes at the same time, each on a connection: when all of them wait for a lock, others go the usual way.
MOST = 8

_Step = tuple[str, list[Any]]

log = structlog.get_logger()


class Prepared:
    """A statement of one dialect, with the order and the conversions of its parameters.

    Args:
        statement: whose parameters are all named by `bindparam`, none of them expanding.
        dialect: of the database.
    """

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        self.sql = str(compiled)
        self._order: list[str] = compiled.positiontup
        types = {name: bind.type.dialect_impl(dialect) for name, bind in compiled.binds.items()}
        self._conversions = {
            name: convert
            for name, kind in types.items()
            if (convert := kind.bind_processor(dialect)) is not None
        }
        self._constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}

    def parameters(self, values: Mapping[str, Any]) -> list[Any]:
        """Return values as the driver wants them; those that the statement does not know are left out."""
        given = {**self._constants, **values}
        return [
            convert(given[name]) if (convert := self._conversions.get(name)) else given[name]
            for name in self._order
        ]


@dataclass(frozen=True, slots=True)
class Plain:
    """A write that can be done by prepared statements.

    Args:
        steps: each with its values, and each changes a row.
        outcome: what the caller hears then.
    """

    steps: Sequence[tuple[Prepared, Mapping[str, Any]]]
    outcome: Any


class Drivers:
    """Connections of a pool that are kept for prepared statements, without transactions of SQLAlchemy.

    Args:
        engine: of the database.
        turn: what a writer of this process holds; SQLite has one writer at a time.
    """

    def __init__(self, engine: AsyncEngine, turn: AbstractAsyncContextManager[Any]) -> None:
        self._engine = engine
        self._turn = turn
        # Each with the moment of its last use; none once they are closed.
        self._idle: list[tuple[AdaptedConnection, float]] | None = []
        self._busy = 0
        self._prepared: dict[Executable, Prepared] = {}
        self.sqlite = engine.dialect.name == "sqlite"
        # Hear the statements of each write, as SQLAlchemy's events do of its own.
        self.listeners: list[Callable[[list[str]], None]] = []

    def prepared(self, statement: Executable) -> Prepared:
        """Return a statement prepared, once for each that lives as long as the process."""
        found = self._prepared.get(statement)
        if found is None:
            found = self._prepared[statement] = Prepared(statement, self._engine.dialect)
        return found

    async def wrote(self, plain: Plain) -> bool:
        """Return whether each step changed a row, all of them committed.

        False says nothing but that the usual way is to be gone.
        """
        # Each of several statements would be a transaction of its own on MariaDB.
        if self._idle is None or self._busy >= MOST or (len(plain.steps) > 1 and not self.sqlite):
            return False
        self._busy += 1
        try:
            steps = [(each.sql, each.parameters(values)) for each, values in plain.steps]
            async with asyncio.timeout(SECONDS), self._turn:
                return await self._by_one(steps)
        except Exception as error:  # noqa: BLE001  the usual way says whose fault it is
            log.debug("a prepared write goes the usual way", reason=type(error).__name__)
            return False
        finally:
            self._busy -= 1

    async def _by_one(self, steps: list[_Step]) -> bool:
        """Do it by one connection, which is kept unless it is left in the middle of something."""
        held, done = await self._taken(), None
        try:
            for hear in self.listeners:
                hear([sql for sql, _ in steps])
            done = await (_in_one_visit if self.sqlite else _in_one_statement)(held, steps)
            return done
        finally:
            if done is not None and self._idle is not None:
                self._idle.append((held, time.monotonic()))
            else:
                await _closed(held)

    async def close(self) -> None:
        """Close the connections."""
        idle, self._idle = self._idle or [], None
        for held, _ in idle:
            await _closed(held)

    async def _taken(self) -> AdaptedConnection:
        """Return a connection that was used lately, or a new one."""
        while self._idle:
            held, used_at = self._idle.pop()
            if time.monotonic() - used_at < FRESH_SECONDS:
                return held
            await _closed(held)  # what lies between may have forgotten it, and would say nothing
        return await self._opened()

    async def _opened(self) -> AdaptedConnection:
        pooled = await self._engine.raw_connection()
        opened: Any = pooled.dbapi_connection
        pooled.detach()  # it takes nobody's place in the pool
        try:
            if not self.sqlite:
                await opened.driver_connection.autocommit(True)
        except BaseException:
            await _closed(opened)
            raise
        return cast("AdaptedConnection", opened)


async def _closed(held: AdaptedConnection) -> None:
    with suppress(Exception):
        await greenlet_spawn(held.terminate)  # type: ignore[attr-defined]


async def _in_one_statement(held: Any, steps: list[_Step]) -> bool:
    """Return whether the one step changed a row of MariaDB, which commits it by itself."""
    ((sql, parameters),) = steps
    # SQLAlchemy's kind of cursor asks for no warnings, which is a further round trip.
    async with held.driver_connection.cursor(held.dbapi.Cursor) as cursor:
        try:
            await cursor.execute(sql, parameters)
        except pymysql.err.IntegrityError:  # its row is there
            return False
        return bool(cursor.rowcount)


async def _in_one_visit(held: Any, steps: list[_Step]) -> bool:
    """Return whether each step changed a row of a SQLite file, in a transaction of its thread's."""
    driver = held.driver_connection
    done: bool = await driver._execute(_transaction, driver._conn, steps)  # noqa: SLF001  as its own methods do
    return done


def _transaction(connection: sqlite3.Connection, steps: list[_Step]) -> bool:
    connection.execute("BEGIN IMMEDIATE")
    try:
        done = all(connection.execute(sql, parameters).rowcount for sql, parameters in steps)
        connection.execute("COMMIT" if done else "ROLLBACK")
    except BaseException as error:
        connection.rollback()
        if isinstance(error, sqlite3.IntegrityError):  # its row is there
            return False
        raise
    return done
