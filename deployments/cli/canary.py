"""`millrace programs canary`: let a version answer a share of the runs, and see how it does."""

from typing import Annotated, Any

import typer

from deployments.cli.programs import AsJson, Name, Why, asked


def canary(
    name: Name,
    version: Annotated[int | None, typer.Argument(min=1, help="The version; left out, it is shown.")] = None,
    percent: Annotated[float, typer.Argument(help="Of a hundred chats or runs, at most 50.")] = 10,
    *,
    reason: Why = "",
    policy: Annotated[
        str | None,
        typer.Option(help='JSON, e.g. {"fewest": 200, "latency": 1.5}; see docs/canary.md.'),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the newest canary of a program; or let a version answer a share of the runs from now on.

    It is promoted or rolled back by itself; `promote` and `rollback` do so at once.
    """
    from deployments.cli.console import say, say_json

    if version is not None:
        sent = {"percent": percent, "reason": reason, "policy": asked_policy(policy)}
        found = asked(lambda api: api.post(f"/programs/{name}/versions/{version}/canary", sent))
        say(f"{name} version {found['version']}: {found['status']}, {percent:g} %")
        return
    found = asked(lambda api: api.get(f"/programs/{name}/canary"))
    say_json(found) if as_json else show(found)


def asked_policy(text: str | None) -> dict[str, Any] | None:
    """Return a policy that was given as JSON.

    Raises:
        BadInput: `bad_param`.
    """
    import json

    from runtime.errors import BadInput

    if text is None:
        return None
    try:
        policy = json.loads(text)
    except ValueError:
        policy = None
    if not isinstance(policy, dict):
        raise BadInput(f"--policy takes a JSON object, not {text!r}.", "bad_param")
    return policy


def show(found: dict[str, Any]) -> None:
    """Print who answers, each measure with its bounds, and what follows."""
    from rich.table import Table

    from deployments.cli.console import out, say

    say(
        f"{found['program']}: version {found['version']} beside {found['against']}, {found['percent']:g} %,"
        f" {found['status'].replace('_', ' ')} since {when(found['ended_at'] or found['started_at'])}"
    )
    if look := found["last"]:
        say(
            f"{look['answers']} runs of version {found['version']}, {look['active_answers']} of version"
            f" {found['against']}, {look['opinions']} judged; look {look['number']} at {when(look['at'])}"
        )
        names = ("measure", "canary", "active", "results", "difference", "surely between", "allowed", "says")
        table = Table(*names, box=None, pad_edge=False)
        for one in look["measures"]:
            table.add_row(*row(one))
        out().print(table)
    elif found["status"] == "watched":
        say("Nobody has looked yet: the workers of the pool `batch` do.")
    say(found["reason"] or (look["why"] if look else ""))


def row(one: dict[str, Any]) -> tuple[str, ...]:
    """Return a measure as cells of the table."""
    ratio = one["measure"] in {"cost", "latency"}
    step = "{:.2f}x" if ratio else "{:+.3f}"
    amounts = ("" if one[arm] is None else f"{one[arm]:.3g}" for arm in ("canary", "active"))
    return (
        one["measure"],
        *amounts,
        f"{one['canary_n']} / {one['active_n']}",
        step.format(one["difference"]),
        f"{step.format(one['low'])} and {step.format(one['high'])}",
        step.format(one["allowed"]),
        one["verdict"],
    )


def when(text: str) -> str:
    """Return a time as people read it, in UTC."""
    return text[:19].replace("T", " ")
