"""`millrace cancel`, `retry` and `fork`: call a run off, or run it once more."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

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
    from collections.abc import Awaitable, Callable

    from contracts.runs import Run
    from deployments.cli.client import Api

RunId = Annotated[UUID, typer.Argument(metavar="RUN", help="A run's id.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the end and print the result.")]
Json = Annotated[bool, typer.Option("--json", help="End with one JSON object, the run.")]


def cancel(run: RunId, *, wait: Wait = False, as_json: Json = False) -> None:
    """Call a run off: at once when no worker has it, else within a second, at its next model call or await.

    Example:
    - `millrace cancel 0199f3c2-6a70-7cc4-9d3e-2b8f3c1d5e6f --wait`
    """
    _asked(lambda api: api.cancel(run), wait=wait, as_json=as_json, good=("succeeded", "cancelled"))


def retry(run: RunId, *, wait: Wait = False, as_json: Json = False) -> None:
    """Put a failed, cancelled or dead run back into the queue. Calls that it finished are not paid again.

    Example:
    - `millrace retry 0199f3c2-6a70-7cc4-9d3e-2b8f3c1d5e6f --wait`
    """
    _asked(lambda api: api.retry(run), wait=wait, as_json=as_json)


def fork(  # noqa: PLR0913  each is an option
    run: RunId,
    *,
    from_step: Annotated[
        str | None, typer.Option("--from-step", help="The first step to execute anew; see the run's events.")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter that replaces the old one."),
    ] = None,
    params_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The same as JSON or YAML.")
    ] = None,
    version: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PROGRAM=VERSION",
            help="A version that is to answer, by its number or id; for several, repeat.",
        ),
    ] = None,
    key: IdempotencyKey = None,
    budget: BudgetUsd = None,
    agent: AgentId = None,
    concurrency_key: ConcurrencyKey = None,
    on_busy: OnBusy = None,
    priority: Priority = None,
    start_at: StartAt = None,
    deadline: Deadline = None,
    webhook: WebhookUrl = None,
    wait: Wait = False,
    as_json: Json = False,
) -> None:
    """Start a new run that begins with what an ended one has recorded; what they share costs nothing.

    Examples:
    - `millrace fork 0199f3c2-6a70-7cc4-9d3e-2b8f3c1d5e6f --param question="Which dates are named?" --wait`
    - `millrace fork 0199f3c2-6a70-7cc4-9d3e-2b8f3c1d5e6f --from-step write_report`
    - `millrace fork 0199f3c2-6a70-7cc4-9d3e-2b8f3c1d5e6f --version analysis.report=3 --budget 0.50`
    """
    from deployments.cli.options import run_options
    from deployments.cli.params import read_params

    changed: dict[str, Any] = {"params": read_params(param or [], params_file), "from_step": from_step}
    changed["options"] = run_options(
        concurrency_key=concurrency_key,
        on_busy=on_busy,
        priority=priority,
        start_at=start_at,
        deadline=deadline,
        budget_usd=budget,
        agent_id=agent,
        webhook_url=webhook,
    )

    async def ask(api: "Api") -> "Run":
        versions = [await _version(api, each) for each in version or []]
        return await api.fork(run, {**changed, "versions": dict(versions)}, key)

    _asked(ask, wait=wait, as_json=as_json)


async def _version(api: "Api", told: str) -> tuple[str, str]:
    """Return a program and the id of the version that PROGRAM=VERSION names."""
    from runtime.errors import BadInput

    program, _, version = told.partition("=")
    if version.isdecimal():
        return program, str((await api.get(f"/programs/{program}/versions/{version}"))["id"])
    try:
        return program, str(UUID(version))
    except ValueError:
        raise BadInput(
            f"--version takes PROGRAM=VERSION, a number or an id, not {told!r}.", code="bad_version"
        ) from None


def _asked(
    ask: "Callable[[Api], Awaitable[Run]]",
    *,
    wait: bool,
    as_json: bool,
    good: tuple[str, ...] = ("succeeded",),
) -> None:
    import asyncio

    from deployments.cli.client import Api, api_url
    from deployments.cli.run import show

    async def asked() -> "Run":
        async with Api(api_url()) as api:
            run = await ask(api)
            return await api.finished(run.id) if wait and not run.status.terminal else run

    ended = asyncio.run(asked())
    show(ended, answer_shown=False, as_json=as_json)
    if wait and ended.status not in good:
        raise typer.Exit(1)
