"""A worker that is killed at the worst moments of a run's way into Prefect: another one takes it from there.

The leases last ten minutes in most of these tests: what goes on does so because the death was seen.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa

from contracts.runs import EventKind, Run, RunStatus
from database.engine import Database, WriteSession
from database.journal.calls import list_calls
from database.queue.events import read_events
from database.queue.runs import get_run
from database.queue.workers import live_workers
from database.tables import RunRow
from tests.fixtures.made_runs import accepted
from tests.fixtures.prefect_server import PrefectServer

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(400),
    # What the statements do on SQLite is tests/database's; here it is about processes.
    pytest.mark.parametrize("database_url", ["mariadb"], indirect=True),
]
PATIENCE_SECONDS = 180
PROBE = {"steps": 2, "calls_per_step": 1}


class Machine:
    """Workers on one database and one Prefect server."""

    def __init__(self, folder: Path, database_url: str, prefect: PrefectServer) -> None:
        self.folder, self.prefect_url = folder, prefect.url
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MILL"))
        }
        self.environment = {
            **kept,
            "MILLRACE_HOME": str(folder / "home"),
            "DATABASE_URL": database_url,
            "PREFECT_API_URL": prefect.url,
            "WORKER_LEASE_SECONDS": "600",
        }
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, module: str, *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start a module of ours."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env={**self.environment, **settings},
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def worker(self, **settings: str) -> subprocess.Popen[bytes]:
        """Start a worker that is well."""
        return self.start("deployments.worker", "--pool", "interactive", **settings)

    def dying_worker(self, moment: str) -> subprocess.Popen[bytes]:
        """Start a worker that kills itself when a run reaches this moment."""
        return self.start("tests.fixtures.dying_worker", "--at", moment, "--pool", "interactive")

    def flow_runs(self, **wanted: Any) -> list[dict[str, Any]]:
        """Return Prefect's flow runs that a filter finds."""
        url = f"{self.prefect_url}/flow_runs/filter"
        return httpx.post(url, json={"flow_runs": wanted}, timeout=30, trust_env=False).json()

    def start_by_hand(self, params: dict[str, Any]) -> str:
        """Start the probe as the button of the UI does, and return the flow run's id."""
        found = httpx.get(f"{self.prefect_url}/deployments/name/probe/default", trust_env=False).json()
        url = f"{self.prefect_url}/deployments/{found['id']}/create_flow_run"
        return httpx.post(url, json={"parameters": {"params": params}}, trust_env=False).json()["id"]

    def shadow(self, run_id: UUID) -> list[dict[str, Any]]:
        """Return the flow runs that were made for a run."""
        return self.flow_runs(idempotency_key={"any_": [str(run_id)]})


@pytest.fixture(scope="module")
def registered(prefect_server: PrefectServer) -> PrefectServer:
    """Prefect's server with our deployments."""
    environment = {**os.environ, "PREFECT_API_URL": prefect_server.url}
    command = [sys.executable, "-m", "deployments.register"]
    subprocess.run(command, env=environment, check=True, timeout=PATIENCE_SECONDS)
    return prefect_server


@pytest.fixture
def machine(tmp_path: Path, database_url: str, registered: PrefectServer) -> Iterator[Machine]:
    made = Machine(tmp_path, database_url, registered)
    yield made
    for process in made.processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("moment", "in_prefect"), [("claimed", []), ("made", ["PENDING"]), ("bound", ["PENDING"])]
)
async def test_whatever_a_worker_was_doing_when_it_was_killed_another_one_finishes_it(
    machine: Machine, database: Database, moment: str, in_prefect: list[str]
) -> None:
    run = await accepted(database, pipeline="probe", pool="interactive", params=PROBE)
    dying = machine.dying_worker(moment)
    await until(lambda: dying.poll() is not None)
    assert dying.returncode == -signal.SIGKILL
    left = await read(database, run.id)
    assert (left.status, left.attempt) == (RunStatus.QUEUED, 1)
    assert (left.flow_run_id is None) == (moment in {"claimed", "made"})
    assert [each["state"]["type"] for each in machine.shadow(run.id)] == in_prefect

    machine.worker()
    ended = await end_of(database, run.id)
    assert (ended.status, ended.attempt) == (RunStatus.SUCCEEDED, 2)
    await until(lambda: [each["state"]["type"] for each in machine.shadow(run.id)] == ["COMPLETED"])
    assert [each["id"] for each in machine.shadow(run.id)] == [str(ended.flow_run_id)]


