"""What can be run, and starting it."""

from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.bodies import StrictRoute
from api.caller import Caller, needs
from api.openapi import REFERENCE, errors
from api.resources import ResourcesNow
from api.trigger import IdempotencyKey, Wait, checked, pipeline_named, settled, take_in, tell_acceptance
from contracts.people import Scope
from contracts.pipelines import PIPELINES, Pipeline, Pool
from contracts.runs import Run, RunOptions

router = APIRouter(prefix="/pipelines", tags=["pipelines"], route_class=StrictRoute)

Writer = Annotated[Caller, needs(Scope.RUNS_WRITE)]

EXAMPLES = {
    "analysis": {
        "summary": "analysis: documents in, one report out",
        "value": {
            "params": {
                "question": "Which promises do these documents make, and what proves each?",
                "sources": [{"kind": "text", "name": "offer.txt", "text": "We deliver within three days."}],
            }
        },
    },
    "chat_turn": {
        "summary": "chat_turn: one message in a new chat",
        "value": {"params": {"message": "What does the warm worker do?", "mode": "careful"}},
    },
}


class PipelineInfo(BaseModel):
    """One pipeline, with the JSON Schemas of what it takes and gives."""

    name: str
    title: str
    description: str
    pool: Pool
    params_schema: dict[str, Any]
    result_schema: dict[str, Any]


class PipelineList(BaseModel):
    """The whole catalogue."""

    items: list[PipelineInfo]
    next_cursor: None = Field(None, description="The catalogue is one page.")


class NewRun(BaseModel):
    """What to start."""

    model_config = ConfigDict(extra="forbid")

    params: dict[str, Any] = Field(
        default_factory=dict,
        description="As the pipeline's `params_schema` says.",
        json_schema_extra={
            "anyOf": [{"$ref": REFERENCE.format(model=each.params.__name__)} for each in PIPELINES.values()]
        },
    )
    options: RunOptions = Field(
        default_factory=RunOptions, description="When, how urgently, one per what, and for how much."
    )


@router.get("", responses=errors("invalid_parameters"), dependencies=[needs(Scope.RUNS_READ)])
async def list_pipelines() -> PipelineList:
    """Tell what can be run, with the JSON Schemas of parameters and results."""
    return _catalogue()


@router.post(
    "/{name}/runs",
    status_code=202,
    responses={
        200: {"model": Run, "description": "The run has ended: succeeded, failed, cancelled or dead."},
        **errors(
            "malformed_json",
            "unknown_pipeline",
            "agent_not_found",
            "chat_of_other_agent",
            "idempotency_conflict",
            "key_busy",
            "key_not_free",
            "too_large",
            "unsupported_media_type",
            "invalid_parameters",
        ),
    },
)
async def trigger_run(
    name: Annotated[str, Path(examples=["analysis"])],
    body: Annotated[NewRun, Body(openapi_examples=EXAMPLES)],
    request: Request,
    response: Response,
    caller: Writer,
    resources: ResourcesNow,
    idempotency_key: IdempotencyKey = None,
    wait: Wait = 0,
) -> Run:
    """Start a run; it is committed when this answers, whatever happens to any process.

    With `wait` the answer is the ended run when that came in time (200: look at its `status`), else the
    run as it is then (202). `Location` is the run's address.
    """
    pipeline = pipeline_named(name)
    params = checked(pipeline, body.params)
    run, created = await resources.database.write(
        take_in,
        caller,
        pipeline,
        params,
        options=body.options,
        key=idempotency_key,
        mode_said="mode" in body.params,
    )
    run = await settled(request, resources, caller, run, wait)
    tell_acceptance(response, run, created)
    return run


@cache
def _catalogue() -> PipelineList:
    return PipelineList(items=[_describe(pipeline) for pipeline in PIPELINES.values()])


def _describe(pipeline: Pipeline) -> PipelineInfo:
    return PipelineInfo(
        name=pipeline.name,
        title=pipeline.title,
        description=pipeline.description,
        pool=pipeline.pool,
        params_schema=pipeline.params.model_json_schema(),
        result_schema=pipeline.result.model_json_schema(mode="serialization"),
    )
