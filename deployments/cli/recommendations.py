"""`millrace recommendations`: what the gate found out about candidates, and the decision about it."""

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from deployments.cli.evaluate import followed
from deployments.cli.fate import say_end
from deployments.cli.programs import AsJson, Name, Number, asked

if TYPE_CHECKING:
    from deployments.cli.client import Api

Which = Annotated[
    UUID, typer.Argument(metavar="ID", help="Its id; `millrace recommendations list` names them.")
]
Why = Annotated[str, typer.Option("--reason", "-m", help="People see it.")]

recommendations = typer.Typer(no_args_is_help=True, help="What is recommended, and the decisions about it.")


@recommendations.command("list")
def list_recommendations(
    program: Annotated[str | None, typer.Option(help="Only of this program.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Those that are decided, too.")] = False,
    *,
    as_json: AsJson = False,
) -> None:
    """List what waits for a decision."""
    from rich.table import Table

    from deployments.cli.console import out, say, say_json

    query = {
        name: value
        for name, value in {"program": program, "status": None if every else "open"}.items()
        if value
    }
    found = asked(lambda api: api.get("/recommendations", **query))
    if as_json:
        say_json(found)
        return
    if not found["items"]:
        say("There is no recommendation." if every else "No recommendation waits for a decision.")
        return
    table = Table(
        *("recommendation", "status", "severity", "confidence", "benefit", "what"), box=None, pad_edge=False
    )
    for one in found["items"]:
        table.add_row(
            *(one["id"], one["status"], one["severity"], one["confidence"]),
            *(interval(one["benefit"], "+.3f"), one["title"]),
        )
    out().print(table)


@recommendations.command()
def show(recommendation: Which, *, as_json: AsJson = False) -> None:
    """Show a recommendation: evidence, diff, and the cases that got worse."""
    from deployments.cli.console import say, say_json

    found = asked(lambda api: api.get(f"/recommendations/{recommendation}"))
    if as_json:
        say_json(found)
        return
    say(f"{found['title']}\n{found['status']}; {found['reason']}".rstrip("; "))
    say(f"severity {found['severity']}: " + " ".join(found["severity_reasons"]))
    say(f"confidence {found['confidence']}, benefit {interval(found['benefit'], '+.3f')}")
    for note in found["notes"]:
        say(f"note: {note}")
    _show_lanes(found["evidence"])
    for reason, runs in found["evidence"]["not_replayed"].items():
        say(f"recorded runs not answered anew: {runs or 'none there'} ({reason})")
    say(found["diff"]["text"])
    for case in found["worse"]:
        where = f"example {case['example_id']}" if case["example_id"] else f"run {case['run_id']}"
        say(f"worse by {-case['difference']:.2f}: {where}")


@recommendations.command()
def approve(recommendation: Which, *, reason: Why = "") -> None:
    """Approve what is recommended, as it stands now: the candidate begins as a canary."""
    _decide(recommendation, "approve", reason)


@recommendations.command()
def refuse(recommendation: Which, *, reason: Why = "") -> None:
    """Refuse what is recommended."""
    _decide(recommendation, "refuse", reason)


@recommendations.command()
def apply(recommendation: Which) -> None:
    """Let an approved candidate begin that could not, because another one was the canary."""
    _tell(asked(lambda api: api.post(f"/recommendations/{recommendation}/apply", None)))


@recommendations.command()
def compare(
    program: Name,
    version: Number,
    *,
    metric: Annotated[
        str, typer.Option(help="exact, f1, semantic_f1, judge, or package.module:function.")
    ] = "exact",
    replays: Annotated[int, typer.Option(help="Recorded runs at most that are answered anew.")] = 50,
    cap_usd: Annotated[str | None, typer.Option(help="US dollars at most.")] = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="Only say what it would take.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let the gate compare a candidate with the active version; it ends when it waits for a decision.

    Examples:
    - `millrace recommendations compare support.sort 3 --estimate`
    - `millrace recommendations compare support.sort 3 --cap-usd 2`
    """
    from deployments.cli.console import say, say_json

    sent = {"program": program, "version": version, "metric": metric, "most_replays": replays}
    if cap_usd is not None:
        sent["cap_usd"] = cap_usd
    if estimate:
        found = asked(lambda api: api.post("/recommendations/estimate", sent))
        usd = "an unknown price" if found["usd"] is None else f"{found['usd']} USD"
        cases = f"{found['examples']} examples and {found['replays']} recorded runs"
        say_json(found) if as_json else say(f"at most {found['calls']} calls on {cases}: {usd}")
        return
    run = asked(lambda api: followed(api, "gate", sent))
    say_end(run, lambda result: say(f"{result['outcome']}: {result['reason']}"), as_json=as_json)


def interval(value: dict[str, Any] | None, form: str) -> str:
    """Return a number with its interval; nothing for none."""
    if value is None:
        return ""
    return f"{value['value']:{form}} ({value['low']:{form}} to {value['high']:{form}})"


def _show_lanes(evidence: dict[str, Any]) -> None:
    from rich.table import Table

    from deployments.cli.console import out

    table = Table("lane", "cases", "failures", "quality", "USD", "ms", box=None, pad_edge=False)
    for where in ("test", "replay"):
        if (found := evidence[where]) is None:
            continue
        for lane in ("observed", "active", "candidate"):
            if (one := found.get(lane)) is None:
                continue
            table.add_row(
                *(f"{where}: {lane}", str(one["cases"]), str(one["failures"])),
                *(interval(one["quality"], ".3f"), interval(one["cost_usd"], ".6f")),
                interval(one["latency_ms"], ".0f"),
            )
    out().print(table)


def _decide(recommendation: UUID, decision: str, reason: str) -> None:
    async def answer(api: "Api") -> dict[str, Any]:
        found = await api.get(f"/recommendations/{recommendation}")
        sent = {"decision": decision, "digest": found["digest"], "reason": reason}
        return await api.post(f"/recommendations/{recommendation}/decision", sent)

    _tell(asked(answer))


def _tell(found: dict[str, Any]) -> None:
    from deployments.cli.console import say

    say(f"{found['title']}: {found['status']}")
