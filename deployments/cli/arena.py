"""`millrace arena`: who is how strong, as matches come in; submitting tasks, and voting."""

import asyncio
import contextlib
import signal
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

arena = typer.Typer(help="Models and versions compared two by two: a live leaderboard, tasks and votes.")
COLUMNS = ("", "contestant", "points", "95 %", "won", "lost", "tied", "answers", "failed", "cost $", "ms")
# What a narrower terminal has no room for beside the names.
WIDE, NEEDS_WIDTH = 100, frozenset({"answers", "failed"})
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Kind = Annotated[str | None, typer.Option(help="Of tasks; all kinds, when it is not said.")]


@arena.callback(invoke_without_command=True)
def leaderboard(
    context: typer.Context,
    *,
    kind: Kind = None,
    by: Annotated[str, typer.Option(help="Whose opinion counts: `all`, `judge` or `people`.")] = "all",
    once: Annotated[bool, typer.Option("--once", help="Print it and end.")] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Show the leaderboard until Ctrl-C; it follows the matches as they come in.

    Where nobody looks (a pipe), and with `--once`, it is printed once.
    """
    if context.invoked_subcommand is not None:
        return
    from deployments.cli.console import out, say_json
    from deployments.cli.programs import asked

    query = {"by": by} | ({} if kind is None else {"kind": kind})
    console = out()
    if as_json or once or not console.is_terminal:
        found = asked(lambda api: api.get("/arena/leaderboard", **query))
        if as_json:
            say_json(found)
        else:
            console.print(board(found, console.width))
        return
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_live(query, every))


@arena.command()
def submit(
    tasks: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A task a line, as JSON or text.")
    ],
    *,
    contestant: Annotated[
        list[str],
        typer.Option("--contestant", "-c", help="`gpt`, `support.sort@3`, or `support.sort@3/gpt`."),
    ],
    kind: Annotated[str, typer.Option(help="Of tasks that do not say it.")] = "general",
    judge: Annotated[bool, typer.Option(help="Let the role `judge` compare.")] = True,
    cap_usd: Annotated[str | None, typer.Option(help="US dollars at most.")] = None,
    as_json: AsJson = False,
) -> None:
    """Let contestants answer a file of tasks, and follow the run.

    A line is a text, or JSON as the API takes it: `{"input": "…", "reference": "…", "kind": "…"}`.

    Example: `millrace arena submit questions.txt -c gpt -c claude`
    """
    from deployments.cli.console import out, say, say_json
    from deployments.cli.evaluate import followed
    from deployments.cli.programs import asked

    params: dict[str, Any] = {
        "tasks": [
            task_of(line, kind) for line in tasks.read_text(encoding="utf-8").splitlines() if line.strip()
        ],
        "contestants": [contestant_of(each) for each in contestant],
        "judge": judge,
    }
    run = asked(lambda api: followed(api, "arena", params | ({"cap_usd": cap_usd} if cap_usd else {})))
    if as_json:
        say_json(run.model_dump(mode="json"))
    elif run.result is not None:
        result = run.result
        console = out()
        standings = {"items": result["standings"], "matches": result["matches"], "kind": None}
        console.print(board(standings, console.width))
        say(f"{result['ties']} ties, {result['inconsistent']} of them because the order decided")
    if run.status != "succeeded":
        if not as_json and run.error:
            say(f"{run.status}: {run.error.message} ({run.error.code})")
        raise typer.Exit(1)


@arena.command()
def vote(*, kind: Kind = None) -> None:
    """Compare answers without names, one pair after the other, until there is none left."""
    from deployments.cli.console import say
    from deployments.cli.programs import asked
    from runtime.errors import MillraceError

    query = {} if kind is None else {"kind": kind}
    choices = {"1": "first", "2": "second", "=": "tie"}
    while True:
        try:
            match = asked(lambda api: api.get("/arena/matches/next", **query))
        except MillraceError as error:
            if error.code != "no_match_left":
                raise
            say("There is no match left that you have not voted on.")
            return
        say(f"\n{match['input']}\n\n[1] {match['first']}\n\n[2] {match['second']}\n")
        while (told := typer.prompt("Better (1, 2, = for a tie, q to end)").strip()) not in choices:
            if told == "q":
                return
        sent = {"choice": choices[told]}
        seen = asked(lambda api: api.post(f"/arena/matches/{match['id']}/votes", sent))  # noqa: B023  asked now
        say(f"[1] {seen['first']['contestant']}  [2] {seen['second']['contestant']}  judge: {seen['judge']}")


def board(found: dict[str, Any], width: int = WIDE) -> "RenderableType":
    """Return the leaderboard as a table; names are folded and numbers never cut.

    Args:
        found: as the API tells it.
        width: of the terminal, in columns.
    """
    from rich.table import Table

    title = f"{found['kind'] or 'all kinds of tasks'}, {found['matches']} matches"
    if not found["matches"]:
        return f"{title}. `millrace arena submit FILE -c NAME -c NAME` lets contestants answer."
    shown = [name for name in COLUMNS if width >= WIDE or name not in NEEDS_WIDTH]
    table = Table(title=title, box=None, pad_edge=False, title_justify="left")
    for name in shown:
        if name == "contestant":
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name, no_wrap=True, justify="right")
    for place, one in enumerate(found["items"], 1):
        row = dict(zip(COLUMNS, _row(place, one), strict=True))
        table.add_row(*(row[name] for name in shown))
    return table


def _row(place: int, one: dict[str, Any]) -> list[str]:
    cost = one["cost_usd"]
    return [
        *(str(place), one["contestant"], f"{one['points']:.0f}", f"{one['low']:.0f} to {one['high']:.0f}"),
        *(f"{one[name]:g}" for name in ("wins", "losses", "ties")),
        *(str(one[name]) for name in ("answers", "failures")),
        "-" if cost is None else f"{Decimal(cost):.6f}",
        "-" if one["latency_ms"] is None else f"{one['latency_ms']:.0f}",
    ]


def task_of(line: str, kind: str) -> dict[str, Any]:
    """Return a line of a file as a task: JSON as the API takes it, or a text."""
    import json

    from runtime.errors import BadInput

    if not line.lstrip().startswith("{"):
        return {"input": line.strip(), "kind": kind}
    try:
        return {"kind": kind, **json.loads(line)}
    except ValueError:
        raise BadInput(f"This line is no JSON: {line[:60]}", code="malformed_json") from None


def contestant_of(told: str) -> dict[str, Any]:
    """Return a contestant from its name, as ratings show it."""
    from runtime.errors import BadInput

    program, mark, rest = told.partition("@")
    if not mark:
        return {"deployment": told}
    version, _, deployment = rest.partition("/")
    if not version.isdigit():
        raise BadInput(f"{told!r} is no contestant: write `gpt` or `support.sort@3`.", code="bad_contestant")
    return {"program": program, "version": int(version), "deployment": deployment or None}


async def _live(query: dict[str, str], every: float) -> None:
    """Follow the leaderboard until Ctrl-C. An API that is away is said so, below what was seen last."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from deployments.cli.client import Api, api_url
    from deployments.cli.console import out
    from runtime.errors import MillraceError

    console = out()
    async with Api(api_url()) as api:
        seen = await api.get("/arena/leaderboard", **query)
        with Live(board(seen, console.width), console=console) as live, until_interrupted() as stopped:
            while not stopped.is_set():
                await asyncio.sleep(every)
                try:
                    seen = await api.get("/arena/leaderboard", **query)
                    live.update(board(seen, console.width))
                except MillraceError as error:
                    live.update(Group(board(seen, console.width), Text(error.message, style="red")))


@contextlib.contextmanager
def until_interrupted() -> "Iterator[asyncio.Event]":
    """Leave the block at Ctrl-C, and set the event.

    The task inside is cancelled, and a library that takes this for its own time running out goes on with an
    error: whoever works in a loop looks at the event.
    """
    stopped, task, loop = asyncio.Event(), asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None  # noqa: S101  somebody awaits

    def stop() -> None:
        stopped.set()
        task.cancel()

    loop.add_signal_handler(signal.SIGINT, stop)
    try:
        yield stopped
    except asyncio.CancelledError:
        if not stopped.is_set():
            raise
    finally:
        loop.remove_signal_handler(signal.SIGINT)
