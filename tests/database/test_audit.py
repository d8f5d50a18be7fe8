"""The audit log: who did what, in the transaction of what was done, and never changed afterwards."""

import pytest
import sqlalchemy as sa

from database.engine import Database, WriteSession
from database.people.audit import COMMAND_LINE, Doer, lines_about, list_entries, record
from database.tables import AuditRow, core
from runtime.errors import MillraceError
from runtime.ids import new_id

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


async def test_the_lines_about_somebody_are_theirs_their_keys_and_those_that_name_them(database: Database):
    """Where others acted from is about them."""
    me, key, other = new_id(), new_id(), new_id()
    for actor, target in (
        *((f"user:{me}", "chat:1"), (f"key:{key}", "chat:2"), (f"user:{other}", f"user:{me}")),
        *((f"user:{other}", "chat:3"), (f"key:{other}", f"user:{other}")),
    ):
        await database.write(record, Doer(actor, "local", "192.0.2.7", "r"), "thing.done", target)

    async with database.read() as session:
        lines = (await session.execute(lines_about(me, [key]))).all()

    told = [(line.target, line.address, line.request_id) for line in lines]
    assert told == [
        *(("chat:1", "192.0.2.7", "r"), ("chat:2", "192.0.2.7", "r")),
        (f"user:{me}", None, None),
    ]
