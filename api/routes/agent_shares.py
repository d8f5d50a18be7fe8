"""Opening an agent of one's own to a project, or to one of its members, and taking that back."""

from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.bodies import StrictRoute
from api.caller import DoerNow
from api.openapi import errors
from api.resources import ResourcesNow
from api.routes.agents import BODY, Reader, Writer
from api.routes.shares import ShareList
from contracts.chat import Access, Share
from database.talk import agent_shares

router = APIRouter(prefix="/agents/{agent_id}/shares", tags=["agents"], route_class=StrictRoute)

AGENT = ("no_people", "agent_not_found", "agent_of_project")


class NewAgentShare(BaseModel):
    """With whom to share an agent, and for what."""

    model_config = ConfigDict(extra="forbid")

    project_id: UUID = Field(description="A project that you are in.")
    user_id: UUID | None = Field(None, description="One member of it; without, all of them.")
    access: Literal["read", "write"] = Field(
        "read",
        description="`read`: they use it and see what it says. `write`: they change what it says, too, as far"
        " as their role lets them.",
    )


@router.put("", responses=errors("project_not_found", "user_not_found", *AGENT, *BODY))
async def share_agent(
    agent_id: UUID, body: NewAgentShare, caller: Writer, resources: ResourcesNow, by: DoerNow
) -> Share:
    """Share an agent of one's own space. Others use it in the project that they share with one.

    The same project and member again change what they may.
    """
    return await resources.database.write(
        agent_shares.share_agent,
        by,
        caller.person(),
        agent_id,
        project_id=body.project_id,
        member=body.user_id,
        access=Access(body.access),
    )


@router.get("", responses=errors(*AGENT, "invalid_parameters"))
async def list_agent_shares(
    agent_id: UUID, caller: Reader, resources: ResourcesNow, by: DoerNow
) -> ShareList:
    """List with whom an agent of one's own is shared."""
    user_id = caller.person()
    async with resources.database.read() as session:
        return ShareList(items=await agent_shares.list_agent_shares(session, by, user_id, agent_id))


@router.delete(
    "/{share_id}", status_code=204, responses=errors("share_not_found", *AGENT, "invalid_parameters")
)
async def unshare_agent(
    agent_id: UUID, share_id: UUID, caller: Writer, resources: ResourcesNow, by: DoerNow
) -> None:
    """Take a share back. The next message of theirs finds no agent; runs under way go on."""
    await resources.database.write(agent_shares.unshare_agent, by, caller.person(), agent_id, share_id)
