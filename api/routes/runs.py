"""What was started: its status, its events, its model calls, and calling it off."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from api.bodies import StrictRoute
from api.caller import Caller, needs
from api.frontier_plot import frontier_svg
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.plot import trials_svg
from api.resources import ResourcesNow
from api.sse import STREAM, After, EventStream, LastEventId, follow
from contracts.people import Scope
from contracts.pipelines import RECOMPILE
from contracts.programs import ProgramUse
from contracts.receipts import Receipt
from contracts.recompile import RecompileResult
from contracts.runs import Call, EventKind, Run, RunStatus, RunSummary
from contracts.webhooks import Webhook
from database.journal import calls
from database.journal.receipts import receipt_of
from database.learning.serving import programs_of
from database.queue import parking, runs
from database.queue.events import events_of_kind, last_seqs
from database.queue.webhooks import webhook_of

router = APIRouter(prefix="/runs", tags=["runs"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.RUNS_READ)]
Told = Annotated[Caller, needs(Scope.WEBHOOKS_READ)]
Writer = Annotated[Caller, needs(Scope.RUNS_WRITE)]


class RunPage(BaseModel):
    """Some of the caller's runs."""

    items: list[RunSummary]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


class CallPage(BaseModel):
    """Some of a run's model calls, in the order of their first start."""

    items: list[Call]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


class ProgramUseList(BaseModel):
    """Which versions of programs a run answers with."""

    items: list[ProgramUse]
    next_cursor: None = Field(None, description="They come on one page.")


@router.get("", responses=errors("bad_cursor", "invalid_parameters"))
async def list_runs(
    caller: Reader,
    resources: ResourcesNow,
    status: RunStatus | None = None,
    pipeline: Annotated[str | None, Query(max_length=64)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> RunPage:
    """List runs, newest first."""
    async with resources.database.read() as session:
        page = await runs.list_runs(
            session, caller.owner, limit=limit, cursor=cursor, status=status, pipeline=pipeline
        )
    return RunPage(items=page.items, next_cursor=page.next_cursor)


@router.get("/{run_id}", responses=errors("run_not_found", "invalid_parameters"))
async def get_run(run_id: UUID, caller: Reader, resources: ResourcesNow) -> Run:
    """Show a run with its parameters and, after its end, its result or its error."""
    async with resources.database.read() as session:
        return await runs.get_run(session, caller.owner, run_id)


@router.get(
    "/{run_id}/events",
    response_class=StreamingResponse,
    responses={
        **STREAM,
        204: {"description": "The run has ended and you have all of its events; do not reconnect."},
        **errors("run_not_found", "invalid_parameters"),
    },
)
async def stream_events(
    run_id: UUID,
    caller: Reader,
    resources: ResourcesNow,
    after: After = 0,
    last_event_id: LastEventId = None,
) -> Response:
    """Follow a run's log as server-sent events, from its beginning or from the last event that you have.

    The stream ends with the run. `event` is the kind, `id` the number in the log, `data` an `Event`.
    """
    place = after if last_event_id is None else last_event_id
    async with resources.database.read() as session:
        run = await runs.get_run(session, caller.owner, run_id)
        last, _ = (await last_seqs(session, [run_id])).get(run_id, (0, run.status))
    if run.status.terminal and place >= last:
        return Response(status_code=204)
    return EventStream(follow(resources, run_id, place))


@router.get("/{run_id}/calls", responses=errors("run_not_found", "bad_cursor", "invalid_parameters"))
async def list_calls(
    run_id: UUID, caller: Reader, resources: ResourcesNow, cursor: Cursor = None, limit: Limit = 50
) -> CallPage:
    """List the calls that a run's steps made, with tokens, cost and time, but without their words."""
    async with resources.database.read() as session:
        await runs.get_run(session, caller.owner, run_id)
        page = await calls.list_calls(session, caller.owner, run_id, limit=limit, cursor=cursor)
    return CallPage(items=page.items, next_cursor=page.next_cursor)


@router.get("/{run_id}/receipt", responses=errors("run_not_found", "invalid_parameters"))
async def get_receipt(run_id: UUID, caller: Reader, resources: ResourcesNow) -> Receipt:
    """Sum up a run: its attempts, what it paid, what replays saved, and what may have been lost in flight.

    All numbers are the ledger's, as of one moment. They are final once the run has ended.
    """
    async with resources.database.read() as session:
        return await receipt_of(session, caller.owner, run_id)


@router.get(
    "/{run_id}/plot",
    response_class=Response,
    responses={
        200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}, "description": "A picture."},
        **errors("run_not_found", "invalid_parameters"),
    },
)
async def plot_run(run_id: UUID, caller: Reader, resources: ResourcesNow) -> Response:
    """Draw an optimization's trials and scores by model calls, or a recompile's frontier by cost."""
    async with resources.database.read() as session:
        run = await runs.get_run(session, caller.owner, run_id)
        found = await events_of_kind(session, run_id, EventKind.TRIAL, EventKind.SCORE)
    title = f"{run.params.get('program', run.pipeline)}: {run.status}"
    drawn = trials_svg(title, found)
    if run.pipeline == RECOMPILE.name and run.result is not None:
        drawn = frontier_svg(title, RecompileResult.model_validate(run.result).points)
    # An SVG can hold scripts; this one holds none, and no browser shall look for any.
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Response(drawn, media_type="image/svg+xml", headers=headers)


@router.get("/{run_id}/programs", responses=errors("run_not_found", "invalid_parameters"))
async def list_run_programs(run_id: UUID, caller: Reader, resources: ResourcesNow) -> ProgramUseList:
    """List the versions of programs that a run answers with: those of its first attempt, in all of them."""
    async with resources.database.read() as session:
        await runs.get_run(session, caller.owner, run_id)
        items = await programs_of(session, caller.owner, run_id)
    return ProgramUseList(items=items)


@router.post(
    "/{run_id}/cancel",
    status_code=202,
    responses={
        200: {"model": Run, "description": "No worker had it yet: it is cancelled."},
        **errors("run_not_found", "run_finished", "invalid_parameters"),
    },
)
async def cancel_run(run_id: UUID, response: Response, caller: Writer, resources: ResourcesNow) -> Run:
    """Call a run off: at once when no worker has it (200), else its worker stops it within a second (202)."""
    run = await resources.database.write(runs.request_cancel, caller.owner, run_id)
    response.status_code = 200 if run.status.terminal else 202
    return run


@router.post(
    "/{run_id}/resume",
    status_code=202,
    responses=errors("run_not_found", "not_waiting", "invalid_parameters"),
)
async def resume_run(run_id: UUID, caller: Writer, resources: ResourcesNow) -> Run:
    """Let a waiting run go on now. It parks again when what it waits for has not come."""
    return await resources.database.write(parking.resume_run, caller.owner, run_id)


@router.get("/{run_id}/webhook", responses=errors("run_not_found", "webhook_not_found", "invalid_parameters"))
async def get_webhook(run_id: UUID, caller: Told, resources: ResourcesNow) -> Webhook:
    """Show the last message about the end of a run, with every try to deliver it."""
    async with resources.database.read() as session:
        await runs.get_run(session, caller.owner, run_id)
        return await webhook_of(session, caller.owner, run_id)
