"""Canaries: versions that answer a share of the runs, what was seen of them, and what was decided."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.bodies import StrictRoute
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import ResourcesNow
from api.routes.programs import SENT, Name, Number, Promoter, Reader, Reason
from contracts.canaries import Canary, CanaryPolicy, Look
from contracts.programs import Version
from database.learning import canaries, serving

router = APIRouter(prefix="/programs", tags=["programs"], route_class=StrictRoute)
NONE_EVER = ("unknown_program", "canary_not_found")


class NewCanary(Reason):
    """How much a version answers beside the active one, and when that is over."""

    percent: float = Field(
        gt=0, le=50, allow_inf_nan=False, description="Of a hundred chats, or of runs that belong to none."
    )
    policy: CanaryPolicy | None = Field(
        None, description="When it is promoted, and when rolled back; what it does not say is as usual."
    )


class CanaryPage(BaseModel):
    """Some canaries of a program."""

    items: list[Canary]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


class LookPage(BaseModel):
    """Some looks at a canary."""

    items: list[Look]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


@router.post(
    "/{name}/versions/{version}/canary",
    responses=errors(
        *("unknown_program", "program_version_not_found", "signature_changed", "no_canary"),
        *("experiment_running", *SENT),
    ),
)
async def start_canary(
    name: Name, version: Number, body: NewCanary, caller: Promoter, resources: ResourcesNow
) -> Version:
    """Let a version answer a share of the runs beside the active one; a chat always meets the same side.

    Its failures, feedback, cost and latency are compared with the active version's, and it is promoted or
    rolled back by itself (docs/canary.md). `promote_version` and `rollback_program` do so at once.
    """
    return await resources.database.write(
        serving.start_canary,
        *(caller.owner, name, version),
        percent=body.percent,
        by=caller.actor,
        reason=body.reason,
        policy=body.policy,
    )


@router.get("/{name}/canary", responses=errors(*NONE_EVER, "invalid_parameters"))
async def get_canary(name: Name, caller: Reader, resources: ResourcesNow) -> Canary:
    """Show the newest canary of a program: both versions, each measure with its bounds, decision and why."""
    async with resources.database.read() as session:
        return await canaries.get_canary(session, caller.owner, name)


@router.get("/{name}/canary/looks", responses=errors(*NONE_EVER, "bad_cursor", "invalid_parameters"))
async def list_looks(
    name: Name, caller: Reader, resources: ResourcesNow, cursor: Cursor = None, limit: Limit = 50
) -> LookPage:
    """List what was seen of the newest canary, the last look first."""
    async with resources.database.read() as session:
        page = await canaries.list_looks(session, caller.owner, name, limit=limit, cursor=cursor)
    return LookPage(items=page.items, next_cursor=page.next_cursor)


@router.get("/{name}/canaries", responses=errors("unknown_program", "bad_cursor", "invalid_parameters"))
async def list_canaries(
    name: Name, caller: Reader, resources: ResourcesNow, cursor: Cursor = None, limit: Limit = 50
) -> CanaryPage:
    """List the canaries of a program, newest first, each with its last look."""
    async with resources.database.read() as session:
        page = await canaries.list_canaries(session, caller.owner, name, limit=limit, cursor=cursor)
    return CanaryPage(items=page.items, next_cursor=page.next_cursor)
