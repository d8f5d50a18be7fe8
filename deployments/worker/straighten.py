"""Bring Prefect in line with the run table, where a process died before it could tell Prefect.

The table is the truth. What a worker tells Prefect at the end of a run gets lost when the worker or
Prefect's server dies at that moment, and Prefect would show the run as under way for ever.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import structlog
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled, Completed, Crashed, Failed, Scheduled

from contracts.pipelines import Pool
from contracts.runs import RunStatus
from database.leases import Shadowed, shadowed_runs
from deployments.worker.executions import Executions
from runtime.clock import utcnow
from runtime.errors import Unavailable

log = structlog.get_logger()

# Younger states may still be on their way: a worker gets a lease's time to tell Prefect itself.
SETTLED_SECONDS = 30.0
MOST_AT_ONCE = 200
UNDER_WAY = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]

# What Prefect is told of a run that has ended in the table.
FATES: dict[RunStatus, Callable[[], State[Any]]] = {
    RunStatus.SUCCEEDED: lambda: Completed(message="Its worker could not tell Prefect in time."),
    RunStatus.FAILED: lambda: Failed(message="Its worker could not tell Prefect in time."),
    RunStatus.CANCELLED: lambda: Cancelled(message="Cancelled on request."),
    RunStatus.DEAD: lambda: Crashed(message="Its workers went away in every attempt."),
}


async def straighten(executions: Executions, pool: Pool) -> None:
    """End the flow runs of runs that have ended, and schedule those again that nobody took.

    Raises:
        Unavailable: Prefect or the database does not answer.
    """
    under_way = await _under_way(executions.flow_runs.client, pool)
    hear_cancelled(executions, under_way)
    stale = [each for each in under_way if _settled(each)]
    if not stale:
        return
    ids, keys = [each.id for each in stale], [_run_id(each) for each in stale]
    async with executions.database.read() as session:
        known = await shadowed_runs(session, ids, [key for key in keys if key is not None])
    for flow_run in stale:
        state = fate(flow_run, known)
        if state is not None:
            log.info("Prefect told late", flow_run_id=str(flow_run.id), state=state.name)
            await executions.flow_runs.force(flow_run.id, state)


def hear_cancelled(executions: Executions, under_way: Sequence[FlowRun]) -> None:
    """Stop what somebody cancelled in Prefect while its events did not reach us."""
    asked = {each.id for each in under_way if each.state is not None and each.state.is_cancelling()}
    for run_id, execution in list(executions.current.items()):
        if execution.flow_run_id in asked:
            executions.stop(run_id, "cancelled")


def fate(flow_run: FlowRun, known: Sequence[Shadowed]) -> State[Any] | None:
    """Return the state that a flow run which is under way in Prefect should have; none if it is right."""
    for run in known:
        if run.flow_run_id == flow_run.id:
            return FATES[run.status]() if run.status in FATES else None
    if any(run.id == _run_id(flow_run) for run in known):
        # Made for a row whose worker died before it wrote so down: the next attempt finds it by its key.
        return None
    if flow_run.state is not None and flow_run.state.is_pending():
        # From the UI or a schedule, and its worker died before it made the row.
        return Scheduled(message="Its worker went away before it began.")
    return None


async def _under_way(client: PrefectClient, pool: Pool) -> list[FlowRun]:
    try:
        return await client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": UNDER_WAY}}}),
            work_pool_filter=WorkPoolFilter.model_validate({"name": {"any_": [pool]}}),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=MOST_AT_ONCE,
        )
    except (httpx.HTTPError, OSError) as cause:
        raise Unavailable("Prefect does not answer", code="prefect_unavailable") from cause


def _settled(flow_run: FlowRun) -> bool:
    since = flow_run.state.timestamp if flow_run.state is not None else None
    return since is not None and utcnow() - since > timedelta(seconds=SETTLED_SECONDS)


def _run_id(flow_run: FlowRun) -> UUID | None:
    try:
        return UUID(flow_run.idempotency_key or "")
    except ValueError:
        return None
