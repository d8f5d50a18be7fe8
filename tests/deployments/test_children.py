"""Processes of the stack: they end with us, they come back, and in the end we give up."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deployments.stack.child import Child, Command
from deployments.stack.supervision import StackBroken, Supervised, keep_running, run_once

PROGRAMS = {
    # Writes a line, then lives until SIGTERM.
    "lives": "import time\nprint('alive', flush=True)\ntime.sleep(600)",
    # Ignores SIGTERM and has a child of its own.
    "clings": "import signal, subprocess, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print('alive', flush=True)\ntime.sleep(600)",
    "orphans": "import subprocess, sys\n"
    "left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(left.pid, flush=True)",
    "dies": "import sys\nprint('cannot go on: the disk is full', flush=True)\nsys.exit(1)",
    "misconfigured": "from runtime.errors import ConfigurationProblem\n"
    "raise ConfigurationProblem('PROVIDERS_FILE names no file.')",
    "done": "print('done')",
    # Dies at its first start only.
    "recovers": "import pathlib, sys, time\nmark = pathlib.Path(__file__).with_suffix('.mark')\n"
    "if not mark.exists():\n    mark.touch()\n    sys.exit(7)\nprint('alive', flush=True)\ntime.sleep(600)",
}


class Told:
    """A report that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def begins(self, name: str) -> None:
        self.lines.append(f"{name} begins")

    def ready(self, name: str) -> None:
        self.lines.append(f"{name} ready")

    def line(self, text: str) -> None:
        self.lines.append(text)

    def settle(self) -> None:
        self.lines.append("settled")


@pytest.fixture
def lifeline() -> Iterator[tuple[int, int]]:
    """A pipe as the stack holds it."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


@pytest.fixture
def child(tmp_path: Path, lifeline: tuple[int, int]) -> Iterator[Callable[[str], Child]]:
    """Make a child that runs one of the programs."""
    made: list[Child] = []

    def make(program: str) -> Child:
        (tmp_path / f"{program}.py").write_text(PROGRAMS[program])
        project = str(Path(__file__).parents[2])
        environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path), project])}
        command = Command(program, program, environment=environment)
        made.append(Child(command, tmp_path / f"{program}.log", lifeline[0], stop_seconds=0.5))
        return made[-1]

    yield make
    for each in made:
        each.kill()


async def says_alive(child: Child) -> bool:
    """Whether the program has come to its main part."""
    return "alive" in child.log.read_text()


async def until(condition: Callable[[], bool], seconds: float = 240) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


async def test_when_its_parent_is_gone_a_child_ends_and_takes_its_own_children_along(
    child: Callable[[str], Child], lifeline: tuple[int, int]
):
    """`kill -9` of `millrace up` gives it no chance to end anything; the closing pipe does."""
    clinging = child("clings")
    await clinging.start()
    await until(lambda: "alive" in clinging.log.read_text())
    assert clinging.process
    family = [psutil.Process(clinging.process.pid), *psutil.Process(clinging.process.pid).children()]
    assert len(family) == 2

    os.close(lifeline[1])

    await clinging.wait()
    await until(lambda: not any(runs(each) for each in family))


def runs(process: psutil.Process) -> bool:
    """Whether a process still runs (a zombie that nobody reaped does not)."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_what_a_child_leaves_behind_is_ended_with_it(child: Callable[[str], Child]):
    orphaning = child("orphans")
    await orphaning.start()

    assert await orphaning.wait() == 0

    orphan = int(orphaning.log.read_text().split()[-1])
    await until(lambda: not psutil.pid_exists(orphan) or not runs(psutil.Process(orphan)))


async def test_a_child_that_dies_is_started_again_and_that_is_told(child: Callable[[str], Child]):
    told, supervised = Told(), Supervised(child("recovers"), says_alive)
    keeping = asyncio.create_task(keep_running(supervised, told, start_seconds=240))

    await asyncio.wait_for(supervised.ready.wait(), 240)

    assert told.lines == [
        "recovers begins",
        "recovers: ended (exit code 7); starts again in 0.5 s",
        "recovers begins",
        "recovers ready",
    ]
    supervised.stopping = True
    supervised.child.ask_to_stop()
    await asyncio.wait_for(keeping, 240)


async def test_a_child_that_never_starts_ends_the_stack_with_the_end_of_its_log(
    child: Callable[[str], Child], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("deployments.stack.supervision.FIRST_PAUSE_SECONDS", 0.01)

    with pytest.raises(StackBroken) as caught:
        await keep_running(Supervised(child("dies"), says_alive), Told(), start_seconds=240)

    assert "dies ended at its start (exit code 1)" in caught.value.message
    assert "cannot go on: the disk is full" in caught.value.message


async def test_a_wrong_configuration_is_told_at_once_and_not_tried_three_times(
    child: Callable[[str], Child],
):
    told = Told()

    with pytest.raises(StackBroken, match="PROVIDERS_FILE names no file"):
        await keep_running(Supervised(child("misconfigured"), says_alive), told, start_seconds=240)

    assert told.lines == ["misconfigured begins"]


async def test_a_child_that_lives_but_is_never_ready_is_not_waited_for_for_ever(
    child: Callable[[str], Child],
):
    async def never(_child: Child) -> bool:
        return False

    with pytest.raises(StackBroken, match=r"was not ready within 0 s"):
        await keep_running(Supervised(child("lives"), never), Told(), start_seconds=0.3)


async def test_work_that_ends_by_itself_must_end_well(child: Callable[[str], Child]):
    await run_once(child("done"), told := Told())

    assert told.lines == ["done begins", "done ready"]
    with pytest.raises(StackBroken, match="the disk is full"):
        await run_once(child("dies"), Told())


async def test_ctrl_c_in_the_terminal_reaches_the_stack_and_not_its_children(child: Callable[[str], Child]):
    """Else a worker would end before it could tell Prefect how its runs ended."""
    living = child("lives")
    await living.start()

    assert living.process
    assert os.getsid(living.process.pid) != os.getsid(os.getpid())
    assert os.getpgid(living.process.pid) == living.process.pid


def test_the_watch_does_not_hide_how_a_module_ended(tmp_path: Path):
    (tmp_path / "ends.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)")
    read, write = os.pipe()
    environment = os.environ | {"MILLRACE_PARENT_PIPE": str(read), "MILLRACE_STOP_SECONDS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])

    done = subprocess.run(
        [sys.executable, "-m", "deployments.stack.watched", "ends"],
        env=environment,
        pass_fds=[read],
        check=False,
    )

    os.close(read)
    os.close(write)
    assert done.returncode == -signal.SIGTERM
