"""Plain Prefect with result persistence, its flow's process killed in the middle of its work."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.children import Children
from benchmarks.peers.stock_prefect import Server, Worker, ask, cache_bytecode, stock_server, stock_workers

FLOW_FILE = Path(__file__).with_name("persisted_flow.py")
PATIENCE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class PeerRecovery:
    """What became of the killed flow run, in seconds.

    Args:
        noticed: from the kill until its worker had written that it crashed.
        resumed: from the retry, which a person or a script must ask for, to the next call to the model.
        total: from the retry to the end.
        asked: how often the model was asked for this flow run.
    """

    noticed: float
    resumed: float
    total: float
    asked: int


def killed_and_retried(
    children: Children, model_url: str, steps: int, kill_at: int, asked: Callable[[], int]
) -> PeerRecovery:
    """Start a flow run, kill its process when the model was asked `kill_at` times, retry it by hand.

    Args:
        children: starts the server and a tuned process worker.
        model_url: base URL of the model that each task asks once.
        steps: how many tasks the flow has.
        kill_at: after so many requests.
        asked: how often the model was asked by now.
    """
    server = stock_server(children, meanwhile=cache_bytecode(children))
    (worker,) = stock_workers(children, server, "tuned", flow_file=FLOW_FILE)
    while True:
        at_first = asked()
        flow_run_id = _trigger(server, worker, model_url, steps)
        _until(lambda: asked() - at_first >= kill_at)  # noqa: B023  called at once
        for process in psutil.Process(worker.process.pid).children(recursive=True):
            process.kill()
        killed_at = time.time()
        _until(lambda: _state(server, flow_run_id) in {"CRASHED", "COMPLETED"})  # noqa: B023  as above
        # On a busy machine the kill can come after the end: that was no kill in the middle.
        if _state(server, flow_run_id) == "CRASHED":
            break
    noticed, before = time.time() - killed_at, asked()
    retried_at = time.time()
    ask(server, f"flow_runs/{flow_run_id}/set_state", {"state": {"type": "SCHEDULED"}, "force": True})
    _until(lambda: asked() > before)
    resumed = time.time() - retried_at
    _until(lambda: _state(server, flow_run_id) == "COMPLETED")
    return PeerRecovery(noticed, resumed, time.time() - retried_at, asked() - at_first)


def _trigger(server: Server, worker: Worker, model_url: str, steps: int) -> str:
    body = {"parameters": {"url": model_url, "steps": steps}}
    return str(ask(server, f"deployments/{worker.deployment_id}/create_flow_run", body)["id"])


def _state(server: Server, flow_run_id: str) -> str:
    answer = httpx.get(f"{server.api_url}/flow_runs/{flow_run_id}", trust_env=False, timeout=30)
    return str(answer.json()["state"]["type"]) if answer.is_success else ""


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("the peer did not get there in time")
        time.sleep(0.05)
