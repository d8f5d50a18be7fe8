"""Probe: do next to nothing through every part of the system."""

import asyncio

from contracts.pipelines import PROBE
from contracts.probe import ProbeParams, ProbeResult
from flows.durable.pipeline import pipeline
from flows.durable.steps import step, tries
from flows.durable.thinking import thinking
from flows.policies import MODEL_CALL
from modules.echo import echo
from runtime.clock import utcnow
from runtime.errors import Unavailable


@pipeline(PROBE)
async def probe(params: ProbeParams) -> ProbeResult:
    """Run the steps that were asked for, one after the other."""
    first_line_at = utcnow()
    for number in range(1, params.steps + 1):
        await nothing(number, params)
    return ProbeResult(
        first_line_at=first_line_at, steps=params.steps, calls=params.steps * params.calls_per_step
    )


@step(MODEL_CALL, key="number")
async def nothing(number: int, params: ProbeParams) -> None:
    """Make the calls of one step, wait, and fail once if asked."""
    with thinking(params.role):
        for _ in range(params.calls_per_step):
            await echo(f"step {number}")
    await asyncio.sleep(params.step_seconds)
    if params.fail_at == number and tries() == 1:
        raise Unavailable("the probe was asked to fail here once", code="probe_failed")
