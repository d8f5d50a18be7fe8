"""How a connection to each kind of database is opened and set up."""

import sqlite3
import time
from contextlib import suppress
from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from database.settings import DatabaseSettings, parse_url
from database.sqlite_driver import OneVisitSqlite

WRITES = {"millrace_writes": True}
_CONNECT_SECONDS = 5
_RECYCLE_SECONDS = 1800
_FRESH_SECONDS = 0.5
_IDLE_PER_LOCK_WAIT = 4
_USED_AT = "millrace_used_at"


def build_engine(settings: DatabaseSettings) -> AsyncEngine:
    """Return an engine that has not connected yet."""
    url = parse_url(settings.database_url.get_secret_value())
    is_sqlite = url.get_backend_name() == "sqlite"
    engine = create_async_engine(
        url,
        # Errors are logged: they must not carry prompts and answers.
        hide_parameters=True,
        # Sessions end their transactions themselves; the pool would send a second ROLLBACK after each.
        pool_reset_on_return=None,
        pool_recycle=_RECYCLE_SECONDS,
        pool_size=settings.database_pool_size,
        max_overflow=settings.database_pool_overflow,
        pool_timeout=settings.database_pool_timeout,
        connect_args=_sqlite_arguments(settings) if is_sqlite else _mariadb_arguments(url, settings),
        **({"module": OneVisitSqlite()} if is_sqlite else {}),
    )
    _ping_idle(engine)
    if is_sqlite:
        _set_up_sqlite(engine)
    return engine


def _ping_idle(engine: AsyncEngine) -> None:
    """Ask a connection whether it still lives before it is used again, unless it answered a moment ago.

    The pool's own `pool_pre_ping` asks every time: a third of what a call's two transactions send.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def checkin(_connection: Any, record: Any) -> None:
        record.info[_USED_AT] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def checkout(connection: Any, record: Any, _fairy: Any) -> None:
        used_at = record.info.get(_USED_AT)
        if used_at is None or time.monotonic() - used_at < _FRESH_SECONDS:
            return
        try:
            engine.sync_engine.dialect.do_ping(connection)
        except Exception as error:
            raise InvalidatePoolError from error


def write_ahead(cursor: Any) -> None:
    """Let readers and the writer of a SQLite file not wait for each other; the file remembers it."""
    # The switch takes a lock without waiting for it. Who has the lock is making the switch, or has made it.
    with suppress(sqlite3.OperationalError):
        cursor.execute("PRAGMA journal_mode=WAL")


def _mariadb_arguments(url: URL, settings: DatabaseSettings) -> dict[str, Any]:
    session = {
        "time_zone": "'+00:00'",
        "sql_mode": "'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
        "NO_ENGINE_SUBSTITUTION'",
        # READ COMMITTED takes no gap locks: claims and inserts of different workers do not meet.
        "tx_isolation": "'READ-COMMITTED'",
        "max_statement_time": settings.database_statement_seconds,
        "innodb_lock_wait_timeout": settings.database_lock_seconds,
        # A process that is stopped, or cut off, in the middle of a transaction says nothing and keeps its
        # locks: the server ends the transaction, and who waits for the locks goes on.
        "idle_transaction_timeout": _IDLE_PER_LOCK_WAIT * settings.database_lock_seconds,
    }
    return {
        "charset": url.query.get("charset", "utf8mb4"),
        "connect_timeout": _CONNECT_SECONDS,
        "init_command": "SET SESSION " + ", ".join(f"{name}={value}" for name, value in session.items()),
    }


def _sqlite_arguments(settings: DatabaseSettings) -> dict[str, Any]:
    return {"timeout": settings.database_lock_seconds}


def _set_up_sqlite(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        # The driver's own idea of a transaction begins too late; `begin` below says it.
        connection.isolation_level = None
        cursor = connection.cursor()
        write_ahead(cursor)
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer that began as a reader fails at once when another one was faster; one that asks for
        # the write lock first waits for it.
        writes = "millrace_writes" in connection.get_execution_options()
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    @event.listens_for(engine.sync_engine, "invalidate")
    def invalidate(connection: Any, _record: Any, _error: BaseException | None) -> None:
        # A cancelled task leaves a statement half read, and its error holds on to that statement. SQLite
        # closes such a connection only when the statement is gone, and keeps the write lock until then.
        with suppress(Exception):
            connection.rollback()
