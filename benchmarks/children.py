"""The processes that a benchmark starts, and the folder they may write to: none of either outlives it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

STOP_SECONDS = 8.0
PROJECT = Path(__file__).resolve().parent.parent
# What would make a child read somebody else's settings, or measure the compiler instead of the program:
# without cached bytecode an import of prefect, dspy and litellm takes twice as long.
FOREIGN = ("PREFECT_", "MILLRACE_", "DATABASE_", "PYTHONDONTWRITEBYTECODE")


@dataclass(slots=True)
class Children:
    """Starts processes whose output goes to files in `folder`."""

    folder: Path
    started: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    def start(
        self,
        name: str,
        *command: str,
        environment: Mapping[str, str] | None = None,
        output: Any = None,
        orders: Any = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own, so that Ctrl-C reaches us alone.

        Args:
            name: for its log file.
            command: a program and its arguments; `python` stands for this interpreter.
            environment: added to what is left of ours without `FOREIGN`.
            output: where its stdout goes, by default to the log.
            orders: where its stdin comes from, by default nowhere.
        """
        program = [sys.executable if word == "python" else word for word in command]
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                program,
                cwd=self.folder,
                env={**clean_environment(), **(environment or {})},
                stdin=orders or subprocess.DEVNULL,
                stdout=output or log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append((name, process))
        return process

    def log(self, name: str) -> Path:
        """Return the file of a process's output."""
        return self.folder / f"{name}.log"

    def wait_for(self, name: str, ready: Callable[[], bool], seconds: float = 300) -> None:
        """Wait until `ready()`; a process that ends or takes too long is an error with its last words."""
        process = next(process for known, process in reversed(self.started) if known == name)
        deadline = time.monotonic() + seconds
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                said = self.log(name).read_text(encoding="utf-8", errors="replace")[-2000:]
                raise RuntimeError(f"{name} did not get ready (exit code {process.poll()}):\n{said}")
            time.sleep(0.1)

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End a process: asked first, killed after a while, with everything that it started."""
        family = _family(process)
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
        self.started = [(name, other) for name, other in self.started if other is not process]

    def stop_all(self) -> None:
        """End all of them, the last one first."""
        for _name, process in list(reversed(self.started)):
            self.stop(process)


@contextmanager
def children() -> Iterator[Children]:
    """Yield a place to start processes from; at the end they are gone, and so is their folder."""
    with tempfile.TemporaryDirectory(prefix="millrace-bench-", ignore_cleanup_errors=True) as folder:
        kept = Children(Path(folder))
        try:
            yield kept
        finally:
            # A second Ctrl-C or SIGTERM must not leave processes behind.
            with undisturbed():
                kept.stop_all()


def clean_environment() -> dict[str, str]:
    """Return our environment without other projects' settings; our packages can be imported from anywhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {
        **kept,
        "PYTHONPATH": str(PROJECT),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Return whether a GET of the address succeeds."""
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def resident_mb(process: psutil.Process | int) -> float:
    """Return the resident memory of one process in MB (10^6 bytes); 0 when it is gone."""
    try:
        one = process if isinstance(process, psutil.Process) else psutil.Process(process)
        return float(one.memory_info().rss) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def _family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        family: list[psutil.Process] = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return family


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal that asks us to end cut the block short."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
