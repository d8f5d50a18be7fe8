"""`millrace optimize`: look for a better version of a program."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.cli.evaluate import followed, in_usd, show
from deployments.cli.fate import say_outcome
from deployments.cli.programs import AsJson, Name, asked


def optimize(  # noqa: PLR0913  each is an option
    program: Name,
    *,
    optimizer: Annotated[
        list[str] | None,
        typer.Option(
            "--optimizer",
            "-o",
            help="labeled, bootstrap, bootstrap_random_search, mipro, gepa, simba, copro; settings behind a"
            " colon: `gepa:metric_calls=100`. Several are raced under the caps.",
        ),
    ] = None,
    version: Annotated[
        int | None, typer.Option(help="What to start from; by default the active one.")
    ] = None,
    metric: Annotated[
        str, typer.Option(help="exact, f1, semantic_f1, judge, or package.module:function.")
    ] = "exact",
    cap_usd: Annotated[str | None, typer.Option(help="US dollars at most.")] = None,
    cap_calls: Annotated[int | None, typer.Option(help="Model calls at most.")] = None,
    cap_minutes: Annotated[float | None, typer.Option(help="Minutes at most.")] = None,
    gate: Annotated[
        bool, typer.Option(help="Let the gate compare what is found with the active version.")
    ] = True,
    deployment: Annotated[
        str | None, typer.Option(help="A deployment of providers.yaml to optimize for; it alone answers.")
    ] = None,
    below_estimate: Annotated[
        bool, typer.Option("--below-estimate", help="Run although a cap is below the estimate.")
    ] = False,
    estimate: Annotated[bool, typer.Option("--estimate", help="Only say what it would take.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed and answers give the same program.")] = 0,
    plot: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the curve to this SVG file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look for a better version of a program on its examples, and say what becomes of it.

    What is better is compared with the active version by the gate; by the program's policy it then becomes a
    canary, or waits for an approval, or nothing happens.

    Examples:
    - `millrace optimize support.sort --estimate`
    - `millrace optimize support.sort`
    - `millrace optimize support.sort -o bootstrap -o gepa:metric_calls=100 --cap-usd 2`
    """
    from deployments.cli.console import say_json

    sent = {
        "program": program,
        "version": version,
        "metric": metric,
        "seed": seed,
        "gate": None if gate else False,
        "cap_usd": cap_usd,
        "cap_calls": cap_calls,
        "cap_minutes": cap_minutes,
        "deployment": deployment,
        "below_estimate": below_estimate or None,
        "optimizers": [chosen(each) for each in optimizer] if optimizer else None,
    }
    params = {name: value for name, value in sent.items() if value is not None}
    if estimate:
        found = asked(lambda api: api.post("/optimizations/estimate", params))
        if as_json:
            say_json(found)
        else:
            show_estimate(found)
        return
    run = asked(lambda api: followed(api, "optimize", params, estimate="/optimizations/estimate"))
    say_outcome(run, show_result, plot=plot, as_json=as_json)


def chosen(text: str) -> dict[str, Any]:
    """Return an optimizer from `name` or `name:setting=number,setting=number`."""
    from runtime.errors import BadInput

    name, _, settings = text.partition(":")
    found: dict[str, Any] = {"name": name}
    for each in filter(None, settings.split(",")):
        key, equals, value = each.partition("=")
        if not equals or not value.strip().isdecimal():
            raise BadInput(f"--optimizer takes NAME or NAME:SETTING=NUMBER, not {text!r}.", "bad_param")
        found[key.strip()] = int(value)
    return found


def show_estimate(found: dict[str, Any]) -> None:
    """Print what each part of an optimization takes, and the least caps for all of it."""
    from rich.table import Table

    from deployments.cli.console import out, say

    table = Table("part", "calls", "USD", "minutes", box=None, pad_edge=False)
    for one in [*found["parts"], {**found, "name": "all"}]:
        minutes = "unknown" if one["seconds"] is None else f"{one['seconds'] / 60:.1f}"
        table.add_row(
            one["name"], str(one["calls"]), in_usd(one["usd"]) if one["usd"] else "unknown", minutes
        )
    out().print(table)
    counts = ", ".join(f"{number} {split}" for split, number in found["examples"].items())
    usd = "" if found["needed_usd"] is None else f", --cap-usd {in_usd(found['needed_usd'])}"
    say(f"Examples: {counts}. The least caps: --cap-calls {found['needed_calls']}{usd}.")


def show_result(result: dict[str, Any]) -> None:
    """Print what each optimizer came to, and the proof on the test split."""
    from rich.table import Table

    from deployments.cli.console import out, say

    table = Table("optimizer", "validation", "calls", "USD", "ended by", box=None, pad_edge=False)
    base = result["base_validation"]
    table.add_row("(as it was)", "" if base is None else f"{base:.3f}", "", "", "")
    for one in result["optimizers"]:
        score = "" if one["validation"] is None else f"{one['validation']:.3f}"
        end = one["error"] or (f"cap of {one['stopped']}" if one["stopped"] else "itself")
        table.add_row(one["name"], score, str(one["calls"]), format(Decimal(str(one["usd"])), "f"), end)
    out().print(table)
    if result["version"] is not None and result["comparison"] is None:
        say(f"A cap ({result['stopped']}) ended the proof; the best so far is kept.")
    elif result["version"] is not None:
        say(f"On the test split, which no optimizer has seen (by {result['optimizer']}):")
        show({"scores": result["test"], "comparison": result["comparison"]})
