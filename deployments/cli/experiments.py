"""`millrace experiments`: versions or models side by side, and which one is better."""

from typing import Annotated, Any

import typer

experiments = typer.Typer(no_args_is_help=True, help="Versions or models side by side, and which is better.")
Id = Annotated[str, typer.Argument(help="The experiment's id.")]
Why = Annotated[str, typer.Option("--reason", "-m", help="Stands in the audit log.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@experiments.command("list")
def list_experiments(*, as_json: AsJson = False) -> None:
    """List experiments, newest first."""
    from deployments.cli.programs import asked, table

    found = asked(lambda api: api.get("/experiments"))
    rows = [
        (
            *(each["id"], each["name"], f"{each['kind']} {each['target']}"),
            " / ".join(arm["name"] for arm in each["arms"]),
            *(each["metric"], each["status"], each["winner"] or "-"),
        )
        for each in found["items"]
    ]
    table(found, ("id", "name", "of", "arms", "metric", "status", "winner"), rows, as_json=as_json)


@experiments.command()
def start(
    arms: Annotated[list[str], typer.Argument(help="Versions or deployments, weights if wanted: `gpt=3`.")],
    *,
    program: Annotated[str | None, typer.Option(help="Compare versions of this program.")] = None,
    role: Annotated[str | None, typer.Option(help="Compare models for this role.")] = None,
    by: Annotated[str, typer.Option(help="Who always meets the same arm: `chat` or `user`.")] = "chat",
    metric: Annotated[
        str, typer.Option(help="What decides: `feedback`, `success`, `cost_usd` or `latency_ms`.")
    ] = "feedback",
    largest: Annotated[float | None, typer.Option(help="What no run exceeds, of cost or latency.")] = None,
    name: Annotated[str, typer.Option(help="For people.")] = "",
) -> None:
    """Let versions or models answer side by side; the others are compared with the first.

    Examples: `millrace experiments start 3 4 --program support.sort`,
    `millrace experiments start gpt=3 claude --role chat --metric latency_ms --largest 60000`
    """
    from deployments.cli.console import say
    from deployments.cli.programs import asked

    sent = {"name": name, "program": program, "role": role, "by": by, "metric": metric, "largest": largest}
    found = asked(
        lambda api: api.post("/experiments", {**sent, "arms": [arm_of(each, program) for each in arms]})
    )
    say(f"experiment {found['id']} is running: {' / '.join(arm['name'] for arm in found['arms'])}")


@experiments.command()
def show(experiment: Id, *, as_json: AsJson = False) -> None:
    """Show what was seen so far; look as often as you like, the bounds hold at every look."""
    from deployments.cli.console import say
    from deployments.cli.programs import asked, table

    found = asked(lambda api: api.get(f"/experiments/{experiment}"))
    numbers = ("feedback", "success", "cost_usd", "latency_ms")
    rows = [
        (
            *(each["name"], str(each["weight"]), str(each["subjects"]), str(each["runs"])),
            *(_measured(each[name]) for name in numbers),
        )
        for each in found["results"]
    ]
    columns = ("arm", "weight", "subjects", "runs", "feedback", "success", "cost $", "latency ms")
    table(found, columns, rows, as_json=as_json)
    if as_json:
        return
    for one in found["comparisons"]:
        seen = one["difference"]
        say(
            f"{found['metric']} of {one['arm']} less {one['against']}: {seen['value']:+.4g}"
            f" (between {seen['low']:+.4g} and {seen['high']:+.4g}; n = {one['n']} and {one['n_against']})"
        )
    say(f"{found['status']}; better: {found['winner'] or found['leader'] or 'nobody is proven to be'}")


@experiments.command()
def stop(experiment: Id, *, reason: Why = "") -> None:
    """End an experiment: what begins from now on is answered as if it had never been."""
    from deployments.cli.console import say
    from deployments.cli.programs import asked

    found = asked(lambda api: api.post(f"/experiments/{experiment}/stop", {"reason": reason}))
    say(f"experiment {found['id']}: {found['status']}")


@experiments.command()
def promote(
    experiment: Id,
    arm: Annotated[str | None, typer.Argument(help="The arm; without it, the proven winner.")] = None,
    *,
    reason: Why = "",
) -> None:
    """Let the winner, or the arm that you name, answer everything from now on."""
    from deployments.cli.console import say
    from deployments.cli.programs import asked

    sent = {"arm": arm, "reason": reason}
    found = asked(lambda api: api.post(f"/experiments/{experiment}/promote", sent))
    say(f"{found['kind']} {found['target']}: {found['winner']} answers from now on")


def arm_of(told: str, program: str | None) -> dict[str, Any]:
    """Return an arm as the API takes it."""
    from runtime.errors import BadInput

    name, _, weight = told.partition("=")
    if (weight and not weight.isdigit()) or (program is not None and not name.removeprefix("v").isdigit()):
        raise BadInput(
            f"{told!r} is no arm: give a version's number for a program, a deployment for a role, and a whole"
            " weight behind `=` if you want one.",
            "bad_arm",
        )
    which = {"deployment": name} if program is None else {"version": int(name.removeprefix("v"))}
    return {**which, "weight": int(weight or 1)}


def _measured(one: dict[str, Any]) -> str:
    return "-" if one["mean"] is None else f"{one['mean']:.4g} (n = {one['n']})"
