"""A pipeline: a Prefect flow whose run has one row, one result and one terminal state."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog
from prefect import Flow, flow
from prefect.client.schemas.objects import State
from prefect.exceptions import Abort
from prefect.states import Cancelled
from pydantic import BaseModel

from contracts.pipelines import Pipeline
from contracts.runs import RunStatus
from database.errors import Fenced
from flows.durable.run import current_run
from llm.errors import translate

Params = TypeVar("Params", bound=BaseModel)
Result = TypeVar("Result", bound=BaseModel)

log = structlog.get_logger()


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
                return await _record(function, params)
            except Fenced:
                # Another worker has this run now: leave its row and its Prefect state alone.
                raise Abort("the lease was lost") from None

        return flow(name=spec.name, description=spec.description, persist_result=False)(recorded)

    return decorate


async def _record(
    function: Callable[[Params], Coroutine[Any, Any, Result]], params: Params
) -> Result | State[Any]:
    run = current_run()
    await run.begin()
    try:
        result = await function(params)
        await run.end(RunStatus.SUCCEEDED, result=result.model_dump(mode="json"))
    except asyncio.CancelledError:
        if not run.cancel_asked and not run.lease_lost:
            raise
        # Not raised any further: Prefect records a cancellation that it sees as a crash.
        if current := asyncio.current_task():
            current.uncancel()
        if run.lease_lost:
            raise Fenced(f"attempt {run.attempt} of run {run.id} is over") from None
        await run.end(RunStatus.CANCELLED)
        return Cancelled(message="Cancelled on request.")
    except Fenced:
        raise
    except Exception as cause:
        error = translate(cause)
        log.warning("run failed", code=error.code)
        await run.end(RunStatus.FAILED, error=error)
        if error is cause:
            raise
        raise error from cause
    return result
