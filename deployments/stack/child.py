"""One process of the stack: how it is started, where its output goes, how it is ended."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deployments.stack.output import open_output
from deployments.stack.watched import GRACE, PIPE


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: `python -m module args`, under a name for people and for its log file."""

    name: str
    module: str
    args: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


class Child:
    """A process that ends with us, in a session of its own so that Ctrl-C reaches us alone.

    Args:
        command: what to run.
        log: the file that its output is appended to.
        lifeline: reading end of the pipe whose writing end only we hold.
        stop_seconds: how long it may take to end by itself once our end is gone.
    """

    def __init__(self, command: Command, log: Path, lifeline: int, stop_seconds: float) -> None:
        self.command = command
        self.log = log
        self.process: asyncio.subprocess.Process | None = None
        self._lifeline = lifeline
        self._stop_seconds = stop_seconds
        self._swept = True

    @property
    def name(self) -> str:
        """The name for people."""
        return self.command.name

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.returncode is None

    async def start(self) -> None:
        """Start it; its output begins a new part of the log file."""
        environment = {
            **os.environ,
            **self.command.environment,
            PIPE: str(self._lifeline),
            GRACE: str(self._stop_seconds),
        }
        with open_output(self.log, self.name) as output:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "deployments.stack.watched",
                self.command.module,
                *self.command.args,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                pass_fds=(self._lifeline,),
                start_new_session=True,
            )
        self._swept = False

    async def wait(self) -> int:
        """Return its exit code once it and what it started are gone; negative is the signal that ended it."""
        if self.process is None:
            raise RuntimeError(f"{self.name} was not started")
        code = await self.process.wait()
        self.kill()
        return code

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self.process and self.running:
            self.process.terminate()

    def kill(self) -> None:
        """Kill it and what it started: once, because its number may be another's soon after its end."""
        if self.process is None or self._swept:
            return
        self._swept = True
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
