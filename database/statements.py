"""Statements that several query files share, and where the two dialects differ."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite

from database.engine import ReadSession, WriteSession

AnyRow = sa.Row[*tuple[Any, ...]]
AnySelect = sa.Select[*tuple[Any, ...]]


def is_sqlite(session: ReadSession) -> bool:
    """Return whether the session talks to SQLite."""
    return session.get_bind().dialect.name == "sqlite"


async def one_snapshot(session: ReadSession) -> None:
    """Let all that this session reads be as of one moment, that of its first statement; call it before that.

    SQLite does so by itself; on MariaDB a statement sees what was committed before it, unless asked.
    """
    if not is_sqlite(session) and not session.in_transaction():
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


async def insert_or_existing(
    session: WriteSession, table: sa.Table, values: Mapping[str, Any], columns: Sequence[sa.Column[Any]]
) -> AnyRow:
    """Insert a row in one statement, or change nothing when any unique key is taken.

    Returns:
        `columns` of the row that now holds the key; the caller sees by them whether it is its own.
    """
    statement: sa.Insert
    same = {(key := next(iter(table.primary_key))).name: key}
    if is_sqlite(session):
        statement = sqlite.insert(table).values(values).on_conflict_do_update(set_=same)
    else:
        statement = mysql.insert(table).values(values).on_duplicate_key_update(same)
    return (await session.execute(statement.returning(*columns))).one()


async def changed_rows(
    session: WriteSession, statement: sa.Update | sa.Delete, parameters: Mapping[str, Any] | None = None
) -> int:
    """Execute the statement and return how many rows its `where` matched."""
    result = await session.execute(statement, parameters)
    return cast("sa.CursorResult[*tuple[Any, ...]]", result).rowcount


async def put(
    session: WriteSession, table: sa.Table, key: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Insert a row, or change `values` of the one that has this primary key; one statement."""
    await session.execute(_upsert(session, table, key, values, dict(values)))


async def add_to(
    session: WriteSession, table: sa.Table, key: Mapping[str, Any], sums: Mapping[str, Any]
) -> None:
    """Insert a row, or add `sums` to the one that has this primary key; one statement."""
    added = {name: table.c[name] + value for name, value in sums.items()}
    await session.execute(_upsert(session, table, key, sums, added))


def _upsert(
    session: WriteSession,
    table: sa.Table,
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    changing: dict[str, Any],
) -> sa.Insert:
    if is_sqlite(session):
        insert = sqlite.insert(table).values({**key, **values})
        return insert.on_conflict_do_update(index_elements=list(key), set_=changing)
    return mysql.insert(table).values({**key, **values}).on_duplicate_key_update(changing)
