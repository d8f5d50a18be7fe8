"""Conversations: opened, listed, renamed and put away."""

from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.bodies import StrictRoute
from api.caller import Caller, needs
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import ResourcesNow
from contracts.chat import Chat, ChatRun
from contracts.people import Scope
from database.engine import WriteSession
from database.talk import chats
from database.talk.guests import turn_run
from database.talk.pins import pin_agent
from database.talk.shares import get_opened, list_shared

router = APIRouter(prefix="/chats", tags=["chats"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.CHATS_READ)]
Writer = Annotated[Caller, needs(Scope.CHATS_WRITE)]

Title = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
BODY = ("malformed_json", "too_large", "unsupported_media_type", "invalid_parameters")


class NewChat(BaseModel):
    """A conversation to open."""

    model_config = ConfigDict(extra="forbid")

    title: Title = Field(
        "", description="Without one it is named after its first message.", examples=["Contract questions"]
    )
    agent_id: UUID | None = Field(None, description="The agent that answers in it.")


class ChatChange(BaseModel):
    """What to change about a conversation."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[Title, Field(min_length=1, examples=["Contract questions"])] | None = None
    agent_id: UUID | None = Field(
        None, description="Who answers from the next message on; null: nobody's instructions count any more."
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.title is None and "agent_id" not in self.model_fields_set:
            raise ValueError("name what is to change")
        return self


class ChatPage(BaseModel):
    """Some of the caller's conversations."""

    items: list[Chat]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


@router.post("", status_code=201, responses=errors("agent_not_found", *BODY))
async def open_chat(response: Response, caller: Writer, resources: ResourcesNow, body: NewChat) -> Chat:
    """Open a conversation, with an agent or without."""
    chat = await resources.database.write(_open, caller, body)
    response.headers["Location"] = f"/api/v1/chats/{chat.id}"
    return chat


@router.get("", responses=errors("bad_cursor", "invalid_parameters"))
async def list_chats(
    caller: Reader,
    resources: ResourcesNow,
    shared: Annotated[
        bool, Query(description="Those that others have shared with you in this project, instead of its own.")
    ] = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ChatPage:
    """List conversations, the last used first."""
    async with resources.database.read() as session:
        if shared:
            page = await list_shared(session, caller.reader, limit=limit, cursor=cursor)
        else:
            page = await chats.list_chats(session, caller.owner, limit=limit, cursor=cursor)
    return ChatPage(items=page.items, next_cursor=page.next_cursor)


@router.get("/{chat_id}", responses=errors("chat_not_found", "invalid_parameters"))
async def get_chat(chat_id: UUID, caller: Reader, resources: ResourcesNow) -> Chat:
    """Show a conversation, without its messages."""
    async with resources.database.read() as session:
        return await get_opened(session, caller.reader, chat_id)


@router.get("/{chat_id}/runs/{run_id}", responses=errors("run_not_found", "invalid_parameters"))
async def get_chat_run(chat_id: UUID, run_id: UUID, caller: Reader, resources: ResourcesNow) -> ChatRun:
    """Tell how the run of a turn stands, to all who may read the chat. The rest of it is its owner's."""
    async with resources.database.read() as session:
        return await turn_run(session, caller.reader, chat_id, run_id)


@router.patch("/{chat_id}", responses=errors("chat_not_found", "agent_not_found", *BODY))
async def change_chat(chat_id: UUID, body: ChatChange, caller: Writer, resources: ResourcesNow) -> Chat:
    """Rename a conversation, or let another agent answer in it. What was said stays as it is."""
    return await resources.database.write(_change, caller, chat_id, body)


@router.delete("/{chat_id}", status_code=204, responses=errors("chat_not_found", "invalid_parameters"))
async def delete_chat(chat_id: UUID, caller: Writer, resources: ResourcesNow) -> None:
    """Put a conversation away with its messages. Its runs stay."""
    await resources.database.write(chats.delete_chat, caller.owner, chat_id)


async def _open(session: WriteSession, caller: Caller, body: NewChat) -> Chat:
    if body.agent_id is not None:
        await pin_agent(session, caller.reader, body.agent_id)
    return await chats.create_chat(session, caller.owner, title=body.title, agent_id=body.agent_id)


async def _change(session: WriteSession, caller: Caller, chat_id: UUID, body: ChatChange) -> Chat:
    if body.agent_id is not None:
        await pin_agent(session, caller.reader, body.agent_id)
    if "agent_id" in body.model_fields_set:
        await chats.set_chat_agent(session, caller.owner, chat_id, body.agent_id)
    if body.title is not None:
        return await chats.rename_chat(session, caller.owner, chat_id, body.title)
    return await chats.get_chat(session, caller.owner, chat_id)
