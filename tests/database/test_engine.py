"""Transactions: what is written together, what is tried again, and what is told when nothing helps."""

import asyncio
import itertools
import sqlite3
from pathlib import Path

import pymysql
import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError

from database.engine import Database, ReadSession, WriteSession, open_database
from database.migrate import upgrade
from database.queue.runs import list_runs
from database.settings import DatabaseSettings
from database.tables import ChatRow, core
from database.talk.chats import create_chat, list_chats
from runtime.errors import ConfigurationProblem, Unavailable
from tests.fixtures.made_runs import accepted

PROJECT = Path(__file__).parents[2]
CHATS = core(ChatRow)


@pytest.fixture
async def opened():
    """Open further databases; all are closed in the end."""
    databases: list[Database] = []

    def open_one(url: str, **settings) -> Database:
        databases.append(open_database(DatabaseSettings(database_url=SecretStr(url), **settings)))
        return databases[-1]

    yield open_one
    for database in databases:
        await database.close()


async def titles(database: Database) -> list[str]:
    async with database.read() as session:
        return [chat.title for chat in (await list_chats(session, "local", limit=200)).items]


async def test_what_a_failing_transaction_wrote_is_gone(database):
    async def write_and_fail(session: WriteSession) -> None:
        await create_chat(session, "local", "half written")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await database.write(write_and_fail)
    assert await titles(database) == []


async def test_a_read_session_refuses_to_write(database):
    """What it wrote would be rolled back in silence."""
    async with database.read() as session:
        with pytest.raises(TypeError, match="cannot write"):
            await session.execute(sa.update(CHATS).values(title="x"))


async def test_a_deadlock_runs_the_whole_transaction_again(opened, database_url):
    """Two transactions lock two rows in opposite order; the loser must come through on its second try."""
    if "sqlite" in database_url:
        pytest.skip("SQLite has one writer at a time and no deadlocks")
    database = opened(database_url)
    first = await database.write(create_chat, "local", "first")
    second = await database.write(create_chat, "local", "second")
    tries, met = [], asyncio.Barrier(2)

    async def swap(session: WriteSession, one, other, name: str) -> None:
        tries.append(name)
        await session.execute(sa.update(CHATS).where(CHATS.c.id == one.id).values(title=name))
        if len(tries) <= 2:
            await met.wait()
        await session.execute(sa.update(CHATS).where(CHATS.c.id == other.id).values(title=name))

    await asyncio.gather(
        database.write(swap, first, second, "left"), database.write(swap, second, first, "right")
    )
    assert len(tries) == 3
    assert len(set(await titles(database))) == 1


async def test_a_locked_row_is_waited_for_and_tried_again(opened, database_url):
    """Lock waits end after DATABASE_LOCK_SECONDS; the transaction that held it was just slow."""
    holder, waiter = opened(database_url), opened(database_url, database_lock_seconds=1)
    chat = await holder.write(create_chat, "local", "before")
    locked, tries = asyncio.Event(), []

    async def hold(session: WriteSession) -> None:
        await session.execute(sa.update(CHATS).values(title="held"))
        locked.set()
        await asyncio.sleep(1.5)

    async def rename(session: WriteSession) -> None:
        tries.append(1)
        await session.execute(sa.update(CHATS).where(CHATS.c.id == chat.id).values(title="after"))

    holding = asyncio.create_task(holder.write(hold))
    await locked.wait()
    await waiter.write(rename)
    await holding
    assert await titles(holder) == ["after"]


async def test_who_falls_silent_in_a_transaction_loses_its_locks_and_its_writes(opened, mariadb_server):
    """A worker that was stopped between two statements held its own row, and nobody could reap it."""
    url = mariadb_server.new_database()
    await asyncio.to_thread(upgrade, url)
    silent, other = opened(url, database_lock_seconds=1), opened(url)
    chat = await silent.write(create_chat, "local", "before")
    locked, awake = asyncio.Event(), asyncio.Event()

    async def fall_silent(session: WriteSession) -> None:
        await session.execute(sa.select(CHATS.c.id).where(CHATS.c.id == chat.id).with_for_update())
        locked.set()
        await awake.wait()
        await session.execute(sa.update(CHATS).values(title="too late"))

    async def rename(session: WriteSession) -> None:
        await session.execute(sa.update(CHATS).where(CHATS.c.id == chat.id).values(title="after"))

    silence = asyncio.create_task(silent.write(fall_silent))
    await locked.wait()
    await other.write(rename)
    awake.set()
    with pytest.raises(Unavailable):
        await silence
    assert await titles(silent) == ["after"]


