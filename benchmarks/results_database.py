"""Results databases to measure on: a SQLite file, or a MariaDB server of the benchmark's own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.report import DatabaseKind
from database.migrate import upgrade
from tests.fixtures.mariadb import start_mariadb

NEEDED = ("mariadbd", "mariadb-install-db")
MISSING = "mariadbd is not on this machine (apt-get install mariadb-server): measured on SQLite only"


def can_measure_on(kind: DatabaseKind) -> bool:
    """Return whether this machine has what the kind of database needs."""
    folders = "/usr/sbin:/usr/local/sbin"
    return kind == "sqlite" or all(shutil.which(name) or shutil.which(name, path=folders) for name in NEEDED)


@contextmanager
def results_database(kind: DatabaseKind, folder: Path) -> Iterator[str]:
    """Yield the URL of a migrated, empty database that is gone afterwards."""
    if kind == "sqlite":
        url = f"sqlite+aiosqlite:///{folder / 'results.db'}"
        upgrade(url)
        yield url
        return
    # A path of its own, because a Unix socket's may have 107 characters, and the server's user must read it.
    with tempfile.TemporaryDirectory(prefix="millrace-bench-", ignore_cleanup_errors=True) as data:
        try:
            server = start_mariadb(Path(data))
            # The server's default, an fsync per commit: what production pays. (Tests switch it off.)
            server.execute("SET GLOBAL innodb_flush_log_at_trx_commit=1")
            url = server.new_database()
            upgrade(url)
            yield url
            server.stop()
        finally:
            _kill_what_works_in(data)


def _kill_what_works_in(folder: str) -> None:
    """End a server that was interrupted while it started: nobody holds a handle to it then."""
    for process in psutil.Process().children():
        with suppress(psutil.Error):
            if any(folder in word for word in process.cmdline()):
                process.kill()
                process.wait(10)
