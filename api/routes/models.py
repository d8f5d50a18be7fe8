"""Models: what they are, what they cost, how they are doing, and switching them on and off."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from api.bodies import StrictRoute
from api.caller import Caller, DoerNow, needs
from api.openapi import errors
from api.resources import ResourcesNow
from contracts.models import Deployment, Model
from contracts.people import Scope
from contracts.routing import Override
from database.gateway.health import list_deployments
from database.gateway.models import list_models, switch_model
from database.gateway.overrides import list_overrides
from database.queue.workers import SEEN_WITHIN_SECONDS, live_workers

router = APIRouter(tags=["models"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.MODELS_READ)]
Writer = Annotated[Caller, needs(Scope.MODELS_WRITE)]
Name = Annotated[str, Path(max_length=64, examples=["gpt"])]


class ModelList(BaseModel):
    """The whole catalogue."""

    items: list[Model]
    next_cursor: None = Field(None, description="The catalogue is one page.")


class DeploymentList(BaseModel):
    """How every model is doing."""

    items: list[Deployment]
    problems: list[str] = Field(
        description="Mistakes of a providers.yaml that was changed; the workers go on with the old one."
    )
    overrides: list[Override] = Field(
        description="Roles whose routing is not the file's, see `PUT /routing/{role}`."
    )
    next_cursor: None = Field(None, description="They come on one page.")


class Switch(BaseModel):
    """Whether a model may be asked."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = Field(examples=[False])


@router.get("/models", responses=errors("invalid_parameters"))
async def read_models(_caller: Reader, resources: ResourcesNow) -> ModelList:
    """List the models of config/providers.yaml with what they take and cost. One without a price says so."""
    async with resources.database.read() as session:
        return ModelList(items=await list_models(session))


@router.patch(
    "/models/{name}",
    responses=errors(
        "malformed_json", "model_not_found", "too_large", "unsupported_media_type", "invalid_parameters"
    ),
)
async def change_model(
    name: Name, body: Switch, _caller: Writer, doer: DoerNow, resources: ResourcesNow
) -> Model:
    """Switch a model on or off, for all workers within a second. It cannot allow what the file does not."""
    return await resources.database.write(switch_model, name, enabled=body.enabled, by=doer)


@router.get("/providers", responses=errors("invalid_parameters"))
async def read_providers(_caller: Reader, resources: ResourcesNow) -> DeploymentList:
    """Tell how each model is doing: rests, errors, latencies, and tokens and money of today."""
    async with resources.database.read() as session:
        found = await list_deployments(session)
        alive = await live_workers(session, SEEN_WITHIN_SECONDS)
        holding = await list_overrides(session)
    told = {str(problem) for worker in alive if (problem := (worker.models or {}).get("problem"))}
    return DeploymentList(items=found, problems=sorted(told), overrides=holding)
