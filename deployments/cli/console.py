"""Where the command line writes: results to stdout, everything about them to stderr."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from runtime.errors import MillraceError

# Rich would fold a table at 80 columns where nobody looks at it.
PLAIN_WIDTH = 200


def out() -> Console:
    """Return the console for results."""
    return _console(stderr=False)


def err() -> Console:
    """Return the console for progress and errors."""
    return _console(stderr=True)


def say(text: str, console: Console | None = None) -> None:
    """Print a line as it is: no markup, no folding."""
    (console or out()).print(text, markup=False, highlight=False, soft_wrap=True)


def say_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on one line."""
    import json

    say(json.dumps(value, ensure_ascii=False, default=str))


def problem(error: MillraceError) -> None:
    """Print what went wrong and, for a program, its code."""
    console = err()
    console.print("[red]error:[/] ", end="")
    say(f"{error.message} ({error.code})", console)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=PLAIN_WIDTH)
