"""Whether this server is alive and of use."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from api.openapi import errors
from api.readiness import Part, Readiness, readiness
from api.resources import ResourcesNow

router = APIRouter(tags=["operations"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


@router.get("/healthz", responses=errors(database=False))
async def healthz() -> Alive:
    """Tell that the process answers; asks nothing else, so that a database outage restarts nobody."""
    return Alive()


@router.get(
    "/readyz",
    responses={
        503: {"model": Readiness, "description": "A needed part is not ok."},
        **errors("invalid_parameters", database=False),
    },
)
async def readyz(
    response: Response,
    resources: ResourcesNow,
    need: Annotated[
        list[Part] | None,
        Query(description="Parts that must be ok besides the database, e.g. `?need=prefect&need=workers`."),
    ] = None,
) -> Readiness:
    """Tell how each part is, with its time: 200 when the needed ones are ok, else 503.

    Only the database is needed by default. While Prefect or the workers are away, runs are still accepted
    and start when they are back; taking this server out of service would refuse them.
    """
    found = await readiness(resources, {Part.DATABASE, *(need or [])})
    response.status_code = 200 if found.ready else 503
    return found
