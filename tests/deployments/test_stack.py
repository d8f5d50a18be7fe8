"""The whole local stack, as a person starts it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from deployments.stack.presence import running_stack
from tests.fixtures.prefect_server import free_port
from tests.fixtures.project_files import ROOT

pytestmark = [pytest.mark.stack, pytest.mark.timeout(420)]
START_SECONDS = 240


class Up:
    """A running `millrace up` with its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        taken = ("PREFECT_", "DATABASE_URL", "MILLRACE_", "API_")
        bare = {name: value for name, value in os.environ.items() if not name.startswith(taken)}
        self.environment = bare | {
            "MILLRACE_HOME": str(folder),
            "API_PORT": str(free_port()),
            "PREFECT_SERVER_API_PORT": str(free_port()),
            "PYTHONPATH": str(ROOT),
        }
        self.output = folder / "up.txt"
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Start it and wait until it says that it is up."""
        self.output.unlink(missing_ok=True)
        with self.output.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "deployments.cli", "up"],
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            until(
                lambda: "Millrace is up." in self.output.read_text() or process.poll() is not None,
                START_SECONDS,
            )
            assert process.poll() is None, self.output.read_text()
        except BaseException:
            # Whatever stands half would slow down, and outlive, every test after this one.
            process.terminate()
            process.wait(timeout=120)
            raise
        return process

    def family(self) -> list[psutil.Process]:
        """Return every process below it."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another `millrace` command of the same folder."""
        return subprocess.run(
            [sys.executable, "-m", "deployments.cli", *arguments],
            env={name: value for name, value in self.environment.items() if not name.startswith("API_")},
            capture_output=True,
            text=True,
            check=False,
        )

    def json(self, *arguments: str) -> dict[str, Any]:
        """Run a command and return the JSON object that ends its output."""
        done = self.command(*arguments)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def worker(self, pool: str) -> psutil.Process:
        """Return the process of a pool's worker."""
        (found,) = [each for each in self.family() if pool in each.cmdline()]
        return found


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait for something that other processes do."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def gone(processes: list[psutil.Process]) -> bool:
    """Whether none of these processes runs any more."""
    return not psutil.wait_procs(processes, timeout=0)[1]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One stack for the tests of this file."""
    up = Up(tmp_path_factory.mktemp("home"))
    family = up.family()
    yield up
    if up.process.poll() is None:
        up.process.terminate()
        up.process.wait(timeout=120)
    for each in psutil.wait_procs(family, timeout=30)[1]:
        each.kill()


def test_the_addresses_it_prints_are_those_it_listens_on(stack: Up):
    said = stack.output.read_text()
    api, prefect = (
        f"http://127.0.0.1:{stack.environment[name]}" for name in ("API_PORT", "PREFECT_SERVER_API_PORT")
    )

    assert api in said
    assert prefect in said
    assert httpx.get(f"{api}/healthz", trust_env=False).is_success
    assert httpx.get(f"{prefect}/api/health", trust_env=False).json() is True
    assert {each.name for each in (stack.folder / "logs").iterdir()} == {
        f"{name}.log"
        for name in ("api", "prefect", "migrate", "register", "worker-batch", "worker-interactive")
    }


def test_status_finds_the_stack_by_its_folder_and_says_that_all_is_ready(stack: Up):
    found = stack.json("status", "--json")

    assert found["ready"] is True
    assert {name: check["ok"] for name, check in found["checks"].items() if name != "models"} == {
        "database": True,
        "prefect": True,
        "workers": True,
    }
    assert found["under_way"].keys() == {"accepted", "queued", "running", "waiting"}


def test_a_run_is_started_followed_and_shown(stack: Up):
    done = stack.command("run", "probe", "--param", "steps=2", "--follow")

    assert done.returncode == 0, done.stderr
    assert "nothing[2] finished" in done.stderr
    assert "steps: 2" in done.stdout
    run = stack.json("run", "probe", "--wait", "--json")
    assert run["status"] == "succeeded"
    assert run["id"] in stack.command("status").stdout
    assert stack.json("status", run["id"], "--json")["run"]["id"] == run["id"]


def test_the_demo_uses_the_stack_that_is_up_and_ends_with_one_json_object(stack: Up):
    before = stack.family()

    shown = stack.json(
        "demo", "--json", str(ROOT / "docs" / "events.md"), "--question", "What ends the stream?"
    )

    assert [turn["models"] for turn in shown["turns"]] == [["offline"], ["offline"]]
    assert all(turn["answer"] for turn in shown["turns"])
    assert shown["analysis"]["documents"] == 1
    assert shown["analysis"]["report"]["answer"]
    assert shown["urls"]["api"] == f"http://127.0.0.1:{stack.environment['API_PORT']}"
    assert before == stack.family()


def test_uploaded_documents_are_analysed_and_the_report_is_printed(stack: Up):
    documents = [str(ROOT / "docs" / "events.md"), str(ROOT / "pyproject.toml")]
    question = "question=What ends the stream?"

    done = stack.command("run", "analysis", "-p", question, "--files", *documents, "--wait")

    assert done.returncode == 0, done.stderr
    assert "Findings:" in done.stdout
    assert "events.md" in done.stdout


def test_a_wrong_parameter_is_told_in_one_line_with_the_field(stack: Up):
    done = stack.command("run", "probe", "--param", "steps=many")

    assert done.returncode == 2
    assert "params.steps" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_stack_of_the_same_folder_is_refused(stack: Up):
    done = stack.command("up", "--free-ports")

    assert done.returncode == 2
    assert f"process {stack.process.pid}" in done.stderr


def test_a_killed_worker_comes_back_and_works(stack: Up):
    before = stack.worker("interactive")
    before.kill()

    until(lambda: "worker-interactive: ended (signal 9)" in stack.output.read_text())
    run = stack.json("run", "probe", "--wait", "--json")

    assert run["status"] == "succeeded"
    assert stack.worker("interactive").pid != before.pid


def test_after_kill_9_its_processes_end_by_themselves_and_a_restart_remembers_everything(stack: Up):
    """Nothing of ours may run on without anyone who could end it, and nothing that was accepted is lost."""
    run = stack.json("run", "probe", "--wait", "--json")
    family = stack.family()
    assert len(family) == 4

    stack.process.send_signal(signal.SIGKILL)
    stack.process.wait()

    until(lambda: gone(family))
    stack.process = stack.start()
    assert stack.json("status", "--json")["ready"] is True
    assert stack.json("status", run["id"], "--json")["run"]["status"] == "succeeded"


def test_sigterm_ends_all_of_it(stack: Up):
    family = stack.family()
    assert len(family) == 4

    stack.process.terminate()

    assert stack.process.wait(timeout=120) == 0
    assert gone(family)
    assert running_stack(stack.folder) is None
