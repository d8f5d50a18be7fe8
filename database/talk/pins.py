"""Which version of an agent a run is bound to: chosen once, at the door, by somebody who may use it.

What the run says about it later is read through the run: neither a change of the agent nor its end reaches
a run that was taken in before.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.chat import ChatMode
from database.engine import ReadSession
from database.statements import AnyRow
from database.tables import AgentRow, AgentVersionRow, ChatRow, RunRow
from database.talk.agents import agent_not_found, may_use
from database.talk.sharing import Reader
from runtime.errors import Conflict


@dataclass(frozen=True, slots=True)
class AgentPin:
    """An agent in the version that a run is bound to; `mode` is how it answers unless it is told how."""

    agent_id: UUID
    version_id: UUID
    version: int
    mode: ChatMode

    def columns(self) -> dict[str, Any]:
        """Return what the row of a bound run holds of it."""
        named = {"agent_id": self.agent_id, "agent_version_id": self.version_id}
        return {**named, "agent_version": self.version}


@dataclass(frozen=True, slots=True)
class PinnedAgent:
    """What the agent of a run says, in all attempts of the run."""

    id: UUID
    name: str
    version: int
    instructions: str


async def pin_agent(session: ReadSession, reader: Reader, agent_id: UUID) -> AgentPin:
    """Return an agent as it answers now, for somebody who may use it.

    Raises:
        NotFound: `agent_not_found`.
    """
    now = (AgentVersionRow.agent_id == AgentRow.id) & (AgentVersionRow.version == AgentRow.version)
    query = (
        sa.select(AgentRow.id.label("agent_id"), *_PINNED)
        .join(AgentVersionRow, now)
        .where(AgentRow.id == agent_id, may_use(reader), AgentRow.deleted_at.is_(None))
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise agent_not_found(agent_id)
    return _pin(row)


async def pin_for_turn(
    session: ReadSession, reader: Reader, named: UUID | None, chat_id: UUID | None
) -> AgentPin | None:
    """Return who answers in a chat: its own agent, else the one that the request names, else none.

    Raises:
        NotFound: `agent_not_found`, also for a chat whose agent is gone.
        Conflict: `chat_of_other_agent`, another one than the named one answers there.
    """
    own = await agent_of_chat(session, reader.owner, chat_id) if chat_id else None
    if own is not None and named not in {None, own}:
        raise Conflict(f"In this chat the agent {own} answers.", "chat_of_other_agent")
    agent_id = own or named
    return None if agent_id is None else await pin_agent(session, reader, agent_id)


async def agent_of_chat(session: ReadSession, owner: str, chat_id: UUID) -> UUID | None:
    """Return who answers in a chat; none for nobody, and for a chat that is not there."""
    query = sa.select(ChatRow.agent_id).where(
        ChatRow.id == chat_id, ChatRow.owner == owner, ChatRow.deleted_at.is_(None)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def pin_for_fork(
    session: ReadSession, reader: Reader, named: UUID | None, run_id: UUID, chat_id: UUID | None = None
) -> AgentPin | None:
    """Return whom a fork is bound to: the named agent as it is now, else as its first run was.

    Raises:
        NotFound: `agent_not_found`, also where the run's agent is not the reader's to use any more.
        Conflict: `chat_of_other_agent`, in the fork's chat another one than the named one answers.
    """
    if named is not None:
        return await pin_for_turn(session, reader, named, chat_id)
    query = (
        sa.select(RunRow.agent_id, *_PINNED)
        .join(AgentVersionRow, AgentVersionRow.id == RunRow.agent_version_id)
        .where(RunRow.id == run_id, RunRow.owner == reader.owner)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return None
    await pin_agent(session, reader, row.agent_id)
    return _pin(row)


async def agent_of_run(session: ReadSession, owner: str, run_id: UUID) -> PinnedAgent:
    """Return what the agent says that a run is bound to.

    Raises:
        NotFound: `agent_not_found`, the run has the agent of its chat, and that was gone when it began.
    """
    query = (
        sa.select(RunRow.agent_id, AgentRow.name, AgentVersionRow.version, AgentVersionRow.instructions)
        .outerjoin(AgentVersionRow, AgentVersionRow.id == RunRow.agent_version_id)
        .outerjoin(AgentRow, AgentRow.id == AgentVersionRow.agent_id)
        .where(RunRow.id == run_id, RunRow.owner == owner)
    )
    row = (await session.execute(query)).one()
    if row.version is None:
        raise agent_not_found(row.agent_id)
    return PinnedAgent(row.agent_id, row.name, row.version, row.instructions)


_PINNED = (AgentVersionRow.id.label("version_id"), AgentVersionRow.version, AgentVersionRow.mode)


def _pin(row: AnyRow) -> AgentPin:
    return AgentPin(row.agent_id, row.version_id, row.version, ChatMode(row.mode))
