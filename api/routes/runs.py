"""What was started: its status, its events, its model calls, and calling it off."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from api.bodies import StrictRoute
from api.caller import CallerNow
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import ResourcesNow
from api.sse import STREAM, After, EventStream, LastEventId, follow
from contracts.runs import Call, Run, RunStatus, RunSummary
from database import calls, runs
from database.events import last_seqs

router = APIRouter(prefix="/runs", tags=["runs"], route_class=StrictRoute)


class RunPage(BaseModel):
    """Some of the caller's runs."""

    items: list[RunSummary]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


class CallList(BaseModel):
    """A run's model calls, in the order of their start."""

    items: list[Call]
    next_cursor: None = Field(None, description="They come on one page.")


@router.get("", responses=errors("bad_cursor", "invalid_parameters"))
async def list_runs(
    caller: CallerNow,
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
async def get_run(run_id: UUID, caller: CallerNow, resources: ResourcesNow) -> Run:
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
    caller: CallerNow,
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


@router.get("/{run_id}/calls", responses=errors("run_not_found", "invalid_parameters"))
async def list_calls(run_id: UUID, caller: CallerNow, resources: ResourcesNow) -> CallList:
    """List the calls that a run's steps made, with tokens, cost and time, but without their words."""
    async with resources.database.read() as session:
        await runs.get_run(session, caller.owner, run_id)
        items = await calls.list_calls(session, caller.owner, run_id)
    return CallList(items=items)


@router.post(
    "/{run_id}/cancel",
    status_code=202,
    responses={
        200: {"model": Run, "description": "No worker had it yet: it is cancelled."},
        **errors("run_not_found", "run_finished", "invalid_parameters"),
    },
)
async def cancel_run(run_id: UUID, response: Response, caller: CallerNow, resources: ResourcesNow) -> Run:
    """Call a run off: at once when no worker has it (200), else its worker stops it within a second (202)."""
    run = await resources.database.write(runs.request_cancel, caller.owner, run_id)
    response.status_code = 200 if run.status.terminal else 202
    return run
