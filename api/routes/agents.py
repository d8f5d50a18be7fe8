"""Agents: instructions under a name. They answer in chats, at /v1 by their names, and here."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.bodies import StrictRoute
from api.caller import Caller, DoerNow, needs
from api.openai.agents import refuse_reserved
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import ResourcesNow
from api.trigger import IdempotencyKey, Wait, settled, storable, take_in, tell_acceptance
from contracts.agents import Agent, AgentChange, AgentVersion, NewAgent
from contracts.chat import MAX_MESSAGE_CHARS, ChatMode, ChatTurnParams
from contracts.people import Scope
from contracts.pipelines import CHAT_TURN
from contracts.runs import Run, RunOptions
from database.engine import WriteSession
from database.talk import agents, chats
from runtime.errors import Conflict

router = APIRouter(prefix="/agents", tags=["agents"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.AGENTS_READ)]
Writer = Annotated[Caller, needs(Scope.AGENTS_WRITE)]
Starter = Annotated[Caller, needs(Scope.RUNS_WRITE)]
BODY = ("malformed_json", "too_large", "unsupported_media_type", "invalid_parameters")
EXAMPLES = {
    "clerk": {
        "summary": "An agent for contracts",
        "value": {
            "name": "contract-clerk",
            "instructions": "You answer questions about our contracts, in plain words, and name the clause.",
            "mode": "careful",
        },
    }
}


class AgentPage(BaseModel):
    """Some of the caller's agents."""

    items: list[Agent]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


class AgentVersionPage(BaseModel):
    """Some of an agent's versions."""

    items: list[AgentVersion]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


class AgentMessage(BaseModel):
    """What to say to an agent."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(min_length=1, max_length=MAX_MESSAGE_CHARS, description="What the person says.")
    chat_id: UUID | None = Field(
        None, description="A chat of this agent, or of none, to go on with; without, a new one of this agent."
    )
    mode: ChatMode | None = Field(None, description="Left out: the agent's own.")
    context: str = Field(
        "", max_length=MAX_MESSAGE_CHARS, description="Material that the answer should rest on."
    )
    options: RunOptions = Field(default_factory=RunOptions, description="Of the run.")


@router.post("", status_code=201, responses=errors("agent_name_taken", *BODY))
async def create_agent(
    body: Annotated[NewAgent, Body(openapi_examples=EXAMPLES)],
    response: Response,
    _caller: Writer,
    resources: ResourcesNow,
    by: DoerNow,
) -> Agent:
    """Make an agent."""
    refuse_reserved(body.name)
    agent = await resources.database.write(agents.create_agent, by, body)
    response.headers["Location"] = f"/api/v1/agents/{agent.id}"
    return agent


@router.get("", responses=errors("bad_cursor", "invalid_parameters"))
async def list_agents(
    caller: Reader,
    resources: ResourcesNow,
    shared: Annotated[
        bool, Query(description="Those that others have shared with you in this project, instead of its own.")
    ] = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AgentPage:
    """List agents, newest first."""
    async with resources.database.read() as session:
        page = await agents.list_agents(session, caller.reader, shared=shared, limit=limit, cursor=cursor)
    return AgentPage(items=page.items, next_cursor=page.next_cursor)


@router.get("/{agent_id}", responses=errors("agent_not_found", "invalid_parameters"))
async def get_agent(agent_id: UUID, caller: Reader, resources: ResourcesNow) -> Agent:
    """Show an agent as it answers now."""
    async with resources.database.read() as session:
        return await agents.get_agent(session, caller.reader, agent_id)


@router.patch(
    "/{agent_id}", responses=errors("agent_not_found", "agent_read_only", "agent_name_taken", *BODY)
)
async def change_agent(
    agent_id: UUID, body: AgentChange, caller: Writer, resources: ResourcesNow, by: DoerNow
) -> Agent:
    """Change an agent. Other instructions or another mode are its next version.

    Runs that were accepted before keep the version that they are bound to, in all of their attempts.
    """
    refuse_reserved(body.name)
    return await resources.database.write(agents.change_agent, by, caller.reader, agent_id, body)


@router.delete("/{agent_id}", status_code=204, responses=errors("agent_not_found", "invalid_parameters"))
async def delete_agent(agent_id: UUID, _caller: Writer, resources: ResourcesNow, by: DoerNow) -> None:
    """Put an agent away: nobody can use it any more, and its name is free. Its chats and runs stay."""
    await resources.database.write(agents.delete_agent, by, agent_id)


@router.get("/{agent_id}/versions", responses=errors("agent_not_found", "bad_cursor", "invalid_parameters"))
async def list_agent_versions(
    agent_id: UUID, caller: Reader, resources: ResourcesNow, cursor: Cursor = None, limit: Limit = 50
) -> AgentVersionPage:
    """List what an agent has said of itself, newest first."""
    async with resources.database.read() as session:
        page = await agents.list_versions(session, caller.reader, agent_id, limit=limit, cursor=cursor)
    return AgentVersionPage(items=page.items, next_cursor=page.next_cursor)


@router.post(
    "/{agent_id}/runs",
    status_code=202,
    responses={
        200: {"model": Run, "description": "The run has ended: succeeded, failed, cancelled or dead."},
        **errors(
            *("agent_not_found", "chat_not_found", "chat_of_other_agent", "idempotency_conflict"),
            *("key_busy", "key_not_free", *BODY),
        ),
    },
)
async def run_agent(
    agent_id: UUID,
    body: AgentMessage,
    request: Request,
    response: Response,
    caller: Starter,
    resources: ResourcesNow,
    idempotency_key: IdempotencyKey = None,
    wait: Wait = 0,
) -> Run:
    """Say something to an agent: a run of `chat_turn`, in a chat of the agent or in a new one.

    Its result names the chat, so that the next message can go on in it.
    """
    run, created = await resources.database.write(_say, caller, agent_id, body, idempotency_key)
    run = await settled(request, resources, caller, run, wait)
    tell_acceptance(response, run, created)
    return run


async def _say(
    session: WriteSession, caller: Caller, agent_id: UUID, body: AgentMessage, key: str | None
) -> tuple[Run, bool]:
    if body.options.agent_id not in {None, agent_id}:
        raise Conflict("`options.agent_id` names another agent than the address does.", "chat_of_other_agent")
    if body.chat_id is not None:
        await chats.get_chat(session, caller.owner, body.chat_id)
    mode = body.mode or ChatMode.DIRECT
    params = ChatTurnParams(message=body.message, chat_id=body.chat_id, mode=mode, context=body.context)
    return await take_in(
        session,
        caller,
        CHAT_TURN,
        storable(params),
        options=body.options.model_copy(update={"agent_id": agent_id}),
        key=key,
        mode_said=body.mode is not None,
    )
