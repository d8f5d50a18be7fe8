"""What became of a candidate: what the gate said about it, and whether it answers anything yet."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

import typer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contracts.runs import Run
    from deployments.cli.client import Api


def say_outcome(
    run: "Run", show: "Callable[[dict[str, Any]], None]", *, plot: "Path | None", as_json: bool
) -> None:
    """Print what a run that looked for a better version came to; the command fails where the run did.

    Args:
        run: that has ended.
        show: prints its result.
        plot: where its plot is written to.
        as_json: print the run instead.
    """
    from deployments.cli.console import say
    from deployments.cli.programs import asked

    def show_all(result: dict[str, Any]) -> None:
        show(result)
        for line in asked(lambda api: fate_of(api, result)):
            say(line)

    if plot is not None:
        plot.write_text(asked(lambda api: api.text(f"/runs/{run.id}/plot")), encoding="utf-8")
    say_end(run, show_all, as_json=as_json)


def say_end(run: "Run", show: "Callable[[dict[str, Any]], None]", *, as_json: bool) -> None:
    """Print an ended run's result or why there is none; the command fails where the run did."""
    from deployments.cli.console import say, say_json

    if as_json:
        say_json(run.model_dump(mode="json"))
    elif run.result is not None:
        show(run.result)
    elif run.error:
        say(f"{run.status}: {run.error.message} ({run.error.code})")
    if run.status != "succeeded":
        raise typer.Exit(1)


async def fate_of(api: "Api", result: dict[str, Any]) -> list[str]:
    """Return in lines what became of the version that an optimization found, after the gate has looked at it.

    Args:
        api: to ask.
        result: of the run of `optimize`.
    """
    program, version, base = result["program"], result["version"], result["base_version"]
    if version is None:
        return [f"Nothing was better than version {base}."]
    changed = f"What changed: `millrace programs diff {program} {base} {version}`"
    if result.get("gate_run_id") is None:
        found = await api.get(f"/programs/{program}/versions/{version}")
        promote = f"`millrace programs promote {program} {version}` lets it answer."
        return [f"Version {version} is stored as {found['status']}. {promote}", changed]
    run = await through_the_gate(api, UUID(result["gate_run_id"]))
    return [*await said(api, run, program, version, str(result["recommendation_id"])), changed]


async def through_the_gate(api: "Api", run_id: UUID) -> "Run":
    """Return the gate's run once it has ended or waits, telling meanwhile how far it is."""
    from contracts.runs import EventKind, RunStatus
    from deployments.cli.console import err
    from deployments.cli.telling import Telling

    with Telling(err(), err()) as telling:
        async for event in api.events(run_id):
            telling.tell(event)
            if event.kind is EventKind.STATE and event.data.get("status") == RunStatus.WAITING:
                break
    return await api.run(run_id)


async def said(api: "Api", run: "Run", program: str, version: int, recommendation: str) -> list[str]:
    """Return what the gate's run has come to."""
    from contracts.runs import RunStatus, WaitKind

    show = f"`millrace recommendations show {recommendation}`"
    if run.status is RunStatus.WAITING and run.waiting:
        if run.waiting.kind is not WaitKind.APPROVAL:
            return [f"The gate waits: {run.waiting.reason}"]
        approve = f"`millrace recommendations approve {recommendation}`"
        return [f"The gate recommends version {version} and waits for you: {show}, {approve}"]
    if run.result is None:
        why = f": {run.error.message} ({run.error.code})" if run.error else ""
        return [f"The gate ended as {run.status}{why}; version {version} stays a candidate."]
    serving = await api.get(f"/programs/{program}")
    if run.result["outcome"] == "applied" and serving["canary"] == version:
        share = f"{serving['canary_percent']:g} %"
        watch = f"`millrace programs canary {program}`"
        return [f"Version {version} is the canary and answers {share}: {watch}", f"Why: {show}"]
    reasons = [] if run.result["recommendation_id"] is None else [f"Why: {show}"]
    return [f"Version {version}: {run.result['outcome']}. {run.result['reason']}", *reasons]
