"""A row of one person in every table that holds what is somebody's: also in tables that come later."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.people import user_space
from database.columns import Json, LongBlob, LongText, Money, UtcDateTime
from database.engine import Database, WriteSession
from database.people.personal import FOLLOWING, OF_A_PERSON, OWNED
from database.tables import Table
from runtime.clock import utcnow
from runtime.ids import new_id
from tests.fixtures.made_programs import NAME

MARK = "umas-secret-word"
# What must be as it is, or nothing could be asked about it.
FIXED: dict[str, Any] = {
    "pipeline": "probe",
    "pool": "batch",
    "status": "succeeded",
    "origin": "api",
    "program": NAME,
    "version": 7,
    "deleted_at": None,
    "revoked_at": None,
    "ended_at": None,
}


def personal_tables() -> list[sa.Table]:
    """Return every table that holds what is somebody's, parents first."""
    names = OWNED | OF_A_PERSON | FOLLOWING.keys()
    return [table for table in Table.metadata.sorted_tables if table.name in names]


async def fill(database: Database, user_id: UUID, project_id: UUID) -> dict[str, Any]:
    """Give a person a row in each of these tables; return the id of each row by its table's name."""
    given: dict[str, Any] = {"users": user_id, "projects": project_id}

    async def write(session: WriteSession) -> None:
        programs = Table.metadata.tables["programs"]
        given["programs"] = (await session.execute(sa.select(programs.c.id).limit(1))).scalar_one()
        for table in _parents_first():
            if table.name == "project_members":  # whoever made the project is in it
                continue
            row = {column.name: _value(table, column, given, user_id) for column in table.columns}
            given[table.name] = row.get("id")
            await session.execute(sa.insert(table).values(row))

    await database.write(write)
    return given


def _parents_first() -> list[sa.Table]:
    """As `personal_tables`, but also behind what they follow without a foreign key."""
    tables = personal_tables()
    return sorted(tables, key=lambda table: (table.name in FOLLOWING, tables.index(table)))


def _value(table: sa.Table, column: sa.Column[Any], given: dict[str, Any], user_id: UUID) -> Any:
    name = column.name
    if table.name in FOLLOWING and FOLLOWING[table.name][0] == name:
        return given[FOLLOWING[table.name][1]]
    for key in column.foreign_keys:
        return given[key.column.table.name]
    own = {"owner": user_space(user_id), "user_id": user_id, "shared_by": user_id}
    own |= {"project_id": given["projects"], "chat_id": given.get("chats")}
    if name in own or name in FIXED:
        return own.get(name, FIXED.get(name))
    return _of(column.type, name)


def _of(kind: Any, name: str) -> Any:
    if isinstance(kind, sa.String | LongText):
        return f"{MARK} {name}"[: getattr(kind, "length", None)]
    made = {
        sa.Uuid: new_id(),
        Json: {"mark": MARK},
        LongBlob: MARK.encode(),
        UtcDateTime: utcnow(),
        Money: Decimal(1),
        sa.Boolean: False,
        sa.Integer: 7,
        sa.BigInteger: 7,
        sa.Double: 0.5,
        sa.Float: 0.5,
    }
    return made[type(kind)]
