"""Taking work in: parameters checked, one row committed, and perhaps a moment's wait for its result.

The committed row is the whole hand-over. Workers take it from the table, so neither Prefect nor a worker
has to be up for a run to be accepted.
"""

import asyncio
import json
from typing import Annotated, Any

from fastapi import Header, Query, Request, Response
from pydantic import BaseModel, ValidationError

from api.caller import Caller, refuse_without
from api.edge import give_more_time
from api.problems import dotted, explain, invalid
from api.resources import Resources
from contracts.chat import ChatTurnParams
from contracts.people import Scope
from contracts.pipelines import CHAT_TURN, PIPELINES, Pipeline
from contracts.runs import Origin, Run, RunOptions
from database.engine import WriteSession
from database.queue.runs import accept_run, get_run, is_key_known
from database.talk.pins import AgentPin, pin_agent, pin_for_turn
from runtime.errors import BadInput, Conflict, NotFound

# Prefect refuses parameters over 512 KB; the rest is for what a run adds to them.
MAX_PARAMS_BYTES = 400 * 1024
KEY = r"^[\x21-\x7e]{1,255}$"

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=KEY,
        description="Up to 255 visible ASCII characters. The same key and body answer with the same run,"
        " however often they are sent; another body under the key is refused with 409.",
        examples=["order-4711-summary"],
    ),
]
Wait = Annotated[
    float,
    Query(
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="Seconds to wait for the end of the run: 200 when it came in time, else 202. At most 60"
        " unless the server is set otherwise (API_WAIT_MAX_SECONDS).",
    ),
]


def pipeline_named(name: str) -> Pipeline:
    """Return a pipeline of the catalogue; raises NotFound with what there is."""
    try:
        return PIPELINES[name]
    except KeyError:
        known = ", ".join(PIPELINES)
        raise NotFound(f"There is no pipeline of that name; there are {known}.", "unknown_pipeline") from None


def checked(pipeline: Pipeline, sent: dict[str, Any]) -> dict[str, Any]:
    """Return parameters as they are stored: valid, with every default written out, and small enough.

    Raises:
        BadInput: `invalid_parameters` naming each field (unknown ones too), or `too_large`.
    """
    try:
        params = pipeline.params.model_validate(sent)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise invalid([(_field(each["loc"], sent), explain(each)) for each in problems]) from None
    return storable(params)


def storable(params: BaseModel) -> dict[str, Any]:
    """Return parameters as plain JSON; raises BadInput `too_large` above what Prefect takes."""
    stored = params.model_dump(mode="json")
    # Counted as Prefect counts: escaped to ASCII, so one letter outside it takes 6 bytes or 12.
    size = len(json.dumps(stored, separators=(",", ":")))
    if size > MAX_PARAMS_BYTES:
        raise BadInput(
            f"The parameters take {size} bytes as JSON, at most {MAX_PARAMS_BYTES} are possible. Upload the"
            " documents (POST /api/v1/files) and name them by file_id instead.",
            code="too_large",
        )
    return stored


def _field(loc: tuple[int | str, ...], sent: Any) -> str:
    """Write where an error is as the caller sees it: pydantic puts a union's tag into the path."""
    path: list[int | str] = ["params"]
    value, in_union = sent, False
    for number, part in enumerate(loc):
        if not in_union and isinstance(value, dict) and value.get("kind") == part and number + 1 < len(loc):
            in_union = True
            continue
        in_union = False
        path.append(part)
        try:
            value = value[part]
        except (LookupError, TypeError):
            value = None
    return dotted(path)


async def take_in(
    session: WriteSession,
    caller: Caller,
    pipeline: Pipeline,
    params: dict[str, Any],
    *,
    options: RunOptions | None = None,
    key: str | None = None,
    mode_said: bool = True,
) -> tuple[Run, bool]:
    """Accept a run of the caller's, bound to the agent that its chat or its options name.

    Args:
        session: of the transaction.
        caller: who asks, and in whose space.
        pipeline: what to run.
        params: as `checked` or `storable` gives them.
        options: how.
        key: the request's idempotency key.
        mode_said: false where the request leaves the mode of a turn to its agent.

    Raises:
        NotAllowed: `missing_scope`.
        NotFound: `agent_not_found`.
        Conflict: `chat_of_other_agent`; and as `accept_run`, which has the rest.
    """
    options = options or RunOptions()
    refuse_telling(caller, options)
    try:
        agent = await _agent_of(session, caller, pipeline, params, options)
    except (NotFound, Conflict):
        # Repeated after its agent has gone, a request is still the one that was answered then.
        if key is None or not await is_key_known(session, caller.owner, key):
            raise
        agent = None
    asked = None
    if pipeline is CHAT_TURN and not mode_said:
        asked = {**params, "mode": None}
        params = params if agent is None else {**params, "mode": agent.mode.value}
    return await accept_run(
        session,
        pipeline=pipeline.name,
        pool=pipeline.pool,
        params=params,
        owner=caller.owner,
        origin=Origin.API,
        idempotency_key=key,
        options=options,
        started_by=caller.responsible,
        grants=caller.grants,
        agent=agent,
        asked=asked,
    )


def refuse_telling(caller: Caller, options: RunOptions) -> None:
    """Do nothing for a caller who may let servers be told of the ends of runs, or asks for no such thing.

    Raises:
        NotAllowed: `missing_scope`.
    """
    if options.webhook_url is not None:
        refuse_without(caller, Scope.WEBHOOKS_WRITE)


async def _agent_of(
    session: WriteSession, caller: Caller, pipeline: Pipeline, params: dict[str, Any], options: RunOptions
) -> AgentPin | None:
    if pipeline is CHAT_TURN:
        chat_id = ChatTurnParams.model_validate(params).chat_id
        return await pin_for_turn(session, caller.reader, options.agent_id, chat_id)
    return await pin_agent(session, caller.reader, options.agent_id) if options.agent_id else None


async def settled(
    request: Request,
    resources: Resources,
    caller: Caller,
    run: Run,
    seconds: float,
    at_most: float | None = None,
) -> Run:
    """Return the run after its end, or as it is when `seconds` have passed or the client is gone.

    `at_most` bounds the seconds; API_WAIT_MAX_SECONDS when not given.
    """
    seconds = min(seconds, resources.settings.api_wait_max_seconds if at_most is None else at_most)
    if run.status.terminal or seconds <= 0:
        return run
    give_more_time(request.scope, seconds)
    waiting = [
        asyncio.create_task(resources.tail.finished(run.id)),
        asyncio.create_task(_disconnected(request)),
    ]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    async with resources.database.read() as session:
        return await get_run(session, caller.owner, run.id)


def tell_acceptance(response: Response, run: Run, created: bool) -> None:
    """Set the status and the headers of an answer that shows a run which was asked for."""
    response.status_code = 200 if run.status.terminal else 202
    response.headers.update(acceptance_headers(run, created))


def acceptance_headers(run: Run, created: bool) -> dict[str, str]:
    """Return where the run is, and whether an earlier request had started it."""
    replayed = {} if created else {"Idempotent-Replayed": "true"}
    return {"Location": f"/api/v1/runs/{run.id}", **replayed}


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
