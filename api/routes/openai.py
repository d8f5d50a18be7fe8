"""`/v1/models` and `/v1/chat/completions`: for chat clients and SDKs that speak OpenAI's API."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api.bodies import StrictRoute
from api.caller import Caller, needs
from api.openai.agents import agent_models, described, model_named
from api.openai.answers import failure, streamed, whole
from api.openai.names import NAMES
from api.openai.shapes import ChatRequest
from api.openapi import errors
from api.problems import problem_response
from api.resources import ResourcesNow
from api.sse import EventStream
from api.trigger import IdempotencyKey, acceptance_headers, checked, settled, take_in
from contracts.people import Scope
from contracts.runs import RunStatus

router = APIRouter(prefix="/v1", tags=["openai"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.MODELS_READ)]
User = Annotated[Caller, needs(Scope.MODELS_USE)]

# The run has ended, for a reason that may be gone.
WORTH_AGAIN = frozenset({"answer_limited", "unavailable"})
SINCE = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())


@router.get("/models", responses=errors("invalid_parameters"))
async def list_model_names(caller: Reader, resources: ResourcesNow) -> dict[str, Any]:
    """List the names that a request may give as its model: roles, pipelines, and the caller's agents."""
    async with resources.database.read() as session:
        mine = await agent_models(session, caller.reader)
    return {"object": "list", "data": [*(_described(name) for name in NAMES), *mine]}


@router.get("/models/{name}", responses=errors("model_not_found", "agent_ambiguous", "invalid_parameters"))
async def get_model_name(name: str, caller: Reader, resources: ResourcesNow) -> dict[str, Any]:
    """Describe one name."""
    async with resources.database.read() as session:
        model = await model_named(session, caller.reader, name)
    return described(name, model.agent) if model.agent else _described(name)


@router.post(
    "/chat/completions",
    response_model=None,
    responses={
        200: {
            "description": "A `chat.completion`; or, with `stream`, its chunks and `[DONE]`.",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "text/event-stream": {"schema": {"type": "string"}},
            },
        },
        **errors(
            *("malformed_json", "model_not_found", "agent_not_found", "chat_of_other_agent"),
            "agent_ambiguous",
            *("idempotency_conflict", "too_large"),
            *("unsupported_media_type", "invalid_parameters", "answer_refused", "answer_limited"),
            *("answer_failed", "answer_late"),
        ),
    },
)
async def complete_chat(
    body: ChatRequest,
    request: Request,
    caller: User,
    resources: ResourcesNow,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Answer a chat; the run behind it goes on when the client goes away."""
    async with resources.database.read() as session:
        model = await model_named(session, caller.reader, body.model)
    name, sent = model.name, model.name.params(body)
    run, created = await resources.database.write(
        take_in,
        caller,
        name.pipeline,
        checked(name.pipeline, sent),
        options=model.options,
        key=idempotency_key,
        mode_said="mode" in sent,
    )
    headers = {**acceptance_headers(run, created), "Millrace-Run": str(run.id)}
    if idempotency_key is None:
        # The official client repeats 409, 429 and 5xx by itself: from here on that would be a second run.
        headers["X-Should-Retry"] = "false"
    # Also in the answers that others give in this one's place: no database, no time.
    request.state.headers = {**getattr(request.state, "headers", {}), **headers}
    if body.stream:
        return EventStream(streamed(resources, caller, run, body, name), headers)
    wait = resources.settings.api_completion_seconds
    run = await settled(request, resources, caller, run, wait, at_most=wait)
    if run.status is not RunStatus.SUCCEEDED:
        why = failure(run)
        again = {"X-Should-Retry": "true"} if why.code in WORTH_AGAIN else {}
        return problem_response(
            request.scope, why.code, why.message, headers={**headers, **again}, told=why.told
        )
    return JSONResponse(await whole(resources, caller, run, body, name), headers=headers)


def _described(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": SINCE, "owned_by": "millrace"}
