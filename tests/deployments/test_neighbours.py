"""Workers of one machine know at once which of them are gone, and never take a living one for dead."""

import signal
import subprocess
import sys
from pathlib import Path

from deployments.worker.neighbours import Neighbours

WORKER = """
import sys, time
from pathlib import Path
from deployments.worker.neighbours import Neighbours
Neighbours(Path(sys.argv[1]), sys.argv[2]).move_in()
print("moved in", flush=True)
time.sleep(600)
"""


def test_a_killed_worker_is_seen_dead_and_forgotten_once(tmp_path: Path):
    here = Neighbours(tmp_path, "interactive-here-1")
    here.move_in()
    other = neighbour(tmp_path, "batch-here-2")
    assert here.dead() == []

    other.kill()
    other.wait()

    assert here.dead() == ["batch-here-2"]
    here.forget("batch-here-2")
    assert here.dead() == []
    here.move_out()


def test_a_stopped_worker_is_not_dead(tmp_path: Path):
    """It may go on at any time: only its lease says when its runs are others'."""
    here = Neighbours(tmp_path, "here")
    other = neighbour(tmp_path, "there")
    try:
        other.send_signal(signal.SIGSTOP)
        assert here.dead() == []
    finally:
        other.kill()
        other.wait()
    assert here.dead() == ["there"]


def test_what_a_worker_that_left_could_not_give_back_is_taken_by_the_next(tmp_path: Path):
    left = Neighbours(tmp_path, "a name with / and spaces")
    left.move_in()
    left.move_out()
    assert Neighbours(tmp_path, "next").dead() == ["a name with / and spaces"]


def neighbour(folder: Path, name: str) -> subprocess.Popen[bytes]:
    """Start a process that moves in and stays."""
    process = subprocess.Popen([sys.executable, "-c", WORKER, str(folder), name], stdout=subprocess.PIPE)
    with process.stdout as said:
        assert said.readline() == b"moved in\n"
    return process
