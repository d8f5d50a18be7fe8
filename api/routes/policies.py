"""What may happen to a program by itself."""

from fastapi import APIRouter

from api.bodies import StrictRoute
from api.caller import DoerNow
from api.openapi import errors
from api.resources import ResourcesNow
from api.routes.programs import SENT, Name, Promoter, Reader
from contracts.people import Role
from contracts.program_policies import ProgramPolicy
from database.learning import policies
from runtime.errors import NotAllowed

router = APIRouter(prefix="/programs", tags=["programs"], route_class=StrictRoute)


@router.get("/{name}/policy", responses=errors("unknown_program", "invalid_parameters"))
async def get_policy(name: Name, caller: Reader, resources: ResourcesNow) -> ProgramPolicy:
    """Show the rules for a program: whether a better candidate begins by itself, asks, or is refused."""
    async with resources.database.read() as session:
        return await policies.get_policy(session, caller.owner, name)


@router.put("/{name}/policy", responses=errors("unknown_program", "no_people", "four_eyes", *SENT))
async def set_policy(
    name: Name, body: ProgramPolicy, caller: Promoter, doer: DoerNow, resources: ResourcesNow
) -> ProgramPolicy:
    """Set the rules for a program. What is left out is as usual.

    `four_eyes` needs a server that knows people. In a project only an administrator turns it off again.
    """
    async with resources.database.read() as session:
        before = await policies.get_policy(session, caller.owner, name)
    if body.four_eyes and not before.four_eyes:
        caller.person()
    administers = caller.role is Role.ADMIN or caller.project_id is None
    if before.four_eyes and not body.four_eyes and not administers:
        raise NotAllowed("Only an administrator turns `four_eyes` off.", "four_eyes")
    return await resources.database.write(policies.set_policy, doer, name, body)