async def test_a_flow_run_of_the_ui_whose_worker_died_before_it_had_a_row_is_run(machine: Machine) -> None:
    flow_run_id = machine.start_by_hand(PROBE)
    dying = machine.dying_worker("pending")
    await until(lambda: dying.poll() is not None)
    (left,) = machine.flow_runs(id={"any_": [flow_run_id]})
    assert left["state"]["type"] == "PENDING"

    machine.worker()
    await until(lambda: machine.flow_runs(id={"any_": [flow_run_id]})[0]["state"]["type"] == "COMPLETED")


async def test_a_run_whose_worker_dies_in_every_attempt_is_dead_with_its_history(
    machine: Machine, database: Database
) -> None:
    run = await accepted(database, pipeline="probe", pool="interactive", params=PROBE)
    await database.write(allow_attempts, run.id, 2)
    for _ in range(2):
        dying = machine.dying_worker("begun")
        await until(lambda dying=dying: dying.poll() is not None)
    machine.worker()
    ended = await end_of(database, run.id)
    assert (ended.status, ended.attempt, ended.error.code) == (RunStatus.DEAD, 2, "worker_lost")
    assert await states(database, run.id) == [
        ("accepted", 0),
        *(("queued", 1), ("running", 1), ("queued", 1)),
        *(("queued", 2), ("running", 2), ("dead", 2)),
    ]
    await until(lambda: [each["state"]["type"] for each in machine.shadow(run.id)] == ["CRASHED"])


async def test_a_worker_that_slept_past_its_lease_changes_nothing_when_it_wakes(
    machine: Machine, database: Database
) -> None:
    slow = {"steps": 4, "calls_per_step": 1, "step_seconds": 0.5}
    run = await accepted(database, pipeline="probe", pool="interactive", params=slow)
    sleeper = machine.worker(WORKER_LEASE_SECONDS="5")
    await until(lambda: calls_of(database, run.id), lambda calls: len(calls) >= 2)
    sleeper.send_signal(signal.SIGSTOP)
    machine.worker(WORKER_LEASE_SECONDS="60")
    ended = await end_of(database, run.id)
    calls, told = await calls_of(database, run.id), await states(database, run.id)
    assert ended.status is RunStatus.SUCCEEDED
    assert ended.attempt >= 2

    sleeper.send_signal(signal.SIGCONT)
    await until(lambda: awake(database, sleeper.pid))

    assert await read(database, run.id) == ended
    assert await calls_of(database, run.id) == calls
    assert await states(database, run.id) == told
    assert told[-1] == ("succeeded", ended.attempt)
    await until(lambda: [each["state"]["type"] for each in machine.shadow(run.id)] == ["COMPLETED"])


async def allow_attempts(session: WriteSession, run_id: UUID, attempts: int) -> None:
    """Let a run die sooner than after three attempts."""
    await session.execute(sa.update(RunRow).where(RunRow.id == run_id).values(max_attempts=attempts))


async def read(database: Database, run_id: UUID) -> Run:
    async with database.read() as session:
        return await get_run(session, "local", run_id)


async def end_of(database: Database, run_id: UUID) -> Run:
    return await until(lambda: read(database, run_id), lambda run: run.status.terminal)


async def calls_of(database: Database, run_id: UUID) -> list[Any]:
    async with database.read() as session:
        return (await list_calls(session, "local", run_id)).items


async def states(database: Database, run_id: UUID) -> list[tuple[str, int]]:
    async with database.read() as session:
        events = await read_events(session, run_id)
    return [(each.data["status"], each.data["attempt"]) for each in events if each.kind is EventKind.STATE]


async def awake(database: Database, pid: int) -> bool:
    """Whether a worker tells again that it is there, and that it executes nothing."""
    async with database.read() as session:
        alive = await live_workers(session, 2)
    return any(worker.pid == pid and worker.running == 0 for worker in alive)


async def until(probe: Callable[[], Any], enough: Callable[[Any], object] = bool) -> Any:
    """Return what `probe` gives, awaited if need be, as soon as it is enough."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = probe()
            found = await found if asyncio.iscoroutine(found) else found
            if enough(found):
                return found
            await asyncio.sleep(0.1)
