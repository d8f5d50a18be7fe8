"""`millrace run`: start a pipeline, and if asked wait for it or watch it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.run_flags import (
    AgentId,
    BudgetUsd,
    ConcurrencyKey,
    Deadline,
    IdempotencyKey,
    OnBusy,
    Priority,
    StartAt,
    WebhookUrl,
)

if TYPE_CHECKING:
    from contracts.runs import Run
    from deployments.cli.client import Api


def run(  # noqa: PLR0913  each is an option
    pipeline: Annotated[str, typer.Argument(help="Its name: `chat_turn`, `analysis`, `probe`.")],
    paths: Annotated[list[Path] | None, typer.Argument(metavar="FILES", help="Documents to upload.")] = None,
    *,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter; JSON values are understood."),
    ] = None,
    params_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Parameters as JSON or YAML; `--param` adds to them."),
    ] = None,
    files: Annotated[
        list[Path] | None, typer.Option("--files", help="Documents to upload; more may follow it.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end and print the result.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show steps, progress and the answer as they come.")
    ] = False,
    key: IdempotencyKey = None,
    budget: BudgetUsd = None,
    agent: AgentId = None,
    concurrency_key: ConcurrencyKey = None,
    on_busy: OnBusy = None,
    priority: Priority = None,
    start_at: StartAt = None,
    deadline: Deadline = None,
    webhook: WebhookUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object, the run.")] = False,
) -> None:
    """Start a run of a pipeline through the API.

    Without `--wait` or `--follow` it prints the run's id and returns: the run goes on by itself. With
    them the exit code is 0 only if the run succeeded.

    Examples:
    - `millrace run chat_turn --param message="What does the warm worker do?" --follow`
    - `millrace run analysis --param question="What is promised?" --files docs/*.md offer.pdf --wait`
    - `millrace run analysis --params-file question.yaml --json`
    """
    import asyncio

    from deployments.cli.client import Api, api_url
    from deployments.cli.options import run_options
    from deployments.cli.params import read_params

    params = read_params(param or [], params_file)
    options = run_options(
        concurrency_key=concurrency_key,
        on_busy=on_busy,
        priority=priority,
        start_at=start_at,
        deadline=deadline,
        budget_usd=budget,
        agent_id=agent,
        webhook_url=webhook,
    )
    documents = [*(files or []), *(paths or [])]

    async def start() -> "Run":
        async with Api(api_url()) as api:
            if documents:
                await _add_documents(api, pipeline, params, documents)
            started = await api.start_run(pipeline, params, key, options)
            if follow:
                return await _follow(api, started, as_json=as_json)
            return await api.finished(started.id) if wait else started

    ended = asyncio.run(start())
    show(ended, answer_shown=follow, as_json=as_json)
    if (wait or follow) and ended.status != "succeeded":
        raise typer.Exit(1)


async def _add_documents(api: "Api", pipeline: str, params: dict[str, Any], documents: list[Path]) -> None:
    from contracts.pipelines import PIPELINES
    from runtime.errors import BadInput

    spec = PIPELINES.get(pipeline)
    if spec and "sources" not in spec.params.model_fields:
        raise BadInput(f"{pipeline} takes no files; `analysis` does.", code="no_files_here")
    for path in documents:
        if not path.is_file():
            raise BadInput(f"There is no file {path}.", code="no_such_file")
    uploaded = await api.upload(documents)
    params["sources"] = [
        *params.get("sources", []),
        *({"kind": "file", "file_id": str(each)} for each in uploaded),
    ]


async def _follow(api: "Api", started: "Run", *, as_json: bool) -> "Run":
    from deployments.cli.console import err, out, say
    from deployments.cli.telling import Telling

    say(f"run {started.id}", err())
    with Telling(err() if as_json else out(), err()) as telling:
        async for event in api.events(started.id):
            telling.tell(event)
    return await api.run(started.id)


def show(run: "Run", *, answer_shown: bool, as_json: bool) -> None:
    """Print a run that has ended with what came of it; of another one its id."""
    from deployments.cli.console import err, out, say, say_json
    from deployments.cli.results import lines_of

    if as_json:
        say_json(run.model_dump(mode="json"))
    elif run.status.terminal:
        for line in lines_of(run, answer_shown=answer_shown):
            say(line, out())
    else:
        say(str(run.id), out())
        say(f"{run.status}; `millrace status {run.id}` shows how it goes.", err())
