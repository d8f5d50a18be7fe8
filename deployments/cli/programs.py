"""`millrace programs`: versions of what thinks, and which of them answers."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from deployments.cli.client import Api

T = TypeVar("T")
Name = Annotated[str, typer.Argument(help="The program's name, e.g. `support.sort`.")]
Number = Annotated[int, typer.Argument(min=1, help="The version's number.")]
Why = Annotated[str, typer.Option("--reason", "-m", help="Stands in the audit trail.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

programs = typer.Typer(no_args_is_help=True, help="Versions of programs, and which of them answers.")


@programs.command("list")
def list_programs(*, as_json: AsJson = False) -> None:
    """List the programs of the running code."""
    found = asked(lambda api: api.get("/programs"))
    rows = [
        (each["name"], each["title"], each["role"], _served(each), str(each["versions"]))
        for each in found["items"]
    ]
    table(found, ("program", "what it does", "role", "active", "versions"), rows, as_json=as_json)


@programs.command()
def versions(name: Name, *, as_json: AsJson = False) -> None:
    """List the versions of a program, newest first."""
    found = asked(lambda api: api.get(f"/programs/{name}/versions"))
    rows = [
        (
            *(str(each["version"]), each["status"], each["origin"], each["content_hash"][:12]),
            *(each["created_at"][:19].replace("T", " "), each["note"]),
        )
        for each in found["items"]
    ]
    table(found, ("version", "status", "origin", "hash", "created", "note"), rows, as_json=as_json)


@programs.command()
def show(name: Name, version: Number) -> None:
    """Print a version with its instructions and demos, as JSON."""
    _indented(asked(lambda api: api.get(f"/programs/{name}/versions/{version}")))


@programs.command()
def diff(
    name: Name,
    before: Annotated[int, typer.Argument(min=1)],
    after: Annotated[int, typer.Argument(min=1)],
    *,
    as_json: AsJson = False,
) -> None:
    """Show what changes from one version to another."""
    from deployments.cli.console import say, say_json

    found = asked(lambda api: api.get(f"/programs/{name}/diff", before=before, after=after))
    say_json(found) if as_json else say(found["text"])


@programs.command()
def promote(name: Name, version: Number, *, reason: Why = "") -> None:
    """Let a version answer from now on; runs that have begun keep theirs."""
    _tell(asked(lambda api: api.post(f"/programs/{name}/versions/{version}/promote", {"reason": reason})))


@programs.command()
def rollback(name: Name, *, reason: Why = "") -> None:
    """End a canary, or let the version answer again that did before."""
    _tell(asked(lambda api: api.post(f"/programs/{name}/rollback", {"reason": reason})))


@programs.command()
def changes(name: Name, *, as_json: AsJson = False) -> None:
    """Show the audit trail: who changed what answers, when and why."""
    found = asked(lambda api: api.get(f"/programs/{name}/changes"))
    rows = [
        (
            *(each["at"][:19].replace("T", " "), each["action"]),
            f"{each['from_version'] or '-'} -> {each['to_version'] or '-'}",
            *(each["by"], each["reason"]),
        )
        for each in found["items"]
    ]
    table(found, ("when", "what", "versions", "by", "why"), rows, as_json=as_json)


@programs.command()
def export(
    name: Name,
    version: Number,
    to: Annotated[Path | None, typer.Option(dir_okay=False, help="A file instead of the terminal.")] = None,
) -> None:
    """Write a version as a JSON file that reads well in git."""
    _indented(asked(lambda api: api.get(f"/programs/{name}/versions/{version}/export")), to)


@programs.command("import")
def import_(file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)]) -> None:
    """Store an exported version as a candidate; `promote` lets it answer."""
    import json

    from runtime.errors import BadInput

    try:
        sent = json.loads(file.read_text(encoding="utf-8"))
        name = sent["program"]
    except (ValueError, KeyError, TypeError):
        raise BadInput(f"{file} is no exported version of a program.", code="bad_program_file") from None
    _tell(asked(lambda api: api.post(f"/programs/{name}/import", sent)))


def asked(question: "Callable[[Api], Awaitable[T]]") -> T:
    """Return what the API answers to one question."""
    from deployments.cli.client import Api, api_url

    async def ask() -> T:
        async with Api(api_url()) as api:
            return await question(api)

    return asyncio.run(ask())


def _served(program: dict[str, Any]) -> str:
    canary = f" (canary {program['canary']}: {program['canary_percent']:g} %)" if program["canary"] else ""
    return f"{program['active'] or '-'}{canary}"


def _tell(version: dict[str, Any]) -> None:
    from deployments.cli.console import say

    say(f"{version['program']} version {version['version']}: {version['status']}")


def table(
    found: dict[str, Any], columns: tuple[str, ...], rows: "Sequence[tuple[str, ...]]", *, as_json: bool
) -> None:
    """Print rows under columns, or all that was found as one JSON object."""
    from rich.table import Table

    from deployments.cli.console import out, say_json

    if as_json:
        say_json(found)
        return
    drawn = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        drawn.add_row(*row)
    out().print(drawn)


def _indented(value: dict[str, Any], to: Path | None = None) -> None:
    import json

    from deployments.cli.console import say

    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
    if to is None:
        say(text)
    else:
        to.write_text(f"{text}\n", encoding="utf-8")
