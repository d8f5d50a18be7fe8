"""What a person sees while the stack comes up: a live list on a terminal, plain lines elsewhere."""

import time
from typing import Protocol

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Report(Protocol):
    """Is told what happens to each process."""

    def begins(self, name: str) -> None:
        """A process was started."""

    def ready(self, name: str) -> None:
        """It is ready or, if it ends by itself, done."""

    def line(self, text: str) -> None:
        """Say something else."""

    def settle(self) -> None:
        """The start is over, well or badly."""


class LineReport:
    """Plain lines, one for each thing that happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began: dict[str, float] = {}

    def begins(self, name: str) -> None:
        """Say so, and remember when."""
        self._began[name] = time.monotonic()
        self.line(f"{name}: starting")

    def ready(self, name: str) -> None:
        """Say how long it took."""
        self.line(f"{name}: ready after {time.monotonic() - self._began[name]:.1f} s")

    def line(self, text: str) -> None:
        """Print it as it is."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def settle(self) -> None:
        """Lines stay lines."""


class LiveReport(LineReport):
    """A spinner for each process that starts, and lines above them; after `settle` lines only."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._tasks: dict[str, TaskID] = {}
        self._live = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description:19}{task.fields[state]:10}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._live.start()

    def begins(self, name: str) -> None:
        """Show a spinner."""
        if self._live.live.is_started:
            self._began[name] = time.monotonic()
            self._tasks[name] = self._live.add_task(name, total=1, state="starting")
        else:
            super().begins(name)

    def ready(self, name: str) -> None:
        """Stop its spinner."""
        if self._live.live.is_started:
            self._live.update(self._tasks[name], completed=1, state="ready")
        else:
            super().ready(name)

    def settle(self) -> None:
        """Leave the list as it stands."""
        self._live.stop()


def report_to(console: Console) -> Report:
    """Return the report that fits a console."""
    return LiveReport(console) if console.is_terminal else LineReport(console)
