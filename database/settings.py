"""Where the results database is, and how hard it may be used."""

from pydantic import Field, SecretStr
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from runtime.errors import ConfigurationProblem
from runtime.home import home
from runtime.settings import Slice

# Each connection would see a database of its own.
IN_MEMORY = frozenset({":memory:", "file::memory:"})
MARIADB_BACKENDS = frozenset({"mysql", "mariadb"})


def default_url() -> SecretStr:
    """Return the URL of the SQLite file in the state folder."""
    url = URL.create("sqlite+aiosqlite", database=str(home() / "millrace.db"))
    return SecretStr(url.render_as_string(hide_password=False))


class DatabaseSettings(Slice):
    """The results database of one process."""

    database_url: SecretStr = Field(
        default_factory=default_url,
        description="`mysql+aiomysql://user:password@host:3306/name` (MariaDB 10.6 or newer) or"
        " `sqlite+aiosqlite:////absolute/path.db`. Default: millrace.db in MILLRACE_HOME.",
    )
    database_pool_size: int = Field(10, ge=1, description="Connections kept open by a process.")
    database_pool_overflow: int = Field(20, ge=0, description="Connections added under load, then closed.")
    database_pool_timeout: float = Field(
        10, gt=0, description="Seconds to wait for a free connection before answering 503."
    )
    database_statement_seconds: float = Field(
        30, gt=0, description="MariaDB ends a statement that runs longer (a cancelled task leaves its own)."
    )
    database_lock_seconds: int = Field(
        5,
        ge=1,
        description="How long a transaction waits for a lock. MariaDB ends one that says nothing for four"
        " times as long: its process is stopped or cut off.",
    )


def parse_url(text: str) -> URL:
    """Return a database URL with the driver that this code is tested with.

    `mysql://` and `mariadb://` mean the same: a MariaDB through aiomysql. The dialect is always called
    `mariadb` from here on, which also refuses a MySQL server at the first connection.

    Raises:
        ConfigurationProblem: neither MariaDB nor a SQLite file.
    """
    remedy = "Use mysql+aiomysql://user:password@host:3306/name or sqlite+aiosqlite:////absolute/path.db."
    try:
        url = make_url(text)
    except ArgumentError:
        raise ConfigurationProblem(f"DATABASE_URL is not a database URL. {remedy}") from None
    backend = url.get_backend_name()
    if backend in MARIADB_BACKENDS and url.database:
        return url.set(drivername="mariadb+aiomysql")
    if backend == "sqlite" and url.database and url.database not in IN_MEMORY:
        return url.set(drivername="sqlite+aiosqlite")
    raise ConfigurationProblem(f"DATABASE_URL names no database that can be used here. {remedy}")
