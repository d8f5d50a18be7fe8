"""One stack per state folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.stack.presence import ended_badly, note_stack, only_stack, running_stack
from runtime.errors import Conflict

HOLD = """
import sys, time
from pathlib import Path
from deployments.stack.presence import note_stack, only_stack
folder = Path(sys.argv[1])
with only_stack(folder):
    note_stack(folder, "http://127.0.0.1:1", "http://127.0.0.1:2/api")
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that runs the stack of this folder."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_stack_is_refused_with_the_process_and_address_of_the_first(
    holder: subprocess.Popen[bytes], tmp_path: Path
):
    with pytest.raises(Conflict) as caught, only_stack(tmp_path):
        pass

    assert f"process {holder.pid}, http://127.0.0.1:1" in caught.value.message
    assert "MILLRACE_HOME" in caught.value.message


def test_a_killed_stack_leaves_no_stale_lock(holder: subprocess.Popen[bytes], tmp_path: Path):
    """A pid file would have to guess; the operating system's lock ends with its holder."""
    holder.send_signal(signal.SIGKILL)
    holder.wait()

    assert running_stack(tmp_path) is None
    assert ended_badly(tmp_path)
    with only_stack(tmp_path):
        pass


def test_a_running_stack_is_found_with_its_addresses_and_gone_after_it(tmp_path: Path):
    assert running_stack(tmp_path) is None
    with only_stack(tmp_path):
        note_stack(tmp_path, "http://127.0.0.1:8400", "http://127.0.0.1:4200/api")
        found = running_stack(tmp_path)
        assert found
        assert (os.getpid(), "http://127.0.0.1:8400") == (found.pid, found.api_url)
        assert (tmp_path / "stack.json").stat().st_mode & 0o777 == 0o600
    assert running_stack(tmp_path) is None
    assert not ended_badly(tmp_path)
