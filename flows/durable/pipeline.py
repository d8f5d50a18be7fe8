"""A pipeline: a Prefect flow whose run has one row, one result and one terminal state."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog
from prefect import Flow, flow
from prefect.client.schemas.objects import State
from prefect.exceptions import Abort
from prefect.states import Cancelled, Failed
from pydantic import BaseModel

from contracts.pipelines import Pipeline
from contracts.runs import RunStatus
from database.errors import Fenced
from flows.durable.run import Run, current_run, overdue
from llm.errors import translate
from llm.stopping import RunStopped

Params = TypeVar("Params", bound=BaseModel)
Result = TypeVar("Result", bound=BaseModel)

log = structlog.get_logger()

# What Prefect is told of a run that was cancelled; the Cancelled of a person says nothing, or something else.
CANCELLED_BY_US = "Cancelled on request."


def pipeline(
    spec: Pipeline,
) -> Callable[[Callable[[Params], Coroutine[Any, Any, Result]]], Flow[[Params], Any]]:
    """Make an async function the flow of `spec`; its parameters are one typed model.

    The row's terminal state is written before Prefect's: a process killed between the two leaves a
    finished run, and never a finished flow run whose result is lost.
    """

    def decorate(function: Callable[[Params], Coroutine[Any, Any, Result]]) -> Flow[[Params], Any]:
        @functools.wraps(function)
        async def recorded(params: Params) -> Result | State[Any]:
            try:
                return await _record(spec, function, params)
            except Fenced:
                # Another worker has this run now: leave its row and its Prefect state alone.
                raise Abort("the lease was lost") from None

        return flow(name=spec.name, description=spec.description, persist_result=False)(recorded)

    return decorate


async def _record(
    spec: Pipeline, function: Callable[[Params], Coroutine[Any, Any, Result]], params: Params
) -> Result | State[Any]:
    run = current_run()
    try:
        return await _to_its_end(run, spec, function, params)
    except (asyncio.CancelledError, RunStopped):
        if not run.called_off and not run.lease_lost:
            raise asyncio.CancelledError from None
        # Not raised any further: Prefect records a cancellation that it sees as a crash.
        if current := asyncio.current_task():
            current.uncancel()
        if run.lease_lost:
            raise Fenced(f"attempt {run.attempt} of run {run.id} is over") from None
        if run.called_off == "overdue":
            await run.end(RunStatus.FAILED, error=overdue())
            return Failed(message=overdue().message)
        await run.end(RunStatus.CANCELLED)
        return Cancelled(message=CANCELLED_BY_US)


async def _to_its_end(
    run: Run, spec: Pipeline, function: Callable[[Params], Coroutine[Any, Any, Result]], params: Params
) -> Result:
    await run.begin()
    try:
        # What runs one at a time meets one side of a canary: the turns of a chat.
        subject = spec.key_of(params.model_dump(mode="json"), run.id) or str(run.id)
        programs = spec.programs_of(params)
        run.arms = await run.versions.experiments.pin(run, spec, programs, subject)
        run.programs = await run.versions.pin(run, programs, subject)
        result = await function(params)
        await run.go_on()
        await run.end(RunStatus.SUCCEEDED, result=result.model_dump(mode="json"))
    except Fenced:
        raise
    except (Exception, BaseExceptionGroup) as cause:
        await run.go_on()
        if not isinstance(cause, Exception):
            raise
        error = translate(cause)
        log.warning("run failed", code=error.code)
        await run.end(RunStatus.FAILED, error=error)
        if error is cause:
            raise
        raise error from cause
    return result
