"""`millrace recompile`: take a program to another model."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.cli.evaluate import followed
from deployments.cli.fate import say_outcome
from deployments.cli.optimize import chosen
from deployments.cli.programs import AsJson, Name, asked


def recompile(  # noqa: PLR0913  each is an option
    program: Name,
    *,
    model: Annotated[str, typer.Option(help="Its name in config/providers.yaml: a deployment.")],
    version: Annotated[
        int | None, typer.Option(help="What to take there; by default the active one.")
    ] = None,
    gone: Annotated[bool, typer.Option("--gone", help="The old model answers no more.")] = False,
    optimizer: Annotated[
        list[str] | None, typer.Option("--optimizer", "-o", help="As of `millrace optimize`.")
    ] = None,
    metric: Annotated[
        str, typer.Option(help="exact, f1, semantic_f1, judge, or package.module:function.")
    ] = "exact",
    cap_usd: Annotated[str | None, typer.Option(help="US dollars at most.")] = None,
    below_estimate: Annotated[
        bool, typer.Option("--below-estimate", help="Run although the cap is below the estimate.")
    ] = False,
    gate: Annotated[bool, typer.Option(help="Hand what is best there to the gate.")] = True,
    plot: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the frontier to this SVG file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take a program to another model, optimize it for that, and compare quality and cost on the same cases.

    Examples:
    - `millrace recompile support.sort --model gpt`
    - `millrace recompile support.sort --model local --gone -o bootstrap --plot frontier.svg`
    """
    sent = {
        "program": program,
        "deployment": model,
        "version": version,
        "gone": gone,
        "metric": metric,
        "cap_usd": cap_usd,
        "below_estimate": below_estimate,
        "gate": gate,
        "optimizers": [chosen(each) for each in optimizer] if optimizer else None,
    }
    params = {name: value for name, value in sent.items() if value is not None}
    run = asked(lambda api: followed(api, "recompile", params))
    say_outcome(run, show_frontier, plot=plot, as_json=as_json)


def show_frontier(result: dict[str, Any]) -> None:
    """Print each lane, and what is best on the new model."""
    from rich.table import Table

    from deployments.cli.console import out, say

    table = Table(
        *("", "lane", "model", "score", "95 %", "USD of 1,000", "ms", "failures", "against old"),
        box=None,
        pad_edge=False,
    )
    for one in result["points"]:
        quality, against = one["quality"], one["against_old"]
        cost = "unknown" if one["cost_usd"] is None else f"{Decimal(str(one['cost_usd'])) * 1000:f}"
        step = (
            "" if against is None else f"{against['difference']['value']:+.3f} (p = {against['p_value']:.3f})"
        )
        table.add_row(
            *("*" if one["optimal"] else "", one["lane"], one["deployment"] or "as routed"),
            *(f"{quality['value']:.3f}", f"{quality['low']:.3f} to {quality['high']:.3f}", cost),
            *("" if one["latency_ms"] is None else f"{one['latency_ms']:.0f}", str(one["failures"]), step),
        )
    out().print(table)
    say(f"* on the frontier of quality and cost; {len(result['cases'])} cases, the same for all.")
    if result["stopped"]:
        say("The cap ended it before every lane was measured.")
