"""`millrace status`: how the system is, or how one run is."""

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

if TYPE_CHECKING:
    from deployments.cli.client import Api

UNDER_WAY = ("accepted", "queued", "running", "waiting")
MOST_COUNTED = 200


def status(
    run: Annotated[UUID | None, typer.Argument(help="A run's id, for that run alone.")] = None,
    last: Annotated[int, typer.Option(min=0, max=200, help="How many of the newest runs to list.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show whether every part is ready, what is under way and the last runs; or one run with its calls.

    The exit code is 1 when something that is needed is not ready.

    Examples:
    - `millrace status`
    - `millrace status --json`
    - `millrace status 0199f3c2-6a70-7cc4-9d3e-2b8f3c1d5e6f`
    """
    import asyncio

    from deployments.cli.client import Api, api_url
    from deployments.cli.console import say_json

    async def ask() -> dict[str, Any]:
        async with Api(api_url()) as api:
            return await (_one(api, run) if run else _everything(api, last))

    found = asyncio.run(ask())
    if as_json:
        say_json(found)
    elif run:
        _show_run(found)
    else:
        _show_everything(found)
    if not found.get("ready", True):
        raise typer.Exit(1)


async def _everything(api: "Api", last: int) -> dict[str, Any]:
    readiness = await api.readiness()
    usable = readiness["checks"].get("database", {}).get("ok")
    counts = (
        {each: len(await api.runs(status=each, limit=MOST_COUNTED)) for each in UNDER_WAY} if usable else {}
    )
    runs = await api.runs(limit=last) if usable and last else []
    return {"api": api.url, **readiness, "under_way": counts, "runs": runs}


async def _one(api: "Api", run_id: UUID) -> dict[str, Any]:
    found = await api.run(run_id)
    return {"run": found.model_dump(mode="json"), "calls": await api.calls(run_id)}


def _show_everything(found: dict[str, Any]) -> None:
    from rich.table import Table

    from deployments.cli.console import out, say

    say(f"API {found['api']}: {'ready' if found['ready'] else 'not ready'}")
    for name, check in found["checks"].items():
        state = {True: "ok", False: "NOT OK", None: "unknown"}[check["ok"]]
        say(f"  {name:9} {state:7} {check['milliseconds']:7.1f} ms  {check['detail']}")
    counted = (
        f"{count}{'+' if count == MOST_COUNTED else ''} {name}" for name, count in found["under_way"].items()
    )
    say(f"Under way: {', '.join(counted) or 'unknown'}")
    if found["runs"]:
        table = Table("run", "pipeline", "status", "attempt", "cost USD", "created", box=None, pad_edge=False)
        for run in found["runs"]:
            created = run["created_at"][:19].replace("T", " ")
            table.add_row(
                run["id"], run["pipeline"], run["status"], str(run["attempt"]), str(run["cost_usd"]), created
            )
        out().print(table)


def _show_run(found: dict[str, Any]) -> None:
    from rich.table import Table

    from contracts.runs import Run
    from deployments.cli.console import out, say
    from deployments.cli.results import lines_of

    for line in lines_of(Run.model_validate(found["run"])):
        say(line)
    if found["calls"]:
        table = Table(
            "step", "role", "status", "answered by", "ms", "replays", "USD", box=None, pad_edge=False
        )
        for call in found["calls"]:
            latency = "" if call["latency_ms"] is None else f"{call['latency_ms']:.0f}"
            cost = "" if call["cost_usd"] is None else str(call["cost_usd"])
            table.add_row(
                call["step"],
                call["role"],
                call["status"],
                call["deployment"] or "",
                latency,
                str(call["replays"]),
                cost,
            )
        out().print(table)
