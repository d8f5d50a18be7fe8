"""Every process of a chaos run, each one its own child, so that each can be killed, stopped and started."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import httpx
import pymysql
from pymysql.cursors import DictCursor

from benchmarks.children import answers, undisturbed
from database.migrate import upgrade
from tests.chaos.plan import Plan, Worker
from tests.fixtures.mariadb import MariaDbServer, start_mariadb
from tests.fixtures.model_server import ModelServer
from tests.fixtures.prefect_server import free_port
from tests.fixtures.stack import eventually

# Machines are busy, and nothing here is timed.
READY_SECONDS = 600
# Every role asks the loopback provider; its timeout is the shortest wait that a hanging answer costs.
PROVIDERS = """
providers:
  loopback:
    kind: openai_compatible
    model: loop
    base_url: "%s"
    cost: {input_per_million: 1, output_per_million: 2}
routing: {default: [loopback]}
policies: {timeout_seconds: 10, allowed_fails: 100000}
"""
KEYS = {
    "no run key": ("runs", "owner,idempotency_key"),
    "no call key": ("calls", "run_id,step,fingerprint,n"),
}


@dataclass
class Part:
    """A process that is started again some time after its death."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    down_until: float = 0.0

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id; 0 when it is down."""
        return self.process.pid if self.process is not None and self.running else 0

    def start(self) -> None:
        """Start it and do not wait for it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.command], env=self.environment, stdout=log, stderr=log
            )

    def kill(self, down_seconds: float) -> bool:
        """Kill -9 it; return whether it was alive and died by this."""
        self.down_until = monotonic() + down_seconds
        if not self.running or self.process is None:
            return False
        self.process.kill()
        return self.process.wait() == -signal.SIGKILL

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it is there."""
        if self.running and self.process is not None:
            self.process.send_signal(number)


@dataclass
class WorkerPart(Part):
    """A worker; on the machine `lost` each start has a new state folder, as a new machine would."""

    worker: Worker = field(kw_only=True)
    homes: Path = field(kw_only=True)

    def start(self) -> None:
        """Start it on its machine."""
        own = uuid4().hex if self.worker.machine == "lost" else self.worker.machine
        self.environment = {**self.environment, "MILLRACE_HOME": str(self.homes / own)}
        super().start()


@dataclass
class DatabasePart(Part):
    """The MariaDB server."""

    server: MariaDbServer = field(kw_only=True)

    def start(self) -> None:
        """Start it and wait until it answers; one that is killed meanwhile raises RuntimeError."""
        self.server.start()
        self.process = self.server.process


@dataclass
class ChaosStack:
    """The stack under trial."""

    plan: Plan
    model: ModelServer
    database: DatabasePart
    schema: str
    prefect: Part
    api: Part
    workers: list[WorkerPart]
    api_url: str
    prefect_url: str

    @property
    def parts(self) -> list[Part]:
        """All processes."""
        return [self.database, self.prefect, self.api, *self.workers]

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Return what a query finds; raises pymysql.Error while the database is away."""
        connection = pymysql.connect(
            host="127.0.0.1",
            port=self.database.server.port,
            user="test",
            password="test",
            database=self.schema,
            connect_timeout=3,
            read_timeout=20,
            autocommit=True,
            cursorclass=DictCursor,
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())

    def in_flight(self) -> dict[int, list[tuple[str, int]]]:
        """Return by process id of the worker which attempts it holds the leases of and has begun.

        Only of runs that have paid for something: a kill before the first answer has nothing to lose.
        """
        sql = (
            "SELECT lease_owner, id, attempt FROM runs WHERE lease_owner IS NOT NULL AND status = 'running'"
            " AND EXISTS (SELECT 1 FROM calls WHERE calls.run_id = runs.id AND calls.status = 'succeeded')"
        )
        found: dict[int, list[tuple[str, int]]] = {}
        for row in self.rows(sql):
            pid = int(row["lease_owner"].rsplit("-", 2)[1])
            found.setdefault(pid, []).append((str(row["id"]), row["attempt"]))
        return found

    def ready(self) -> bool | None:
        """Return whether the API, Prefect and all workers answer; none when not."""
        try:
            url = f"{self.api_url}/readyz?need=prefect"
            well = httpx.get(url, trust_env=False, timeout=10).status_code == 200
            alive = {row["pid"] for row in self.rows("SELECT pid FROM workers")}
        except (httpx.HTTPError, pymysql.Error):
            return None
        return True if well and {part.pid for part in self.workers} <= alive else None

    def logs(self) -> str:
        """Return the end of every log."""
        return "\n".join(f"== {part.name}\n{part.log.read_text()[-3000:]}" for part in self.parts)


