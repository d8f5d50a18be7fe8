"""Migrations: up from empty on both databases, and equal to the tables."""

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from database.engine import Database
from database.migrate import Upgrade, alembic_config, check, current, head, migration_connection, upgrade
from database.tables import Table
from runtime.errors import ConfigurationProblem, Unavailable
from tests.fixtures.made_runs import accepted

PROJECT = Path(__file__).parents[2]


def test_an_empty_database_goes_up_to_the_tables_of_this_version(empty_database_url):
    assert current(empty_database_url) is None
    assert upgrade(empty_database_url) == Upgrade(before=None, after=head())
    assert current(empty_database_url) == head()
    assert check(empty_database_url) == []


def test_going_up_again_changes_nothing(empty_database_url):
    upgrade(empty_database_url)
    assert upgrade(empty_database_url) == Upgrade(before=head(), after=head())


def test_a_difference_between_tables_and_migrations_is_found(empty_database_url):
    """Else a column that somebody forgot to migrate shows up in production."""
    upgrade(empty_database_url)
    with migration_connection(empty_database_url) as connection:
        connection.execute(sa.text("ALTER TABLE runs DROP COLUMN started_at"))
    (difference,) = check(empty_database_url)
    assert "started_at" in difference


def test_an_empty_database_differs(empty_database_url):
    assert check(empty_database_url)[0] == f"it is not at revision {head()}"


def test_going_down_leaves_nothing_behind(empty_database_url):
    upgrade(empty_database_url)
    with migration_connection(empty_database_url) as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    with migration_connection(empty_database_url) as connection:
        assert set(sa.inspect(connection).get_table_names()) <= {"alembic_version"}


def test_processes_that_migrate_at_the_same_time_take_turns(empty_database_url):
    """Every replica may migrate when it starts."""
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(upgrade, [empty_database_url] * 4))
    assert [result.before for result in results].count(None) == 1
    assert {result.after for result in results} == {head()}


async def test_migrating_inside_a_running_loop_goes_by_a_thread(empty_database_url):
    result = await asyncio.to_thread(upgrade, empty_database_url)
    assert result.after == head()


def test_a_database_of_a_newer_version_is_left_alone(empty_database_url):
    """A rollback of the program must not go on with tables that it does not know."""
    upgrade(empty_database_url)
    with migration_connection(empty_database_url) as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationProblem, match="9999") as caught:
        upgrade(empty_database_url)
    assert caught.value.code == "database_newer"


def test_a_server_that_is_not_there_is_told():
    with pytest.raises(Unavailable):
        upgrade("mysql+aiomysql://u:p@127.0.0.1:1/nothing")


def test_the_alembic_command_takes_its_url_from_the_settings(empty_database_url):
    """Developers use `alembic revision --autogenerate` and CI `alembic check`, without an ini file."""
    environment = {**os.environ, "DATABASE_URL": empty_database_url, "PYTHONPATH": str(PROJECT)}
    for arguments in (["upgrade", "head"], ["check"]):
        done = subprocess.run(
            [sys.executable, "-m", "alembic", *arguments],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert current(empty_database_url) == head()


def test_every_table_of_mariadb_is_innodb_with_utf8mb4(mariadb_server):
    url = mariadb_server.new_database()
    upgrade(url)
    with migration_connection(url) as connection:
        query = (
            "SELECT table_name, engine, table_collation FROM information_schema.tables"
            " WHERE table_schema = DATABASE() AND table_name <> 'alembic_version'"
        )
        tables = connection.execute(sa.text(query)).all()
    assert {name for name, _engine, _collation in tables} == set(Table.metadata.tables)
    assert {(engine, collation) for _name, engine, collation in tables} == {("InnoDB", "utf8mb4_nopad_bin")}


async def test_a_migrated_database_works(database: Database):
    assert (await accepted(database)).attempt == 0
