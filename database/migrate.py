"""Bring a database to the tables of this version.

Everything here is synchronous and starts no event loop: inside a running one, call it by
`asyncio.to_thread(upgrade, url)`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError

from database.connections import write_ahead
from database.faults import translated
from database.settings import parse_url
from database.tables import Table
from runtime.errors import ConfigurationProblem, Unavailable
from runtime.home import PROJECT

_WAIT_SECONDS = 60
_SCRIPTS = PROJECT / "alembic"


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What an upgrade did: the revisions before (None: an empty database) and after it."""

    before: str | None
    after: str | None


def upgrade(url: str, revision: str = "head") -> Upgrade:
    """Migrate a database up, from empty or from any older version.

    Processes that upgrade one database at the same time take turns; all but the first find it done.

    Raises:
        ConfigurationProblem: the URL is not usable, or the database is newer than this program.
        Unavailable: the database does not answer, or another upgrade takes longer than 60 s.
    """
    with migration_connection(url) as connection:
        before = _revision(connection)
        if before is not None and before not in _known_revisions():
            raise ConfigurationProblem(
                f"The results database is at revision {before}, which this version does not know."
                " Start a newer Millrace, or restore a backup of before its upgrade.",
                "database_newer",
            )
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        return Upgrade(before, _revision(connection))


def current(url: str) -> str | None:
    """Return the revision of a database, None when it was never migrated.

    Raises:
        ConfigurationProblem: the URL is not usable.
        Unavailable: the database does not answer.
    """
    with migration_connection(url) as connection:
        return _revision(connection)


def head() -> str | None:
    """Return the newest revision that this version knows."""
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


def check(url: str) -> list[str]:
    """Return what differs between a database and the tables of this version; empty when nothing does.

    Raises:
        ConfigurationProblem: the URL is not usable.
        Unavailable: the database does not answer.
    """
    with migration_connection(url) as connection:
        found = [] if _revision(connection) == head() else [f"it is not at revision {head()}"]
        differences: list[Any] = compare_metadata(MigrationContext.configure(connection), Table.metadata)
        return found + [str(difference) for difference in differences]


def alembic_config() -> Config:
    """Return the configuration for `alembic.command`; it needs no file."""
    if not (_SCRIPTS / "env.py").is_file():
        raise ConfigurationProblem(f"The migrations are not in {_SCRIPTS}: run Millrace from its checkout.")
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config


@contextmanager
def migration_connection(url: str) -> Iterator[Connection]:
    """Yield a connection in a transaction, while no other migration of this database runs."""
    parsed = parse_url(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    engine = create_engine(
        parsed.set(drivername="sqlite" if is_sqlite else "mariadb+pymysql"),
        connect_args={"timeout": _WAIT_SECONDS}
        if is_sqlite
        else {"charset": "utf8mb4", "connect_timeout": 5},
        hide_parameters=True,
    )
    if is_sqlite:
        _begin_immediately(engine)
    try:
        with engine.begin() as connection:
            if not is_sqlite:
                _take_turn(connection)
            yield connection
    except (SQLAlchemyError, ConnectionError) as error:
        ours = translated(error)
        if ours is None:
            raise
        raise ours from error
    finally:
        engine.dispose()


def _begin_immediately(engine: Any) -> None:
    """Make one transaction of all statements, table changes included, that waits for other writers."""

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        write_ahead(connection.cursor())

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _take_turn(connection: Connection) -> None:
    """Wait for other migrations: MariaDB commits at each table change. The lock ends with the connection."""
    name = "CONCAT('millrace.', LEFT(DATABASE(), 50))"
    taken = connection.execute(text(f"SELECT GET_LOCK({name}, {_WAIT_SECONDS})")).scalar_one()
    if taken != 1:
        raise Unavailable("Another migration of the results database is running.", "database_migrating")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _known_revisions() -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()}