@contextmanager
def chaos_stack(plan: Plan) -> Iterator[ChaosStack]:
    """Start everything, wait until it works, and leave no process behind."""
    model = ModelServer().start()
    with (
        tempfile.TemporaryDirectory(prefix="millrace-chaos-", ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryDirectory(prefix="millrace-mariadb-", ignore_cleanup_errors=True) as data,
    ):
        stack = _build(plan, model, Path(folder), start_mariadb(Path(data)))
        try:
            _start(stack)
            yield stack
        finally:
            with undisturbed():
                for part in stack.parts:
                    part.kill(0)
                model.stop()


def _build(plan: Plan, model: ModelServer, folder: Path, mariadb: MariaDbServer) -> ChaosStack:
    url = mariadb.new_database()
    providers = folder / "providers.yaml"
    providers.write_text(PROVIDERS % model.url)
    api, prefect = free_port(), free_port()
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MILLRACE_"))
    }
    environment = {
        **kept,
        "MILLRACE_HOME": str(folder / "shared"),
        "DATABASE_URL": url,
        "PREFECT_API_URL": f"http://127.0.0.1:{prefect}/api",
        "PREFECT_SERVER_API_PORT": str(prefect),
        "API_PORT": str(api),
        "PROVIDERS_FILE": str(providers),
        "WORKER_LEASE_SECONDS": str(plan.lease_seconds),
        "LOG_FORMAT": "json",
    }
    module = "tests.chaos.unfenced_worker" if plan.mutation == "no fence" else "deployments.worker"

    def log(name: str) -> Path:
        return folder / f"{name}.log"

    return ChaosStack(
        plan=plan,
        model=model,
        schema=url.rpartition("/")[2],
        database=DatabasePart("mariadb", (), {}, log("mariadb"), mariadb.process, server=mariadb),
        prefect=Part("prefect", ("deployments.server",), environment, log("prefect")),
        api=Part("api", ("deployments.cli", "api"), environment, log("api")),
        workers=[
            WorkerPart(
                each.name,
                (module, "--pool", each.pool),
                environment,
                log(each.name),
                worker=each,
                homes=folder,
            )
            for each in plan.workers
        ],
        api_url=f"http://127.0.0.1:{api}",
        prefect_url=f"http://127.0.0.1:{prefect}/api",
    )


def _start(stack: ChaosStack) -> None:
    stack.database.log.touch()
    environment = stack.api.environment
    stack.prefect.start()
    upgrade(environment["DATABASE_URL"])
    if stack.plan.mutation in KEYS:
        _drop_key(stack, *KEYS[stack.plan.mutation])
    stack.api.start()
    eventually(lambda: answers(f"{stack.prefect_url}/health") or None, READY_SECONDS)
    subprocess.run(
        [sys.executable, "-m", "deployments.register"], env=environment, check=True, capture_output=True
    )
    for worker in stack.workers:
        worker.start()
    try:
        eventually(stack.ready, READY_SECONDS)
    except AssertionError:
        raise AssertionError(stack.logs()) from None


def _drop_key(stack: ChaosStack, table: str, columns: str) -> None:
    found = stack.rows(
        "SELECT index_name AS name FROM information_schema.statistics"
        " WHERE table_schema = %s AND table_name = %s AND non_unique = 0 AND index_name <> 'PRIMARY'"
        " GROUP BY index_name HAVING GROUP_CONCAT(column_name ORDER BY seq_in_index) = %s",
        *(stack.schema, table, columns),
    )
    (key,) = [row["name"] for row in found]
    stack.rows(f"ALTER TABLE {table} DROP INDEX `{key}`")
