"""What a database's error means to us: try again, wait for it, or change something."""

import sqlite3

from sqlalchemy.exc import DBAPIError, InvalidRequestError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from runtime.errors import ConfigurationProblem, MillraceError, Unavailable

# Lock wait timeout, deadlock, and (from MariaDB 11.6.2 on) a record that changed since it was read:
# https://mariadb.com/docs/server/reference/error-codes
_LOST_A_RACE = frozenset({1205, 1213, 1020})
# Too many connections, shutting down, read-only while failing over, killed; 20xx: no or a lost connection.
_NOT_THERE = frozenset({1040, 1053, 1290, 1927, 2002, 2003, 2006, 2013, 2014, 2027, 2055})
_INTERRUPTED = frozenset({1317, 1969})
_WRONG_LOGIN = frozenset({1044, 1045, 1049, 1698})
_NO_TABLE = frozenset({1054, 1146})

_MIGRATE = "The results database is not migrated to this version. Run `millrace migrate`."
_REFUSED = "The results database refuses the user, password or name in DATABASE_URL."
_TOO_LONG = "The results database ended a statement that ran too long."
_SILENT = "The results database does not answer."
_NO_FILE = "The results database's file cannot be opened: does its folder exist?"
_NO_WRITE = "The results database cannot be written now."


def lost_a_race(error: Exception) -> bool:
    """Return whether the same transaction may simply be run again."""
    if not isinstance(error, DBAPIError):
        return False
    name = _sqlite_name(error)
    return _number(error) in _LOST_A_RACE or name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def translated(error: SQLAlchemyError | OSError) -> MillraceError | None:
    """Return our error for one that is not a mistake in our code, else None."""
    if isinstance(error, PoolTimeout):
        return Unavailable("The results database has no free connection.", "database_unavailable")
    if isinstance(error, OSError):
        return Unavailable(_SILENT, "database_unavailable")
    if isinstance(error, DBAPIError):
        return _translated_driver_error(error)
    if isinstance(error, InvalidRequestError) and "MariaDB variant" in str(error):
        return ConfigurationProblem("DATABASE_URL leads to a MySQL server; MariaDB 10.6 or newer is needed.")
    return None


def _translated_driver_error(error: DBAPIError) -> MillraceError | None:
    number, name, text = _number(error), _sqlite_name(error), str(error.orig)
    not_migrated = number in _NO_TABLE or "no such table" in text or "no such column" in text
    full = name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY"))
    answers: list[tuple[bool, MillraceError]] = [
        (not_migrated, ConfigurationProblem(_MIGRATE, "database_not_migrated")),
        (number in _WRONG_LOGIN, ConfigurationProblem(_REFUSED, "database_refused")),
        (number in _INTERRUPTED, Unavailable(_TOO_LONG, "database_timeout")),
        (error.connection_invalidated or number in _NOT_THERE, Unavailable(_SILENT, "database_unavailable")),
        (name.startswith("SQLITE_CANTOPEN"), Unavailable(_NO_FILE, "database_unavailable")),
        (full or lost_a_race(error), Unavailable(_NO_WRITE, "database_unavailable")),
    ]
    return next((ours for applies, ours in answers if applies), None)


def _number(error: DBAPIError) -> int:
    args = error.orig.args if error.orig is not None else ()
    return args[0] if args and isinstance(args[0], int) else 0


def _sqlite_name(error: DBAPIError) -> str:
    return error.orig.sqlite_errorname if isinstance(error.orig, sqlite3.Error) else ""
