"""Runs that a run starts: each has a row, a worker and a result, and counts in its parent's budget."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel

from contracts.pipelines import Pipeline
from contracts.runs import Origin, Run, RunOptions, RunStatus, Waiting, WaitKind
from database.engine import ReadSession
from database.patience import outlast
from database.queue.family import has_ended
from database.queue.runs import accept_run, get_run
from flows.durable.run import current_run
from runtime.errors import MillraceError


class ChildFailed(MillraceError):
    """A run that this run started did not succeed. `detail` has its id, status and error code."""

    code = "child_failed"


async def start_child(
    pipeline: Pipeline, params: BaseModel, *, key: str, options: RunOptions | None = None
) -> UUID:
    """Start a run under the current one, once: a replay finds the run that it started before.

    Args:
        pipeline: what to run.
        params: its parameters.
        key: names the child among those of this run, the same in every attempt.
        options: as for any run; a `budget_usd` caps the child besides what caps its parent. The
            agent is the parent's where that has one.

    Returns:
        The child's id, for `child_result`.

    Raises:
        Conflict: `key_of_parent`: this run, or one above it, has the key that the child would need, as a chat
            turn has its chat.
    """
    run = current_run()
    child, _created = await run.write(
        accept_run,
        pipeline=pipeline.name,
        pool=pipeline.pool,
        params=params.model_dump(mode="json"),
        owner=run.owner,
        origin=Origin.RUN,
        # A space: no key that comes by HTTP has one.
        idempotency_key=f"child {run.id} {key}",
        options=options,
        parent_id=run.id,
    )
    return child.id


async def child_result(child_id: UUID) -> dict[str, Any]:
    """Return what a child came to. While it is under way the parent waits without a worker.

    Raises:
        Parked: it is under way; its end wakes this run, which then comes here again.
        ChildFailed: it did not succeed.
    """
    run = current_run()

    async def ended(session: ReadSession) -> bool:
        return await has_ended(session, child_id)

    why = Waiting(kind=WaitKind.CHILD, reason=f"Run {child_id} is under way.", about=str(child_id))
    await run.waiting_for(why, ended)

    async def read() -> Run:
        async with run.database.read() as session:
            return await get_run(session, run.owner, child_id)

    child = await outlast(read)
    if child.status is RunStatus.SUCCEEDED:
        return child.result or {}
    reason = child.error.code if child.error else child.status
    raise ChildFailed(
        f"run {child_id}, which this run started, {child.status}: {reason}",
        detail={"run_id": str(child_id), "status": child.status, "code": reason},
    )