async def test_a_lock_that_is_never_let_go_is_told_before_the_caller_has_given_up(
    opened, tmp_path, monkeypatch
):
    """Ten tries that each wait for the lock would take many times as long."""
    monkeypatch.setattr("database.engine._RETRY_SECONDS", 1.5)
    other = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    database = opened(f"sqlite+aiosqlite:///{tmp_path / 'locked.db'}", database_lock_seconds=1)
    tries, write_once = [], database._write_once  # noqa: SLF001  its tries are seen nowhere else

    async def counted(*work):
        tries.append(1)
        return await write_once(*work)

    monkeypatch.setattr(database, "_write_once", counted)
    with pytest.raises(Unavailable, match="cannot be written now"):
        await database.write(create_chat, "local", "never")
    assert len(tries) <= 2
    other.close()


async def test_fifty_writers_of_two_processes_wait_for_each_other_and_lose_no_race(opened, database_url):
    """With SQLite's own BEGIN, who reads first and then writes is told at once that it is locked."""
    databases = [opened(database_url), opened(database_url)]
    tries = []

    async def read_and_write(session: WriteSession, title: str) -> None:
        tries.append(title)
        await list_chats(session, "local", limit=1)
        await create_chat(session, "local", title)

    await asyncio.gather(*(databases[n % 2].write(read_and_write, f"chat {n}") for n in range(50)))
    assert len(await titles(databases[0])) == 50
    assert len(tries) == 50


async def test_a_broken_rule_of_the_tables_is_our_mistake_and_not_the_databases(database):
    """It must not be taken for an outage and retried for ever."""
    chat = await database.write(create_chat, "local")

    async def insert_again(session: WriteSession) -> None:
        row = {"id": chat.id, "owner": "local", "created_at": chat.created_at, "updated_at": chat.updated_at}
        await session.execute(sa.insert(CHATS).values(row))

    with pytest.raises(IntegrityError) as caught:
        await database.write(insert_again)
    assert "local" not in str(caught.value), "parameters may be prompts: they stay out of errors"


async def test_an_empty_database_says_what_to_run(opened, empty_database_url):
    database = opened(empty_database_url)
    with pytest.raises(ConfigurationProblem, match="millrace migrate") as caught:
        await titles(database)
    assert caught.value.code == "database_not_migrated"


async def test_a_server_that_is_not_there_is_unavailable(opened):
    database = opened("mysql+aiomysql://u:p@127.0.0.1:1/nothing")
    with pytest.raises(Unavailable) as caught:
        await database.ping()
    assert caught.value.code == "database_unavailable"
    assert caught.value.retryable


async def test_a_wrong_password_is_a_setting_to_change_and_not_shown(opened, mariadb_server):
    database = opened(f"mysql+aiomysql://test:wrong-secret@127.0.0.1:{mariadb_server.port}/x")
    with pytest.raises(ConfigurationProblem) as caught:
        await database.ping()
    assert caught.value.code == "database_refused"
    assert "wrong-secret" not in str(caught.value)


async def test_a_folder_that_does_not_exist_is_told(opened, tmp_path):
    database = opened(f"sqlite+aiosqlite:///{tmp_path / 'nowhere' / 'x.db'}")
    with pytest.raises(Unavailable, match="does its folder exist"):
        await database.ping()


async def test_a_pool_that_is_used_up_answers_in_time(opened, database_url):
    database = opened(database_url, database_pool_size=1, database_pool_overflow=0, database_pool_timeout=0.2)
    async with database.read() as session:
        await list_runs(session, "local")
        with pytest.raises(Unavailable, match="no free connection"):
            await database.ping()
    await database.ping()


async def test_a_statement_that_runs_too_long_is_ended_by_the_server(opened, database_url):
    """A cancelled task leaves its query running: without this, for ever."""
    if "sqlite" in database_url:
        pytest.skip("SQLite runs in our process and ends with it")
    database = opened(database_url, database_statement_seconds=0.2)
    with pytest.raises(Unavailable) as caught:
        async with database.read() as session:
            await session.execute(sa.text("SELECT COUNT(*) FROM seq_1_to_100000000 a, seq_1_to_1000 b"))
    assert caught.value.code == "database_timeout"


async def test_a_cancelled_write_leaves_nothing_behind_and_no_broken_connection(database):
    began = asyncio.Event()

    async def write_slowly(session: WriteSession) -> None:
        await create_chat(session, "local", "cancelled")
        began.set()
        await asyncio.sleep(30)

    for _ in range(3):
        began.clear()
        task = asyncio.create_task(database.write(write_slowly))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await accepted(database)
    assert await titles(database) == []


