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
from prefect.states import Cancelled, Completed, Crashed, Failed, Pending, Scheduled, Suspended

from contracts.pipelines import Pool
from contracts.runs import RunStatus
from database.queue.interrupting import call_off_flow_runs
from database.queue.leases import Shadowed, shadowed_runs
from database.queue.parking import cancel_waiting, waiting_flow_runs
from database.queue.untold import Untold, mark_told, still_untold, untold_changes
from deployments.worker.executions import Executions
from deployments.worker.flow_runs import REFUSED
from flows.durable.pipeline import CANCELLED_BY_US
from runtime.clock import utcnow
from runtime.errors import Unavailable

log = structlog.get_logger()

# Younger states may still be on their way: a worker gets a lease's time to tell Prefect itself.
SETTLED_SECONDS = 30.0
# A flow run of the UI gets its row within milliseconds of being pending. When its worker is only slow, the
# next one finds the row that the slow one made, or makes it: one of them has the run, by one key.
ORPHANED_SECONDS = 8.0
MOST_AT_ONCE = 200
UNDER_WAY = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]

# What Prefect is told of a run that has ended in the table.
FATES: dict[RunStatus, Callable[[], State[Any]]] = {
    RunStatus.SUCCEEDED: lambda: Completed(message="Its worker could not tell Prefect in time."),
    RunStatus.FAILED: lambda: Failed(message="It failed; the run has its error."),
    RunStatus.CANCELLED: lambda: Cancelled(message=CANCELLED_BY_US),
    RunStatus.DEAD: lambda: Crashed(message="Its workers went away in every attempt."),
}


def due_state(run: Shadowed | Untold) -> State[Any] | None:
    """Return what Prefect should say of a run that no worker has; none of one that is queued or executed."""
    if run.waiting is not None:
        return Suspended(message=run.waiting.reason)
    if isinstance(run, Untold) and run.in_line_for is not None:
        return Pending(message=f"Waits for {run.in_line_for}: another run has it.")
    return FATES[run.status]() if run.status in FATES else None


async def tell_changes(executions: Executions) -> None:
    """Tell Prefect of the changes that no worker made, oldest first.

    Raises:
        Unavailable: Prefect or the database does not answer; the rest waits for the next time.
    """
    async with executions.database.read() as session:
        changes = await untold_changes(session)
    for change in changes:
        state = due_state(change)
        if state is not None:
            # Those before it took their time: a run that was retried meanwhile may be running by now.
            async with executions.database.read() as session:
                if not await still_untold(session, change):
                    continue
            await _tell(executions, change.flow_run_id, state)
        await executions.database.write(mark_told, change)


async def straighten(executions: Executions, pool: Pool) -> None:
    """End the flow runs of runs that have ended, and schedule those again that nobody took.

    Raises:
        Unavailable: Prefect or the database does not answer.
    """
    await hear_cancelled_waiting(executions, pool)
    under_way = await _under_way(executions.flow_runs.client, pool)
    await hear_cancelled(executions, under_way)
    stale = [each for each in under_way if _in_state_for(each, ORPHANED_SECONDS)]
    if not stale:
        return
    ids, keys = [each.id for each in stale], [_run_id(each) for each in stale]
    async with executions.database.read() as session:
        known = await shadowed_runs(session, ids, [key for key in keys if key is not None])
    for flow_run in stale:
        state = fate(flow_run, known)
        if state is not None:
            log.info("Prefect told late", flow_run_id=str(flow_run.id), state=state.name)
            await _tell(executions, flow_run.id, state)


async def _tell(executions: Executions, flow_run_id: UUID, state: State[Any]) -> None:
    """Set a flow run's state; one that Prefect refuses must not keep it from hearing of all others.

    Raises:
        Unavailable: Prefect does not answer.
    """
    try:
        await executions.flow_runs.force(flow_run_id, state)
    except Unavailable as error:
        if error.code != REFUSED:
            raise
        log.warning("Prefect refused a change", flow_run_id=str(flow_run_id), state=state.name)


async def hear_cancelled(executions: Executions, under_way: Sequence[FlowRun]) -> None:
    """Stop what somebody cancelled in Prefect while its events did not reach us, or no worker had it."""
    asked = {each.id for each in under_way if each.state is not None and each.state.is_cancelling()}
    for run_id, execution in list(executions.current.items()):
        if execution.flow_run_id in asked:
            executions.stop(run_id, "cancelled")
    if asked:
        await executions.database.write(call_off_flow_runs, asked)


async def hear_cancelled_waiting(executions: Executions, pool: Pool) -> None:
    """Cancel the waiting runs that somebody cancelled in Prefect while its events did not reach us."""
    async with executions.database.read() as session:
        waiting = await waiting_flow_runs(session, pool, MOST_AT_ONCE)
    if not waiting:
        return
    state = {
        "state": {"type": {"any_": [StateType.CANCELLING, StateType.CANCELLED]}},
        "id": {"any_": waiting},
    }
    cancelled = await _read(executions.flow_runs.client, FlowRunFilter.model_validate(state))
    if cancelled:
        await executions.database.write(cancel_waiting, [each.id for each in cancelled])


def fate(flow_run: FlowRun, known: Sequence[Shadowed]) -> State[Any] | None:
    """Return the state that a flow run which is under way in Prefect should have; none if it is right."""
    for run in known:
        if run.flow_run_id == flow_run.id:
            return due_state(run) if _in_state_for(flow_run, SETTLED_SECONDS) else None
    if any(run.id == _run_id(flow_run) for run in known):
        # Made for a row whose worker died before it wrote so down: the next attempt finds it by its key.
        return None
    if flow_run.state is not None and flow_run.state.is_pending():
        # From the UI or a schedule, and its worker died before it made the row.
        return Scheduled(message="Its worker went away before it began.")
    return None


async def _under_way(client: PrefectClient, pool: Pool) -> list[FlowRun]:
    state = FlowRunFilter.model_validate({"state": {"type": {"any_": UNDER_WAY}}})
    return await _read(client, state, WorkPoolFilter.model_validate({"name": {"any_": [pool]}}))


async def _read(
    client: PrefectClient, flow_runs: FlowRunFilter, pools: WorkPoolFilter | None = None
) -> list[FlowRun]:
    try:
        return await client.read_flow_runs(
            flow_run_filter=flow_runs,
            work_pool_filter=pools,
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=MOST_AT_ONCE,
        )
    except (httpx.HTTPError, OSError) as cause:
        raise Unavailable("Prefect does not answer", code="prefect_unavailable") from cause


def _in_state_for(flow_run: FlowRun, seconds: float) -> bool:
    since = flow_run.state.timestamp if flow_run.state is not None else None
    return since is not None and utcnow() - since > timedelta(seconds=seconds)


def _run_id(flow_run: FlowRun) -> UUID | None:
    try:
        return UUID(flow_run.idempotency_key or "")
    except ValueError:
        return None
