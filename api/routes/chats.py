"""Conversations: opened, listed, renamed and put away."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.bodies import StrictRoute
from api.caller import CallerNow
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import ResourcesNow
from contracts.chat import Chat
from database import chats

router = APIRouter(prefix="/chats", tags=["chats"], route_class=StrictRoute)

Title = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
BODY = ("malformed_json", "too_large", "unsupported_media_type", "invalid_parameters")


class NewChat(BaseModel):
    """A conversation to open."""

    model_config = ConfigDict(extra="forbid")

    title: Title = Field(
        "", description="Without one it is named after its first message.", examples=["Contract questions"]
    )


class ChatChange(BaseModel):
    """What to change about a conversation."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[Title, Field(min_length=1, examples=["Contract questions"])]


class ChatPage(BaseModel):
    """Some of the caller's conversations."""

    items: list[Chat]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


@router.post("", status_code=201, responses=errors(*BODY))
async def open_chat(response: Response, caller: CallerNow, resources: ResourcesNow, body: NewChat) -> Chat:
    """Open a conversation."""
    chat = await resources.database.write(chats.create_chat, caller.owner, title=body.title)
    response.headers["Location"] = f"/api/v1/chats/{chat.id}"
    return chat


@router.get("", responses=errors("bad_cursor", "invalid_parameters"))
async def list_chats(
    caller: CallerNow, resources: ResourcesNow, cursor: Cursor = None, limit: Limit = 50
) -> ChatPage:
    """List conversations, the last used first."""
    async with resources.database.read() as session:
        page = await chats.list_chats(session, caller.owner, limit=limit, cursor=cursor)
    return ChatPage(items=page.items, next_cursor=page.next_cursor)


@router.get("/{chat_id}", responses=errors("chat_not_found", "invalid_parameters"))
async def get_chat(chat_id: UUID, caller: CallerNow, resources: ResourcesNow) -> Chat:
    """Show a conversation, without its messages."""
    async with resources.database.read() as session:
        return await chats.get_chat(session, caller.owner, chat_id)


@router.patch("/{chat_id}", responses=errors("chat_not_found", *BODY))
async def rename_chat(chat_id: UUID, body: ChatChange, caller: CallerNow, resources: ResourcesNow) -> Chat:
    """Rename a conversation."""
    return await resources.database.write(chats.rename_chat, caller.owner, chat_id, body.title)


@router.delete("/{chat_id}", status_code=204, responses=errors("chat_not_found", "invalid_parameters"))
async def delete_chat(chat_id: UUID, caller: CallerNow, resources: ResourcesNow) -> None:
    """Put a conversation away with its messages. Its runs stay."""
    await resources.database.write(chats.delete_chat, caller.owner, chat_id)
