"""Where answers come from: version, the run that made it, its examples, their feedback."""

from uuid import UUID

from fastapi import APIRouter

from api.bodies import StrictRoute
from api.openapi import errors
from api.resources import ResourcesNow
from api.routes.programs import Name, Number, Reader
from contracts.lineage import RunLineage, VersionLineage
from database.learning.lineage import lineage_of, lineage_of_run
from database.learning.programs import get_version
from database.statements import one_snapshot

router = APIRouter(tags=["programs"], route_class=StrictRoute)


@router.get("/runs/{run_id}/lineage", responses=errors("run_not_found", "invalid_parameters"))
async def get_run_lineage(run_id: UUID, caller: Reader, resources: ResourcesNow) -> RunLineage:
    """Trace an answer: its versions, the runs that made them, their examples, and the feedback behind those.

    The run of a message stands in the message as `run_id`.
    """
    async with resources.database.read() as session:
        await one_snapshot(session)
        return await lineage_of_run(session, caller.owner, run_id)


@router.get(
    "/programs/{name}/versions/{version}/lineage",
    responses=errors("unknown_program", "program_version_not_found", "invalid_parameters"),
)
async def get_version_lineage(
    name: Name, version: Number, caller: Reader, resources: ResourcesNow
) -> VersionLineage:
    """Trace a version: its parents, the run that made it, its examples, and what was recommended about it."""
    async with resources.database.read() as session:
        await one_snapshot(session)
        found = await get_version(session, caller.owner, name, version)
        return await lineage_of(session, caller.owner, found)
