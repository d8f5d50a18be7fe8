"""aiosqlite with one visit per statement answers as SQLAlchemy expects of any driver."""

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from database.sqlite_driver import OneVisitSqlite

TABLE = sa.Table(
    "things", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text)
)


@pytest.fixture
async def engine(tmp_path):
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/a.db", module=OneVisitSqlite())
    async with engine.begin() as connection:
        await connection.run_sync(TABLE.metadata.create_all)
    yield engine
    await engine.dispose()


async def test_rows_counts_and_keys_come_back(engine):
    async with engine.begin() as connection:
        first = await connection.execute(sa.insert(TABLE).values(name="a"))
        assert first.inserted_primary_key == (1,)
        await connection.execute(sa.insert(TABLE), [{"name": "b"}, {"name": "c"}])
        changed = await connection.execute(sa.update(TABLE).where(TABLE.c.id > 1).values(name="x"))
        assert changed.rowcount == 2
        returned = await connection.execute(sa.delete(TABLE).where(TABLE.c.id == 3).returning(TABLE.c.name))
        assert returned.scalars().all() == ["x"]
        found = await connection.execute(sa.select(TABLE).order_by(TABLE.c.id))
        assert [tuple(row) for row in found] == [(1, "a"), (2, "x")]
        assert (await connection.execute(sa.select(TABLE).where(TABLE.c.id == 9))).one_or_none() is None
        assert (await connection.exec_driver_sql("PRAGMA user_version")).scalar_one() == 0


async def test_errors_are_those_of_the_driver_and_the_connection_goes_on(engine):
    async with engine.connect() as connection:
        with pytest.raises(OperationalError, match="no such table"):
            await connection.exec_driver_sql("SELECT 1 FROM missing")
        await connection.execute(sa.insert(TABLE).values(id=1))
        with pytest.raises(IntegrityError):
            await connection.execute(sa.insert(TABLE).values(id=1))
        assert (await connection.execute(sa.select(sa.func.count()).select_from(TABLE))).scalar_one() == 1


async def test_a_streamed_result_comes_row_by_row(engine):
    async with engine.begin() as connection:
        await connection.execute(sa.insert(TABLE), [{"name": str(n)} for n in range(100)])
        async with connection.stream(sa.select(TABLE.c.id).order_by(TABLE.c.id)) as rows:
            assert [row.id async for row in rows] == list(range(1, 101))


async def test_a_cancelled_statement_leaves_nothing_half_read(engine):
    """A statement that is half read would keep the file locked."""
    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT i FROM n"

    async def reads() -> None:
        async with engine.begin() as connection:
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
            await connection.exec_driver_sql(slow)

    reading = asyncio.create_task(reads())
    await asyncio.sleep(0.02)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)

    async with engine.begin() as connection:
        await connection.execute(sa.insert(TABLE).values(name="after"))
