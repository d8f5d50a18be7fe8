"""Agents that their owners have opened to others inside a project, see `database.talk.sharing`."""

from uuid import UUID

from contracts.chat import Access, Share
from database.engine import ReadSession, WriteSession
from database.people.audit import Doer
from database.talk import sharing
from database.talk.agents import get_agent
from database.talk.sharing import AGENT, Reader, refuse_project


async def share_agent(
    session: WriteSession,
    by: Doer,
    user_id: UUID,
    agent_id: UUID,
    *,
    project_id: UUID,
    member: UUID | None,
    access: Access,
) -> Share:
    """Open an agent of a person's own space to a project that they are in, or to one member of it.

    Raises:
        NotFound: `agent_not_found`, `project_not_found`, or `user_not_found`: nobody of the project.
        Conflict: `agent_of_project`, its members have it already.
    """
    await get_agent(session, Reader(by.owner), agent_id)
    return await sharing.share(
        session, AGENT, by, user_id, agent_id, project_id=project_id, member=member, access=access
    )


async def list_agent_shares(session: ReadSession, by: Doer, user_id: UUID, agent_id: UUID) -> list[Share]:
    """Return with whom a person's own agent is shared.

    Raises:
        NotFound: `agent_not_found`.
        Conflict: `agent_of_project`.
    """
    await get_agent(session, Reader(by.owner), agent_id)
    refuse_project(AGENT, by, user_id)
    return await sharing.shares_of(session, AGENT, agent_id)


async def unshare_agent(
    session: WriteSession, by: Doer, user_id: UUID, agent_id: UUID, share_id: UUID
) -> None:
    """Take a share back: the next request of theirs finds no agent.

    Raises:
        NotFound: `agent_not_found` or `share_not_found`.
        Conflict: `agent_of_project`.
    """
    await get_agent(session, Reader(by.owner), agent_id)
    refuse_project(AGENT, by, user_id)
    await sharing.unshare(session, AGENT, by, agent_id, share_id)