@pytest.mark.parametrize("number", range(6))
async def test_a_write_cancelled_while_a_statement_is_on_the_wire_is_absent_and_locks_nobody(
    opened, database_url, number
):
    """The connection must not be used again.

    On SQLite it once kept the write lock as long as anybody kept the error of the cancelled task, because
    of the statement in its traceback.
    """
    database = opened(database_url, database_lock_seconds=60)
    await database.ping()
    statements = itertools.count()

    async def write_two(session: WriteSession) -> None:
        await create_chat(session, "local", "a")
        await create_chat(session, "local", "b")

    task = asyncio.create_task(database.write(write_two))

    @sa.event.listens_for(database.engine.sync_engine, "before_cursor_execute")
    def cancel(*_statement) -> None:
        if next(statements) == number:
            asyncio.get_running_loop().call_soon(task.cancel)

    (kept,) = await asyncio.gather(task, return_exceptions=True)
    sa.event.remove(database.engine.sync_engine, "before_cursor_execute", cancel)
    async with asyncio.timeout(50):
        await database.write(create_chat, "local", "c")
    # MariaDB takes one statement less: by the last number the task is through before it is cancelled.
    assert sorted(await titles(database)) == (["c"] if kept else ["a", "b", "c"])


async def test_writes_that_are_cancelled_at_any_moment_are_whole_or_absent(database):
    async def write_two(session: WriteSession, number: int) -> None:
        await create_chat(session, "local", f"{number} a")
        await create_chat(session, "local", f"{number} b")

    kept = []
    for number in range(40):
        task = asyncio.create_task(database.write(write_two, number))
        await asyncio.sleep(number * 0.0002)
        task.cancel()
        kept += await asyncio.gather(task, return_exceptions=True)
    written = [title.split()[0] for title in await titles(database)]
    assert all(written.count(number) == 2 for number in written)


async def test_a_server_that_was_killed_and_is_back_is_found_again(opened, mariadb_server):
    """Connections of the pool are dead then: pre-ping replaces them without an error."""
    database = opened(mariadb_server.new_database())
    await asyncio.gather(*(database.ping() for _ in range(5)))
    mariadb_server.kill()
    with pytest.raises(Unavailable):
        await database.ping()
    await asyncio.to_thread(mariadb_server.start)
    await asyncio.gather(*(database.ping() for _ in range(5)))


async def test_sessions_of_mariadb_are_strict_utc_and_read_committed(opened, mariadb_server):
    database = opened(mariadb_server.new_database())
    async with database.read() as session:
        query = "SELECT @@sql_mode, @@time_zone, @@tx_isolation, @@character_set_client, @@max_statement_time"
        mode, zone, isolation, charset, seconds = (await session.execute(sa.text(query))).one()
    assert "STRICT_ALL_TABLES" in mode
    assert (zone, isolation, charset, seconds) == ("+00:00", "READ-COMMITTED", "utf8mb4", 30)


async def test_a_new_sqlite_file_that_another_process_writes_to_can_be_opened(opened, tmp_path):
    """Write-ahead logging cannot be switched on at that moment; the next connection does."""
    path = tmp_path / "new.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await opened(f"sqlite+aiosqlite:///{path}", database_lock_seconds=1).ping()
    other.close()


async def test_sqlite_writes_ahead_and_checks_foreign_keys(opened, tmp_path):
    database = opened(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}")
    async with database.read() as session:
        pragmas = [
            (await session.execute(sa.text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "foreign_keys", "synchronous")
        ]
    assert pragmas == ["wal", 1, 1]


def test_a_write_session_is_a_read_session_and_not_the_other_way():
    """Query functions that write ask for the type; the type checker holds callers to it."""
    assert issubclass(WriteSession, ReadSession)
    assert not issubclass(ReadSession, WriteSession)


def test_only_one_place_commits():
    """Application code never commits: a transaction is whole or absent."""
    packages = ("api", "contracts", "database", "deployments", "flows", "llm", "modules", "runtime", "tools")
    files = [path for package in packages for path in (PROJECT / package).rglob("*.py")]
    found = [path.relative_to(PROJECT).as_posix() for path in files if "session.commit(" in path.read_text()]
    assert found == ["database/engine.py"]


def test_the_drivers_are_the_ones_whose_errors_we_know():
    """`database/faults.py` reads error numbers of PyMySQL and names of sqlite3."""
    assert pymysql.VERSION[:2] < (1, 2)
    assert hasattr(sqlite3.Error(), "sqlite_errorname") or sqlite3.sqlite_version_info >= (3, 35)
