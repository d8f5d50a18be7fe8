"""`millrace evaluate`: how well a version of a program answers its examples."""

from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.fate import say_end
from deployments.cli.programs import AsJson, Name, asked
from runtime.errors import MillraceError

if TYPE_CHECKING:
    from contracts.runs import Run
    from deployments.cli.client import Api

MOST_FAILURES = 5


def evaluate(  # noqa: PLR0913  each is an option
    program: Name,
    *,
    version: Annotated[int | None, typer.Option(help="By default the active one.")] = None,
    against: Annotated[int | None, typer.Option(help="Another version on the same examples.")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    metric: Annotated[
        str, typer.Option(help="exact, f1, semantic_f1, judge, or package.module:function.")
    ] = "exact",
    most: Annotated[int, typer.Option(help="Examples at most.")] = 1_000,
    deployment: Annotated[
        str | None, typer.Option(help="A deployment of providers.yaml that answers alone.")
    ] = None,
    cap_usd: Annotated[str | None, typer.Option(help="US dollars at most.")] = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="Only say what it would take.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure a version of a program on a split of its examples.

    Examples:
    - `millrace evaluate support.sort --estimate`
    - `millrace evaluate support.sort --version 3 --against 1`
    """
    from deployments.cli.console import say, say_json

    sent = {
        "program": program,
        "version": version,
        "against": against,
        "split": split,
        "metric": metric,
        "most": most,
        "deployment": deployment,
        "cap_usd": cap_usd,
    }
    params = {name: value for name, value in sent.items() if value is not None}
    if estimate:
        found = asked(lambda api: api.post("/evaluations/estimate", params))
        if as_json:
            say_json(found)
        else:
            say(f"{found['examples']} examples: {in_words(found)}")
        return
    run = asked(lambda api: followed(api, "evaluation", params, estimate="/evaluations/estimate"))
    say_end(run, show_all, as_json=as_json)


async def followed(api: "Api", pipeline: str, params: dict[str, Any], estimate: str | None = None) -> "Run":
    """Start a run, tell how far it is, and return it after its end.

    Args:
        api: to ask.
        pipeline: of the run.
        params: of the run.
        estimate: where the API says what it will take, which is told first.
    """
    from deployments.cli.console import err, say
    from deployments.cli.telling import Telling

    if estimate is not None:
        # What cannot be estimated cannot be run either: the run says why.
        with suppress(MillraceError):
            say(f"about {in_words(await api.post(estimate, params))}", err())
    started = await api.start_run(pipeline, params)
    say(f"run {started.id}", err())
    with Telling(err(), err()) as telling:
        async for event in api.events(started.id):
            telling.tell(event)
    return await api.run(started.id)


def in_words(estimate: dict[str, Any]) -> str:
    """Return what work will take, by what such calls took lately."""
    usd = "an unknown price" if estimate["usd"] is None else f"{in_usd(estimate['usd'])} USD"
    seconds = "an unknown time" if estimate["seconds"] is None else f"{estimate['seconds']} s"
    return f"{estimate['calls']} calls, {usd}, {seconds}"


def in_usd(amount: str) -> str:
    """Return an amount as people write it: exact, without the zeros at its end."""
    return f"{Decimal(amount).normalize():f}"


def show_all(result: dict[str, Any]) -> None:
    """Print scores, and why there is no answer to some examples."""
    from deployments.cli.console import say

    show(result)
    if not any(one["failures"] for one in result["scores"]):
        return
    path = f"/evaluations/{result['evaluation_id']}/results"
    failed = asked(lambda api: api.get(path, failed=True, limit=MOST_FAILURES))
    for one in failed["items"]:
        say(f"example {one['example_id']}: {one['error']['message']} ({one['error']['code']})")
    if failed["next_cursor"]:
        say(f"The others: GET /api/v1{path}?failed=true")


def show(result: dict[str, Any]) -> None:
    """Print scores as a table, and the comparison in a line."""
    from rich.table import Table

    from deployments.cli.console import out, say

    table = Table("version", "score", "95 %", "examples", "failures", "USD", "ms", box=None, pad_edge=False)
    for one in result["scores"]:
        score = one["score"]
        table.add_row(
            *(str(one["version"]), f"{score['value']:.3f}", f"{score['low']:.3f} to {score['high']:.3f}"),
            *(str(one["examples"]), str(one["failures"]), str(one["cost_usd"] or "")),
            "" if one["latency_ms"] is None else f"{one['latency_ms']:.0f}",
        )
    out().print(table)
    if compared := result["comparison"]:
        step = compared["difference"]
        say(
            f"difference {step['value']:+.3f} ({step['low']:+.3f} to {step['high']:+.3f}),"
            f" p = {compared['p_value']:.4f};"
            f" better on {compared['better']}, worse on {compared['worse']}, equal on {compared['equal']}"
        )
