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


async def insert_or_existing(
    session: WriteSession, table: sa.Table, values: Mapping[str, Any], columns: Sequence[sa.Column[Any]]
) -> AnyRow:
    """Insert a row in one statement, or change nothing when any unique key is taken.

    Returns:
        `columns` of the row that now holds the key; the caller sees by them whether it is its own.
    """
    statement: sa.Insert
    if is_sqlite(session):
        statement = sqlite.insert(table).values(values).on_conflict_do_update(set_={"id": table.c.id})
    else:
        statement = mysql.insert(table).values(values).on_duplicate_key_update(id=table.c.id)
    return (await session.execute(statement.returning(*columns))).one()


async def changed_rows(session: WriteSession, statement: sa.Update | sa.Delete) -> int:
    """Execute the statement and return how many rows its `where` matched."""
    result = await session.execute(statement)
    return cast("sa.CursorResult[*tuple[Any, ...]]", result).rowcount
