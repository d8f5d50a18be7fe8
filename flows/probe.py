"""Probe: do next to nothing through every part of the system."""

import asyncio
from datetime import timedelta
from uuid import UUID

from contracts.pipelines import PROBE
from contracts.probe import ProbeParams, ProbeResult
from contracts.runs import EventKind, Waiting, WaitKind
from database.engine import ReadSession
from database.queue.events import events_of_kind
from flows.durable.approvals import approval
from flows.durable.children import child_result, start_child
from flows.durable.pipeline import pipeline
from flows.durable.run import current_run
from flows.durable.steps import step, tries
from flows.durable.thinking import thinking
from flows.durable.tool_calls import tool_call
from flows.policies import MODEL_CALL, STORE
from modules.echo import echo
from runtime.clock import utcnow
from runtime.errors import Unavailable
from tools.lines import append_line


@pipeline(PROBE)
async def probe(params: ProbeParams) -> ProbeResult:
    """Run the steps that were asked for, one after the other, and wait where it was asked for."""
    result = ProbeResult(
        first_line_at=utcnow(), steps=params.steps, calls=params.steps * params.calls_per_step
    )
    for number in range(1, params.steps + 1):
        if params.park_at == number:
            await somebody(number)
        if params.ask_at == number:
            result.approved_by = await permission(number, params)
        if params.touch_at == number:
            result.lines = await touch(number, params)
        await nothing(number, params)
    result.children = [await start(number, params) for number in range(1, params.children + 1)]
    for child in result.children:
        result.calls += ProbeResult.model_validate(await child_result(child)).calls
    return result


async def somebody(number: int) -> None:
    """Wait for somebody to resume the run, once."""
    run = current_run()
    reason = f"Somebody must resume the probe before step {number}"

    async def waited(session: ReadSession) -> bool:
        # By its log and not by its attempt: one that a worker gave back before it began has a number too.
        states = await events_of_kind(session, run.id, EventKind.STATE)
        return any((state.data.get("waiting") or {}).get("reason") == reason for state in states)

    await run.waiting_for(Waiting(kind=WaitKind.PERSON, reason=reason), waited)


async def permission(number: int, params: ProbeParams) -> str | None:
    """Return who approved of a step."""
    patience = None if params.ask_expires_in is None else timedelta(seconds=params.ask_expires_in)
    decision = await approval(
        f"Run step {number} of the probe?", {"step": number, "text": params.text}, expires_in=patience
    )
    return decision.decided_by


@step(MODEL_CALL, key="number")
async def touch(number: int, params: ProbeParams) -> int:
    """Append a line to this run's file, and return how many it has."""
    arguments = {
        "folder": str(current_run().id),
        "line": f"step {number}",
        "seconds_after": params.touch_seconds,
    }
    touched = await tool_call("append_line", arguments, append_line)
    return int(touched["lines"])


@step(STORE, key="number")
async def start(number: int, params: ProbeParams) -> UUID:
    """Start a probe of the same steps."""
    return await start_child(PROBE, params.model_copy(update={"children": 0}), key=str(number))


@step(MODEL_CALL, key="number")
async def nothing(number: int, params: ProbeParams) -> None:
    """Make the calls of one step, wait, and fail once if asked."""
    with thinking(params.role):
        for _ in range(params.calls_per_step):
            await echo(f"{params.text} {number}")
    await asyncio.sleep(params.step_seconds)
    if params.fail_at == number and tries() == 1:
        raise Unavailable("the probe was asked to fail here once", code="probe_failed")
