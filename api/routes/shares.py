"""Opening a chat of one's own to a project, or to one of its members, and taking that back."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.bodies import StrictRoute
from api.caller import Caller, DoerNow, needs
from api.openapi import errors
from api.resources import ResourcesNow
from contracts.chat import Access, Share
from contracts.people import Scope
from database.talk import shares

router = APIRouter(prefix="/chats/{chat_id}/shares", tags=["chats"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.CHATS_READ)]
Writer = Annotated[Caller, needs(Scope.CHATS_WRITE)]
CHAT = ("no_people", "chat_not_found", "chat_of_project")
BODY = ("malformed_json", "too_large", "unsupported_media_type", "invalid_parameters")


class NewShare(BaseModel):
    """With whom to share a chat, and for what."""

    model_config = ConfigDict(extra="forbid")

    project_id: UUID = Field(description="A project that you are in.")
    user_id: UUID | None = Field(None, description="One member of it; without, all of them.")
    access: Literal["read", "write"] = Field(
        "read", description="`write`: they speak in it too, on your budgets, as far as their role lets them."
    )


class ShareList(BaseModel):
    """With whom a chat is shared."""

    items: list[Share]
    next_cursor: None = Field(None, description="They come on one page.")


@router.put("", responses=errors("project_not_found", "user_not_found", *CHAT, *BODY))
async def share_chat(
    chat_id: UUID, body: NewShare, caller: Writer, resources: ResourcesNow, by: DoerNow
) -> Share:
    """Share a chat of one's own space. It stays one's own: others find it in the project they share with one.

    The same project and member again change what they may.
    """
    return await resources.database.write(
        shares.share_chat,
        by,
        caller.person(),
        chat_id,
        project_id=body.project_id,
        member=body.user_id,
        access=Access(body.access),
    )


@router.get("", responses=errors(*CHAT, "invalid_parameters"))
async def list_shares(chat_id: UUID, caller: Reader, resources: ResourcesNow, by: DoerNow) -> ShareList:
    """List with whom a chat of one's own is shared."""
    user_id = caller.person()
    async with resources.database.read() as session:
        return ShareList(items=await shares.list_shares(session, by, user_id, chat_id))


@router.delete(
    "/{share_id}", status_code=204, responses=errors("share_not_found", *CHAT, "invalid_parameters")
)
async def unshare_chat(
    chat_id: UUID, share_id: UUID, caller: Writer, resources: ResourcesNow, by: DoerNow
) -> None:
    """Take a share back. The next request of theirs finds nothing; a stream of theirs ends soon."""
    await resources.database.write(shares.unshare_chat, by, caller.person(), chat_id, share_id)
