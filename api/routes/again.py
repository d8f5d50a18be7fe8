"""Ended runs once more: retried where they failed, or forked with changes."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.bodies import StrictRoute
from api.caller import Caller
from api.openapi import errors
from api.resources import ResourcesNow
from api.routes.runs import Writer
from api.trigger import (
    IdempotencyKey,
    Wait,
    checked,
    pipeline_named,
    refuse_telling,
    settled,
    tell_acceptance,
)
from contracts.runs import Run, RunOptions
from database.engine import WriteSession
from database.queue.again import fork_run as fork
from database.queue.again import retry_run as retry
from database.queue.runs import get_run
from database.talk.pins import pin_for_fork

router = APIRouter(prefix="/runs", tags=["runs"], route_class=StrictRoute)

EXAMPLES = {
    "from_step": {
        "summary": "Execute anew from one step on",
        "value": {"from_step": "answer_question"},
    },
    "changed": {
        "summary": "Another question about the same documents",
        "value": {"params": {"question": "Which deadlines are named?"}, "options": {"priority": 2}},
    },
}


class Fork(BaseModel):
    """What is to be different about the new run; everything else is as in the old one."""

    model_config = ConfigDict(extra="forbid")

    from_step: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="The first step to execute anew, by its name in the run's events; `name#2` or `name[key]`"
        " is one use of a step that runs several times. Without it only what has changed is executed anew.",
    )
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters that replace the old ones.")
    versions: dict[str, UUID] = Field(
        default_factory=dict, description="By program, the id of the version that is to answer."
    )
    options: RunOptions = Field(
        default_factory=RunOptions,
        description="The old run's are not taken over, but for its agent in the version that it is bound to."
        " An `agent_id` here stands for that agent's newest version.",
    )


@router.post(
    "/{run_id}/retry",
    status_code=202,
    responses={
        200: {"model": Run, "description": "It has ended again within the wait."},
        **errors("run_not_found", "run_not_ended", "run_succeeded", "invalid_parameters"),
    },
)
async def retry_run(
    run_id: UUID,
    request: Request,
    response: Response,
    caller: Writer,
    resources: ResourcesNow,
    wait: Wait = 0,
) -> Run:
    """Put a failed, cancelled or dead run back into the queue, with its history and fresh attempts.

    Its finished model calls are answered by the ledger, so it goes on where it failed.
    """
    run = await resources.database.write(retry, caller.owner, run_id, grants=caller.grants)
    run = await settled(request, resources, caller, run, wait)
    response.status_code = 200 if run.status.terminal else 202
    return run


@router.post(
    "/{run_id}/fork",
    status_code=202,
    responses={
        200: {"model": Run, "description": "The new run has ended within the wait."},
        **errors(
            "malformed_json",
            "run_not_found",
            "program_version_not_found",
            "agent_not_found",
            "chat_of_other_agent",
            "run_not_ended",
            "idempotency_conflict",
            "key_busy",
            "key_not_free",
            "unknown_step",
            "unknown_program",
            "too_large",
            "unsupported_media_type",
            "invalid_parameters",
        ),
    },
)
async def fork_run(
    run_id: UUID,
    body: Annotated[Fork, Body(openapi_examples=EXAMPLES)],
    request: Request,
    response: Response,
    caller: Writer,
    resources: ResourcesNow,
    idempotency_key: IdempotencyKey = None,
    wait: Wait = 0,
) -> Run:
    """Start a new run that begins with what an ended one has recorded.

    The finished calls of the shared beginning are copied with their answers and cost nothing; from the first
    step on that asks for something else, calls are made anew. `forked_from` names the old run.
    """
    refuse_telling(caller, body.options)
    async with resources.database.read() as session:
        source = await get_run(session, caller.owner, run_id)
    run, created = await resources.database.write(
        _fork,
        caller,
        run_id,
        params=checked(pipeline_named(source.pipeline), {**source.params, **body.params}),
        from_step=body.from_step,
        versions=body.versions,
        options=body.options,
        idempotency_key=idempotency_key,
        started_by=caller.responsible,
        grants=caller.grants,
    )
    run = await settled(request, resources, caller, run, wait)
    tell_acceptance(response, run, created)
    return run


async def _fork(
    session: WriteSession,
    /,
    caller: Caller,
    run_id: UUID,
    *,
    params: dict[str, Any],
    options: RunOptions,
    **how: Any,
) -> tuple[Run, bool]:
    chat_id = UUID(params["chat_id"]) if params.get("chat_id") else None
    agent = await pin_for_fork(session, caller.reader, options.agent_id, run_id, chat_id)
    return await fork(session, caller.owner, run_id, params=params, options=options, agent=agent, **how)
