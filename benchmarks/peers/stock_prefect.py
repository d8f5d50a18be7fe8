"""Prefect as it comes: its own server on its own SQLite, process workers, a flow in a file."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from time import sleep, time
from typing import Any, Literal
from uuid import uuid4

import httpx

from benchmarks.children import Children, answers, free_port

LOCKED = 503
LOCKED_SECONDS = 30
WorkerKind = Literal["default", "tuned"]

FLOW_FILE = Path(__file__).with_name("stock_probe.py")
# No stock setting is touched that has to do with speed; these only keep it from calling home.
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A Prefect server that answers; `environment` leads its clients to it."""

    api_url: str
    environment: dict[str, str]


def stock_server(children: Children, meanwhile: subprocess.Popen[bytes] | None = None) -> Server:
    """Start `prefect server start` on an empty SQLite; wait until it answers and `meanwhile` has ended."""
    port = free_port()
    environment = _environment(children.folder / "prefect", port)
    command = ("python", "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
    children.start("stock-server", *command, environment=environment)
    server = _ready(children, "stock-server", port, environment)
    if meanwhile:
        meanwhile.wait()
    return server


def cache_bytecode(children: Children) -> subprocess.Popen[bytes]:
    """Begin to import what a flow run imports, so that no measured run has to compile it."""
    modules = "import prefect.engine, prefect.flow_engine, dspy, litellm"
    return children.start("bytecode", "python", "-c", modules, environment=QUIET)


def millrace_server(children: Children) -> Server:
    """Start our embedded Prefect server with an empty SQLite, and wait until it answers."""
    port = free_port()
    own = {"MILLRACE_HOME": str(children.folder / "home"), "PREFECT_SERVER_API_PORT": str(port)}
    children.start("millrace-server", "python", "-m", "deployments.server", environment=own)
    return _ready(children, "millrace-server", port, _environment(children.folder / "client", port))


def _environment(home: Path, port: int) -> dict[str, str]:
    return {**QUIET, "PREFECT_HOME": str(home), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}


def _ready(children: Children, name: str, port: int, environment: dict[str, str]) -> Server:
    api_url = f"http://127.0.0.1:{port}/api"
    children.wait_for(name, lambda: answers(f"{api_url}/health"))
    return Server(api_url, environment)


@dataclass(frozen=True, slots=True)
class Worker:
    """A stock process worker and the deployment that it serves."""

    kind: WorkerKind
    process: subprocess.Popen[bytes]
    deployment_id: str


def stock_workers(
    children: Children, server: Server, *kinds: WorkerKind, flow_file: Path = FLOW_FILE
) -> list[Worker]:
    """Start process workers, each with a work pool of its own and the flow of a file deployed to it.

    The flow has the name of its file.

    Returns when all of them poll, in the given order. `tuned` is what its documentation offers: polling
    every second, a `command` so that Python boots once instead of twice, and a module path as the
    entrypoint so that no working directory is prepared.
    """
    project = children.folder / "project"
    project.mkdir()
    shutil.copy(flow_file, project)
    processes = {kind: _start_worker(children, server, kind, project) for kind in kinds}
    for kind in kinds:
        children.wait_for(_log_name(kind), partial(_has_worker, server, kind))
    name = flow_file.stem
    return [
        Worker(kind, process, _deploy(server, kind, project, name)) for kind, process in processes.items()
    ]


def _start_worker(
    children: Children, server: Server, kind: WorkerKind, project: Path
) -> subprocess.Popen[bytes]:
    environment = {**server.environment, "PYTHONPATH": str(project)}
    if kind == "tuned":
        environment["PREFECT_WORKER_QUERY_SECONDS"] = "1"
    command = ("python", "-m", "prefect", "worker", "start", "--type", "process", "--pool", kind)
    return children.start(_log_name(kind), *command, environment=environment)


def _log_name(kind: WorkerKind) -> str:
    return f"stock-worker-{kind}"


def _has_worker(server: Server, pool: str) -> bool:
    try:
        answer = ask(server, f"work_pools/{pool}/workers/filter", {})
    except httpx.HTTPStatusError:
        return False
    return bool(answer)


def _deploy(server: Server, kind: WorkerKind, project: Path, name: str) -> str:
    how: dict[str, Any] = {
        "entrypoint": f"{name}.py:{name}",
        # What `prefect deploy` writes for a project on the worker's own disk.
        "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": str(project)}}],
    }
    if kind == "tuned":
        how = {
            "entrypoint": f"{name}.{name}",
            "job_variables": {"command": f"{sys.executable} -m prefect.engine"},
        }
    flow = ask(server, "flows/", {"name": name.replace("_", "-")})
    body = {"name": kind, "flow_id": flow["id"], "work_pool_name": kind, **how}
    return str(ask(server, "deployments/", body)["id"])


@dataclass(frozen=True, slots=True)
class StockRun:
    """One flow run of the stock worker: when it was asked for, as seconds since 1970."""

    id: str
    sent_at: float
    mark: Path


def trigger(server: Server, worker: Worker, folder: Path) -> StockRun:
    """Ask for a flow run over HTTP, as an app does."""
    mark = folder / f"mark-{uuid4().hex}"
    sent_at = time()
    found = ask(
        server, f"deployments/{worker.deployment_id}/create_flow_run", {"parameters": {"mark": str(mark)}}
    )
    return StockRun(str(found["id"]), sent_at, mark)


@dataclass(frozen=True, slots=True)
class StockTimes:
    """Seconds from the request to the flow's first line and to the end of the flow run."""

    first_line: float
    total: float


def ended(
    server: Server, run: StockRun, seconds: float, meanwhile: Callable[[], None] = lambda: None
) -> StockTimes | None:
    """Wait for the end of a flow run; none when it takes longer than `seconds` from its request.

    Raises:
        RuntimeError: it ended badly.
    """
    while time() < run.sent_at + seconds:
        meanwhile()
        answer = httpx.get(f"{server.api_url}/flow_runs/{run.id}", trust_env=False, timeout=30)
        found = answer.json() if answer.is_success else {}
        state = found.get("state") or {}
        if state.get("type") == "COMPLETED":
            ended_at = datetime.fromisoformat(found["end_time"]).timestamp()
            return StockTimes(float(run.mark.read_text()) - run.sent_at, ended_at - run.sent_at)
        if state.get("type") in {"FAILED", "CRASHED", "CANCELLED"}:
            raise RuntimeError(f"the stock flow run ended as {state['type']}: {state.get('message')}")
        sleep(0.2)
    return None


def ask(server: Server, path: str, body: Mapping[str, Any]) -> Any:
    """Return the answer to a POST, asked again while the server's database is locked."""
    deadline = time() + LOCKED_SECONDS
    while True:
        answer = httpx.post(f"{server.api_url}/{path}", json=body, trust_env=False, timeout=30)
        if answer.status_code != LOCKED or time() > deadline:
            answer.raise_for_status()
            return answer.json()
        sleep(0.2)
