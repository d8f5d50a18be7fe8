"""Equal questions at several workers at once: real processes, one database, one provider that counts."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from llm.claims import LEASE_SECONDS
from tests.fixtures.model_server import ModelServer, model_server
from tests.fixtures.stack import eventually

pytestmark = pytest.mark.timeout(240)
__all__ = ["model_server"]

TIMES = 50
Worker = subprocess.Popen[str]
Start = Callable[[], Worker]


@pytest.fixture
def start(database_url: str, model_server: ModelServer, tmp_path: Path) -> Iterator[Start]:
    """Starts a worker's process, which asks when it is told to; kills it after the test."""
    model_server.behaviour["*"].text = "good answer to you"
    own = {"kind": "openai_compatible", "base_url": model_server.url, "model": "first", "temperature": 0}
    told = {
        "providers": {"first": {**own, "cost": {"input_per_million": 1, "output_per_million": 1}}},
        "routing": {"default": ["first"]},
        "policies": {"timeout_seconds": 100},
    }
    path = tmp_path / "providers.yaml"
    path.write_text(yaml.safe_dump(told))
    environment = {**os.environ, "DATABASE_URL": database_url, "PROVIDERS_FILE": str(path)}
    processes: list[Worker] = []

    def started() -> Worker:
        command = [sys.executable, "-m", "tests.fixtures.cached_worker", str(TIMES)]
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        return process

    yield started
    for process in processes:
        with process:
            process.kill()


def said(process: Worker) -> Any:
    """Return the next line of a process."""
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def ask(process: Worker, question: str) -> None:
    """Let a process ask, many times at once."""
    assert process.stdin is not None
    process.stdin.write(question + "\n")
    process.stdin.flush()


def asked(model_server: ModelServer, before: int) -> int | None:
    """Return how often the provider was asked since, once it was."""
    return (model_server.total().requests - before) or None


def test_equal_questions_at_two_workers_cost_one_call_whatever_becomes_of_who_asks(
    start: Start, model_server: ModelServer
):
    one, other = start(), start()
    assert (said(one), said(other)) == ("ready", "ready")
    one_asks_for_both(one, other, model_server)
    a_failure_is_nobody_elses(one, other, model_server)
    when_it_is_killed_the_other_asks(one, other, model_server)


def one_asks_for_both(one: Worker, other: Worker, model_server: ModelServer) -> None:
    model_server.behaviour["*"].latency_ms = 1_000

    for worker in (one, other):
        ask(worker, "What is a lease?")
    found = [said(one), said(other)]

    assert model_server.total().requests == 1
    assert sum(each["asked"] for each in found) == 1
    assert sum(each["kept"] for each in found) == 2 * TIMES - 1
    assert found[0]["words"] == found[1]["words"]


def a_failure_is_nobody_elses(one: Worker, other: Worker, model_server: ModelServer) -> None:
    """One run has the error; the others, at both workers, have the answer of the next one that asked."""
    before = model_server.total().requests
    model_server.behaviour["*"].latency_ms = 2_000
    model_server.fail("first", "status", status=400, times=1)
    ask(one, "What is owed?")
    eventually(lambda: asked(model_server, before), 60)
    ask(other, "What is owed?")

    found = [said(one), said(other)]

    assert [each["failed"] for each in found] == [1, 0]
    assert sum(each["asked"] for each in found) == 1
    assert asked(model_server, before) == 2


def when_it_is_killed_the_other_asks(one: Worker, other: Worker, model_server: ModelServer) -> None:
    """Its claim ends by itself: its provider might have answered, but nobody was there any more."""
    before = model_server.total().requests
    model_server.fail("first", "hang", times=1)
    ask(one, "What is promised?")
    eventually(lambda: asked(model_server, before), 60)
    ask(other, "What is promised?")
    # Longer than a lease that nobody renews, and in all this time one worker asks for both.
    time.sleep(LEASE_SECONDS + 2)
    assert asked(model_server, before) == 1

    one.send_signal(signal.SIGKILL)
    found = said(other)

    assert (found["asked"], found["kept"], found["failed"]) == (1, TIMES - 1, 0)
    assert asked(model_server, before) == 2
    assert "good answer to you" in found["words"][0]
