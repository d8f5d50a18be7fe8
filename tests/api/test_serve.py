"""The process itself: it starts, says when it cannot, and ends while somebody listens."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

PROJECT = Path(__file__).parents[2]
SERVE = [sys.executable, "-c", "from api.serve import serve; serve()"]


@contextmanager
def process(command: list[str], port: int, url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is killed when the test is done with it."""
    settings = {"API_PORT": str(port), "DATABASE_URL": url, "LOG_FORMAT": "json"}
    started = subprocess.Popen(
        command, cwd=PROJECT, env={**os.environ, **settings}, stderr=subprocess.PIPE, text=True
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until_it_answers(address: str) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        try:
            httpx2.get(f"{address}/healthz").raise_for_status()
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the API did not answer in time")


def test_it_ends_at_once_while_somebody_listens(store_url: str):
    """Streams last as long as their runs; waiting for them would be waiting for the kill."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with process(SERVE, port, store_url) as api:
        until_it_answers(address)
        run = httpx2.post(f"{address}/api/v1/pipelines/probe/runs", json={}).headers["Location"]
        with httpx2.stream("GET", f"{address}{run}/events") as answer:
            lines = answer.iter_lines()
            next(lines)
            api.send_signal(signal.SIGTERM)
            list(lines)
            _, log = api.communicate(timeout=240)

    # What uvicorn says when it gives up waiting for a stream.
    assert "graceful shutdown exceeded" not in log
    assert "Finished server process" in log


def test_factory_mode_serves_as_well(store_url: str):
    """For those who bring their own uvicorn settings."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "api.app:app", "--port", str(port)]
    with process(command, port, store_url):
        until_it_answers(f"http://127.0.0.1:{port}")


def test_a_port_that_is_taken_is_said_and_ends_the_process(store_url: str):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with process(SERVE, port, store_url) as api:
            _, log = api.communicate(timeout=240)

    assert api.returncode != 0
    assert "address already in use" in log
