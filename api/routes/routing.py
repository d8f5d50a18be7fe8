"""Who answers a role: what people, experiments and ratings put in place of the file's routing."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from api.bodies import StrictRoute
from api.caller import Caller, DoerNow, needs
from api.openapi import errors
from api.resources import ResourcesNow
from contracts.people import Scope
from contracts.routing import NewOverride, Override, RoleName
from database.gateway import overrides

router = APIRouter(prefix="/routing", tags=["models"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.MODELS_READ)]
Writer = Annotated[Caller, needs(Scope.MODELS_WRITE)]
Role = Annotated[RoleName, Path(examples=["chat"])]


class OverrideList(BaseModel):
    """What holds instead of the file's routing."""

    items: list[Override]
    next_cursor: None = Field(None, description="They come on one page.")


@router.get("", responses=errors("invalid_parameters"))
async def list_overrides(_caller: Reader, resources: ResourcesNow) -> OverrideList:
    """List the roles whose routing is not the file's, with what cannot hold and is ignored."""
    async with resources.database.read() as session:
        return OverrideList(items=await overrides.list_overrides(session))


@router.put(
    "/{role}",
    responses=errors(
        *("unknown_deployment", "malformed_json", "too_large", "unsupported_media_type", "invalid_parameters")
    ),
)
async def override_routing(
    role: Role, body: NewOverride, _caller: Writer, doer: DoerNow, resources: ResourcesNow
) -> Override:
    """Let other deployments answer a role, for all workers within a second; the file stays as it is.

    The file's rules (`when`) still come first. It holds until it is taken back, over restarts as well.
    """
    return await resources.database.write(overrides.set_override, role, body, by=doer)


@router.delete("/{role}", status_code=204, responses=errors("override_not_found", "invalid_parameters"))
async def restore_routing(role: Role, _caller: Writer, doer: DoerNow, resources: ResourcesNow) -> None:
    """Let the file say again who answers a role."""
    await resources.database.write(overrides.end_override, role, by=doer)
