"""Agents: made, changed by versions, and found by whoever may use them. `database.talk.pins` binds runs."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from contracts.agents import Agent, AgentChange, AgentVersion, NewAgent
from contracts.chat import Access
from database.engine import ReadSession, WriteSession
from database.pages import MAX_PAGE, Page, bad_cursor, cursor_id, decode_cursor, encode_cursor
from database.people.audit import Doer, record
from database.statements import AnySelect, changed_rows, insert_or_existing
from database.tables import AgentRow, AgentVersionRow, core
from database.talk.sharing import AGENT, Reader, access_of, shared_with
from runtime.clock import utcnow
from runtime.errors import Conflict, NotAllowed, NotFound
from runtime.ids import new_id

_AGENTS = core(AgentRow)
_VERSIONS = core(AgentVersionRow)
_SAID = ("instructions", "mode")
_SAYS = (AgentVersionRow.instructions, AgentVersionRow.mode)


async def create_agent(session: WriteSession, by: Doer, new: NewAgent) -> Agent:
    """Make an agent in the doer's space; what it says is its version 1.

    Raises:
        Conflict: `agent_name_taken`, another agent of the space has the name.
    """
    at, agent_id = utcnow(), new_id()
    values = {
        "id": agent_id,
        "owner": by.owner,
        "name": new.name,
        "live_name": new.name,
        "description": new.description,
        "version": 1,
        "created_at": at,
        "updated_at": at,
    }
    row = await insert_or_existing(session, _AGENTS, values, [_AGENTS.c.id])
    if row.id != agent_id:
        raise _name_taken(new.name)
    await _say(session, by, agent_id, 1, new.model_dump(include=set(_SAID)))
    await record(session, by, "agent.created", f"agent:{agent_id}", name=new.name)
    return await get_agent(session, Reader(by.owner), agent_id)


async def get_agent(session: ReadSession, reader: Reader, agent_id: UUID) -> Agent:
    """Return one agent that the reader may use.

    Raises:
        NotFound: `agent_not_found`.
    """
    query = _query(reader, may_use(reader)).where(AgentRow.id == agent_id)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise agent_not_found(agent_id)
    return Agent.model_validate(row, from_attributes=True)


async def agent_named(session: ReadSession, reader: Reader, name: str) -> Agent:
    """Return the agent of a name: that of the reader's space, else the one that is shared with them.

    Raises:
        NotFound: `agent_not_found`.
        Conflict: `agent_ambiguous`, several of the name are shared with them.
    """
    for whose in (AgentRow.owner == reader.owner, shared_with(AGENT, reader)):
        rows = (await session.execute(_query(reader, whose).where(AgentRow.live_name == name))).all()
        if len(rows) > 1:
            raise Conflict(
                f"Several agents {name} are shared with you: name one as agent:ID.", "agent_ambiguous"
            )
        if rows:
            return Agent.model_validate(rows[0], from_attributes=True)
    raise NotFound(f"There is no agent {name} here.", "agent_not_found")


async def list_agents(
    session: ReadSession, reader: Reader, *, shared: bool = False, limit: int = 50, cursor: str | None = None
) -> Page[Agent]:
    """Return the agents of the reader's space, or those that are shared with them, newest first.

    Raises:
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    whose = shared_with(AGENT, reader) if shared else AgentRow.owner == reader.owner
    query = _query(reader, whose).order_by(AgentRow.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(AgentRow.id < cursor_id(cursor))
    items = [Agent.model_validate(row, from_attributes=True) for row in await session.execute(query)]
    return Page(items[:limit], encode_cursor(str(items[limit - 1].id)) if len(items) > limit else None)


async def change_agent(
    session: WriteSession, by: Doer, reader: Reader, agent_id: UUID, change: AgentChange
) -> Agent:
    """Change an agent; where it says something else afterwards, that is its next version.

    Runs that have begun keep the version that they are bound to.

    Raises:
        NotFound: `agent_not_found`.
        NotAllowed: `agent_read_only`, it is shared with the reader to be used; its name is its owner's.
        Conflict: `agent_name_taken`.
    """
    await _lock(session, reader, agent_id)
    before = await get_agent(session, reader, agent_id)
    if before.access is Access.READ or (change.name is not None and before.access is not Access.OWN):
        raise NotAllowed("This agent was shared with you, and not for this.", "agent_read_only")
    told = change.model_dump(exclude_none=True)
    says = before.model_dump(include=set(_SAID)) | {name: told[name] for name in _SAID if name in told}
    version = before.version
    if says != before.model_dump(include=set(_SAID)):
        version += 1
        await _say(session, by, agent_id, version, says)
    values: dict[str, Any] = {name: told[name] for name in ("name", "description") if name in told}
    if "name" in values:
        values["live_name"] = values["name"]
    change_row = sa.update(_AGENTS).where(_AGENTS.c.id == agent_id)
    try:
        await session.execute(change_row.values(**values, version=version, updated_at=utcnow()))
    except IntegrityError:
        raise _name_taken(values.get("name", before.name)) from None
    changed = sorted(name for name in told if getattr(before, name) != told[name])
    await record(session, by, "agent.changed", f"agent:{agent_id}", changed=changed, version=version)
    return await get_agent(session, reader, agent_id)


async def delete_agent(session: WriteSession, by: Doer, agent_id: UUID) -> None:
    """Delete an agent softly: nobody can use it any more. Runs that are bound to it go on.

    Raises:
        NotFound: `agent_not_found`.
    """
    here = (_AGENTS.c.id == agent_id, _AGENTS.c.owner == by.owner, _AGENTS.c.deleted_at.is_(None))
    gone = sa.update(_AGENTS).where(*here).values(deleted_at=utcnow(), live_name=None)
    if not await changed_rows(session, gone):
        raise agent_not_found(agent_id)
    await record(session, by, "agent.deleted", f"agent:{agent_id}")


async def list_versions(
    session: ReadSession, reader: Reader, agent_id: UUID, *, limit: int = 50, cursor: str | None = None
) -> Page[AgentVersion]:
    """Return what an agent has said of itself, newest first.

    Raises:
        NotFound: `agent_not_found`.
        BadInput: `bad_cursor`.
    """
    await get_agent(session, reader, agent_id)
    limit = min(limit, MAX_PAGE)
    columns = [_VERSIONS.c[name] for name in AgentVersion.model_fields]
    query = sa.select(*columns).where(_VERSIONS.c.agent_id == agent_id)
    if cursor is not None:
        query = query.where(_VERSIONS.c.version < _number(cursor))
    rows = (await session.execute(query.order_by(_VERSIONS.c.version.desc()).limit(limit + 1))).all()
    items = [AgentVersion.model_validate(row, from_attributes=True) for row in rows]
    more = len(items) > limit
    return Page(items[:limit], encode_cursor(str(items[limit - 1].version)) if more else None)


def may_use(reader: Reader) -> sa.ColumnElement[bool]:
    """Return the where clause of the agents that a reader may use."""
    return (AgentRow.owner == reader.owner) | shared_with(AGENT, reader)


def agent_not_found(agent_id: UUID) -> NotFound:
    """Return the error for an agent that is not there, or not the caller's to use."""
    return NotFound(f"There is no agent {agent_id}.", "agent_not_found")


def _query(reader: Reader, whose: sa.ColumnElement[bool]) -> AnySelect:
    of_agent = (AgentRow.id, AgentRow.name, AgentRow.description, AgentRow.version)
    times = (AgentRow.created_at, AgentRow.updated_at)
    now = (AgentVersionRow.agent_id == AgentRow.id) & (AgentVersionRow.version == AgentRow.version)
    return (
        sa.select(*of_agent, *times, *_SAYS, access_of(AGENT, reader).label("access"))
        .join(AgentVersionRow, now)
        .where(whose, AgentRow.deleted_at.is_(None))
    )


async def _say(
    session: WriteSession, by: Doer, agent_id: UUID, version: int, says: Mapping[str, Any]
) -> None:
    values = {"id": new_id(), "agent_id": agent_id, "version": version, "made_by": by.actor, **says}
    await session.execute(sa.insert(_VERSIONS).values(**values, created_at=utcnow()))


async def _lock(session: WriteSession, reader: Reader, agent_id: UUID) -> None:
    """Let changes of an agent follow one another: each makes its own next version."""
    here = (AgentRow.id == agent_id, may_use(reader), AgentRow.deleted_at.is_(None))
    row = (await session.execute(sa.select(AgentRow.id).where(*here).with_for_update())).one_or_none()
    if row is None:
        raise agent_not_found(agent_id)


def _number(cursor: str) -> int:
    (text,) = decode_cursor(cursor, parts=1)
    # More digits than any count of versions are no number of ours, and SQLite refuses them.
    if not (text.isascii() and text.isdigit() and len(text) < len(str(2**31))):
        raise bad_cursor()
    return int(text)


def _name_taken(name: str) -> Conflict:
    return Conflict(f"There is an agent {name} here already.", "agent_name_taken")
