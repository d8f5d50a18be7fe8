"""The audit log: who did what, in the transaction of what was done, and never changed afterwards."""

import pytest
import sqlalchemy as sa

from database.engine import Database, WriteSession
from database.people.audit import COMMAND_LINE, list_entries, record
from database.tables import AuditRow, core
from runtime.errors import MillraceError

AUDIT = core(AuditRow)


async def test_a_line_is_neither_changed_nor_deleted_by_anybody(database: Database):
    """Whoever has our login to the database, by whatever hole, cannot rewrite what they did."""
    await database.write(record, COMMAND_LINE, "user.created", "user:1")

    async def rewrite(session: WriteSession) -> None:
        await session.execute(sa.update(AUDIT).values(action="nothing.happened"))

    async def forget(session: WriteSession) -> None:
        await session.execute(sa.delete(AUDIT))

    for change in (rewrite, forget):
        with pytest.raises((sa.exc.DBAPIError, MillraceError)):
            await database.write(change)
    async with database.read() as session:
        assert [line.action for line in (await list_entries(session)).items] == ["user.created"]


async def test_what_was_rolled_back_leaves_no_line(database: Database):
    async def fails(session: WriteSession) -> None:
        await record(session, COMMAND_LINE, "user.created", "user:1")
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  ours, from two lines above
        await database.write(fails)
    async with database.read() as session:
        assert (await list_entries(session)).items == []
