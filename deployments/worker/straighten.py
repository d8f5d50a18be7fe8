"""Bring Prefect in line with the run table, where a process died before it could tell Prefect.

The table is the truth. What a worker tells Prefect at the end of a run gets lost when the worker or
Prefect's server dies at that moment, and Prefect would show the run as under way for ever. And a worker that
was frozen past its lease may say one more thing before it hears that the run is another's, and ended.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Cancelled, Completed, Crashed, Failed, Pending, Scheduled, Suspended

from contracts.pipelines import Pool
from contracts.runs import RunStatus
from database.queue.interrupting import call_off_flow_runs
from database.queue.leases import Shadowed, shadowed_runs
from database.queue.parking import cancel_waiting, waiting_flow_runs
from database.queue.untold import Untold, mark_told, still_untold, untold_changes
from deployments.worker import shadows
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
    client = executions.flow_runs.client
    async with executions.database.read() as session:
        waiting = await waiting_flow_runs(session, pool, shadows.MOST_AT_ONCE)
    await hear_cancelled_waiting(executions, waiting)
    under_way = await shadows.under_way(client, pool)
    await hear_cancelled(executions, under_way)
    shown = [*under_way, *await shadows.set_aside(client, pool, waiting)]
    stale = [each for each in shown if _in_state_for(each, ORPHANED_SECONDS)]
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


async def hear_cancelled_waiting(executions: Executions, waiting: Collection[UUID]) -> None:
    """Cancel the waiting runs that somebody cancelled in Prefect while its events did not reach us."""
    if not waiting:
        return
    cancelled = await shadows.cancelled_of(executions.flow_runs.client, waiting)
    if cancelled:
        await executions.database.write(cancel_waiting, [each.id for each in cancelled])


def fate(flow_run: FlowRun, known: Sequence[Shadowed]) -> State[Any] | None:
    """Return the state that a flow run should have in Prefect; none if it is right, or not ours to say."""
    for run in known:
        if run.flow_run_id == flow_run.id:
            due = due_state(run) if _in_state_for(flow_run, SETTLED_SECONDS) else None
            return None if due is None or _shows(flow_run, due) else due
    if any(run.id == _run_id(flow_run) for run in known):
        # Made for a row whose worker died before it wrote so down: the next attempt finds it by its key.
        return None
    if flow_run.state is not None and flow_run.state.is_pending():
        # From the UI or a schedule, and its worker died before it made the row.
        return Scheduled(message="Its worker went away before it began.")
    return None


def _shows(flow_run: FlowRun, state: State[Any]) -> bool:
    return flow_run.state is not None and flow_run.state.type == state.type


def _in_state_for(flow_run: FlowRun, seconds: float) -> bool:
    since = flow_run.state.timestamp if flow_run.state is not None else None
    return since is not None and utcnow() - since > timedelta(seconds=seconds)


def _run_id(flow_run: FlowRun) -> UUID | None:
    try:
        return UUID(flow_run.idempotency_key or "")
    except ValueError:
        return None
