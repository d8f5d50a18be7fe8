"""The whole of Millrace on this machine, started by `millrace up` as a user does, and seen over HTTP."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import psutil

from benchmarks.children import Children
from deployments.stack.presence import running_stack

START_SECONDS = 300
PIPELINE = "/api/v1/pipelines/probe/runs"


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that is ready for work."""

    api_url: str
    prefect_api_url: str
    process: subprocess.Popen[bytes]

    def client(self, connections: int = 1) -> httpx.Client:
        """Return an HTTP client that keeps its connections, as an app's does."""
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        return httpx.Client(base_url=self.api_url, timeout=90, trust_env=False, limits=limits)

    def worker(self, pool: str) -> psutil.Process:
        """Return the worker process of a pool."""
        return self._process("deployments.worker", pool)

    def api(self) -> psutil.Process:
        """Return the API's process."""
        return self._process("deployments.cli", "api")

    def prefect_server(self) -> psutil.Process:
        """Return the embedded Prefect server's process."""
        return self._process("deployments.server")

    def _process(self, *words: str) -> psutil.Process:
        for child in psutil.Process(self.process.pid).children(recursive=True):
            command = child.cmdline()
            if all(word in command for word in words):
                return child
        raise RuntimeError(f"the stack has no process of {' '.join(words)}")


def start_stack(children: Children, settings: Mapping[str, str]) -> Stack:
    """Run `millrace up` on free ports with its state in the benchmark's folder; wait until it is ready."""
    folder = children.folder / "home"
    folder.mkdir()
    environment = {
        "MILLRACE_HOME": str(folder),
        "API_PORT": "0",
        "PREFECT_SERVER_API_PORT": "0",
        "LOG_FORMAT": "json",
        **settings,
    }
    process = children.start("millrace-up", "python", "-m", "deployments.cli", "up", environment=environment)

    def ready() -> bool:
        # Its own word: /readyz is true before the deployments are registered.
        return "Millrace is up." in children.log("millrace-up").read_text(encoding="utf-8")

    children.wait_for("millrace-up", ready, START_SECONDS)
    note = running_stack(folder)
    if note is None:
        raise RuntimeError("the stack ended as soon as it was ready")
    return Stack(note.api_url, note.prefect_api_url, process)


def state_times(client: httpx.Client, run_id: str) -> dict[str, float]:
    """Return when a finished run reached each status, in seconds since 1970, by its event log."""
    return {status: at for status, _attempt, at in states(client, run_id)}


def states(client: httpx.Client, run_id: str) -> list[tuple[str, int, float]]:
    """Return the statuses of a finished run in their order: status, attempt, seconds since 1970."""
    text = client.get(f"/api/v1/runs/{run_id}/events").raise_for_status().text
    lines = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:")]
    events = [json.loads(line) for line in lines]
    return [
        (event["data"]["status"], event["data"]["attempt"], seconds(event["at"]))
        for event in events
        if event["kind"] == "state"
    ]


def succeeded(run: dict[str, Any]) -> dict[str, Any]:
    """Return a run that has succeeded; any other is an error."""
    if run["status"] != "succeeded":
        raise RuntimeError(f"a probe ended as {run['status']}: {run.get('error')}")
    return run


def seconds(text: str) -> float:
    """Return a timestamp of the API as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()
