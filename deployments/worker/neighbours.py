"""Workers of one machine see at once that one of them died: each holds a lock that ends with its process.

A lease runs out up to 15 s after its worker's death, because silence alone proves nothing. On one machine
there is a proof: the operating system releases a process's file lock when the process is gone, however it
died, and not before. A worker that is stopped, frozen or cut off keeps its lock, and its lease decides.
"""

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

SUFFIX = ".lock"


@dataclass(slots=True)
class Neighbours:
    """The lock of one worker, and a look at those of the others that share its folder.

    Args:
        folder: of the machine's own file system; one per state folder (`MILLRACE_HOME`).
        worker: the name that this process's leases carry.
    """

    folder: Path
    worker: str
    _lock: int | None = field(default=None, init=False)

    def move_in(self) -> None:
        """Take this worker's lock, for as long as the process lives."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Locked before it has its name: nobody may ever see the file of a living worker unlocked.
        draft = self._file(self.worker).with_suffix(".draft")
        self._lock = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        draft.replace(self._file(self.worker))

    def move_out(self) -> None:
        """Give the lock back. The file stays: what this worker could not give back, the others take."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def dead(self) -> list[str]:
        """Return the names of the workers whose processes are gone and were not forgotten yet."""
        own = self._file(self.worker)
        return [
            unquote(file.name.removesuffix(SUFFIX))
            for file in self.folder.glob(f"*{SUFFIX}")
            if file != own and _free(file)
        ]

    def forget(self, worker: str) -> None:
        """Forget a dead worker; its leases were ended."""
        self._file(worker).unlink(missing_ok=True)

    def _file(self, worker: str) -> Path:
        return self.folder / f"{quote(worker, safe='')}{SUFFIX}"


def _free(file: Path) -> bool:
    """Return whether nobody holds the lock of a file; a shared lock, so that two who look agree."""
    with suppress(FileNotFoundError), file.open("rb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
    return False
