"""Results databases to measure on: a SQLite file, or a MariaDB server of the benchmark's own.

The server keeps its default of an fsync per commit, which production pays; that of the tests does not.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql

from benchmarks.children import Children, free_port
from benchmarks.report import DatabaseKind, Report
from database.migrate import upgrade

NEEDED = ("mariadbd", "mariadb-install-db")
MISSING = "mariadbd is not on this machine (apt-get install mariadb-server)"
ACCOUNT = "bench"


def measurable(kinds: tuple[DatabaseKind, ...], report: Report) -> tuple[DatabaseKind, ...]:
    """Return those kinds that this machine has, SQLite when it has none; the report says what is missing."""
    if all(_program(name) for name in NEEDED) or "mariadb" not in kinds:
        return kinds
    report.say(MISSING)
    report.measured["missing"] = MISSING
    return ("sqlite",)


@contextmanager
def results_database(kind: DatabaseKind, children: Children) -> Iterator[str]:
    """Yield the URL of a migrated, empty database that is gone afterwards."""
    if kind == "sqlite":
        url = f"sqlite+aiosqlite:///{children.folder / 'results.db'}"
        upgrade(url)
        yield url
        return
    # A folder of its own: its path must be short (a Unix socket's has at most 107 characters), and the
    # server's user must be able to enter it.
    with tempfile.TemporaryDirectory(prefix="millrace-bench-", ignore_cleanup_errors=True) as data:
        port = free_port()
        process = _start_mariadb(children, Path(data), port)
        url = f"mysql+aiomysql://{ACCOUNT}:{ACCOUNT}@127.0.0.1:{port}/millrace"
        try:
            upgrade(url)
            yield url
        finally:
            children.stop(process)


def _start_mariadb(children: Children, folder: Path, port: int) -> subprocess.Popen[bytes]:
    user = ["--user=mysql"] if os.geteuid() == 0 else []
    # A server that starts deletes what others have of tables in the folder for temporary files.
    (folder / "tmp").mkdir()
    for each in (folder, folder / "tmp") if user else ():
        shutil.chown(each, "mysql")
    data = [f"--datadir={folder / 'data'}", f"--tmpdir={folder / 'tmp'}"]
    install = [_program("mariadb-install-db"), "--no-defaults", *data, "--skip-test-db", *user]
    done = subprocess.run(install, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"mariadb-install-db failed:\n{done.stdout[-1000:]}\n{done.stderr[-1000:]}")
    (folder / "init.sql").write_text(
        f"CREATE DATABASE millrace CHARACTER SET utf8mb4;\n"
        f"CREATE USER {ACCOUNT}@'127.0.0.1' IDENTIFIED BY '{ACCOUNT}';\n"
        f"GRANT ALL ON millrace.* TO {ACCOUNT}@'127.0.0.1';\n"
    )
    process = children.start(
        "mariadbd",
        _program("mariadbd"),
        "--no-defaults",
        *data,
        f"--socket={folder / 's'}",
        f"--pid-file={folder / 'pid'}",
        f"--init-file={folder / 'init.sql'}",
        f"--port={port}",
        "--bind-address=127.0.0.1",
        "--skip-name-resolve",
        "--character-set-server=utf8mb4",
        *user,
    )
    children.wait_for("mariadbd", lambda: _lets_us_in(port))
    return process


def _lets_us_in(port: int) -> bool:
    try:
        pymysql.connect(
            host="127.0.0.1", port=port, user=ACCOUNT, password=ACCOUNT, database="millrace"
        ).close()
    except pymysql.Error:
        return False
    return True


def _program(name: str) -> str:
    """Return the path of a program, also where only administrators have its folder on their PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin") or ""
