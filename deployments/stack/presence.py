"""Who runs the stack of a state folder: one `millrace up` at a time, and where it listens.

The lock is the operating system's: it ends with its holder, also after `kill -9`, so it is never stale.
The note beside it says what the holder told us; it counts only while the lock is held.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from runtime.clock import utcnow
from runtime.errors import Conflict

LOCK = "stack.lock"
NOTE = "stack.json"
# A reader (`millrace status`) holds the lock for microseconds.
PATIENCE_SECONDS = 0.5


class RunningStack(BaseModel):
    """A stack that is up or coming up: its process and its addresses."""

    pid: int
    api_url: str
    prefect_api_url: str
    started_at: datetime


@contextmanager
def only_stack(folder: Path) -> Iterator[None]:
    """Be the one stack of this state folder, until the end of the block or of the process.

    Raises:
        Conflict: another one is, with its process id.
    """
    with (folder / LOCK).open("a") as lock:
        _lock(lock.fileno(), folder)
        try:
            yield
        finally:
            (folder / NOTE).unlink(missing_ok=True)


def note_stack(folder: Path, api_url: str, prefect_api_url: str) -> None:
    """Write where this process's stack listens; only its owner can read it."""
    stack = RunningStack(
        pid=os.getpid(), api_url=api_url, prefect_api_url=prefect_api_url, started_at=utcnow()
    )
    draft = folder / f"{NOTE}.{os.getpid()}"
    draft.write_text(stack.model_dump_json(), encoding="utf-8")
    draft.chmod(0o600)
    draft.replace(folder / NOTE)


def running_stack(folder: Path) -> RunningStack | None:
    """Return the stack of a state folder, or none when it is not running."""
    if not (folder / LOCK).exists():
        return None
    with (folder / LOCK).open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _note(folder)
    return None


def ended_badly(folder: Path) -> bool:
    """Whether the last stack left its note behind: killed, its processes perhaps still ending."""
    return (folder / NOTE).exists()


def _note(folder: Path) -> RunningStack | None:
    try:
        return RunningStack.model_validate_json((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


def _lock(descriptor: int, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                other = _note(folder)
                who = f"process {other.pid}, {other.api_url}" if other else "still starting"
                raise Conflict(
                    f"A stack is already running for {folder} ({who})."
                    " Use that one, stop it, or set MILLRACE_HOME to another folder.",
                    code="stack_running",
                ) from None
            time.sleep(0.05)
        else:
            return
