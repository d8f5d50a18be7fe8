"""Optimizations: what they would take. They run as the pipeline `optimize`."""

from fastapi import APIRouter

from api.bodies import StrictRoute
from api.openapi import errors
from api.resources import ResourcesNow
from api.routes.programs import SENT, Writer
from contracts.optimization import OptimizationEstimate, OptimizeParams
from database.gateway.estimates import estimated_optimization

router = APIRouter(prefix="/optimizations", tags=["optimizations"], route_class=StrictRoute)


@router.post("/estimate", responses=errors("unknown_program", "too_few_examples", *SENT))
async def estimate_optimization(
    body: OptimizeParams, caller: Writer, resources: ResourcesNow
) -> OptimizationEstimate:
    """Say what an optimization would take, and the least caps for it. It starts nothing.

    Start it with `POST /pipelines/optimize/runs`. By what the roles' calls took lately.
    """
    async with resources.database.read() as session:
        return await estimated_optimization(session, caller.owner, body)
