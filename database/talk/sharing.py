"""What somebody has opened to others inside a project: the one way in which chats and agents are shared.

Only what is in one's own space is shared: what is a project's is its members' by their roles. Who may what is
read anew each time, so that a share that was taken back, a member who left and a project that was put away
count at once.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.chat import Access, Share
from contracts.people import user_space
from database.engine import ReadSession, WriteSession
from database.people.audit import Doer, record
from database.people.projects import get_project
from database.statements import changed_rows, put
from database.tables import AgentRow, AgentShareRow, ChatRow, ChatShareRow, MemberRow, core
from runtime.clock import utcnow
from runtime.errors import Conflict, NotFound
from runtime.ids import derived_id


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks for something: the space that they work in, the project if it is one, and the person."""

    owner: str
    project_id: UUID | None = None
    user_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Shareable:
    """A kind of thing that is shared: what it is called, and the tables of it and of its shares."""

    noun: str
    row: type[ChatRow | AgentRow]
    shares: type[ChatShareRow | AgentShareRow]

    @property
    def subject(self) -> str:
        """The column of a share that names what is shared."""
        return f"{self.noun}_id"


CHAT = Shareable("chat", ChatRow, ChatShareRow)
AGENT = Shareable("agent", AgentRow, AgentShareRow)


def shared_with(kind: Shareable, reader: Reader, access: Access | None = None) -> sa.Exists:
    """Return the where clause of what others have opened to a reader, for `access` where one is given."""
    row, shares = kind.row, core(kind.shares)
    member = (MemberRow.project_id == shares.c.project_id) & (MemberRow.user_id == shares.c.shared_by)
    query = (
        sa.select(shares.c.id)
        .join(MemberRow, member)
        .where(
            shares.c[kind.subject] == row.id,
            shares.c.project_id == reader.project_id,
            shares.c.user_id.is_(None) | (shares.c.user_id == reader.user_id),
        )
        .correlate(row)
    )
    return (query if access is None else query.where(shares.c.access == access)).exists()


def access_of(kind: Shareable, reader: Reader) -> sa.Case[str]:
    """Return what a reader may do, of a row that they may read."""
    own = (kind.row.owner == reader.owner, Access.OWN.value)
    write = (shared_with(kind, reader, Access.WRITE), Access.WRITE.value)
    return sa.case(own, write, else_=Access.READ.value)


async def share(
    session: WriteSession,
    kind: Shareable,
    by: Doer,
    user_id: UUID,
    subject_id: UUID,
    *,
    project_id: UUID,
    member: UUID | None,
    access: Access,
) -> Share:
    """Open something of a person's own space to a project that they are in, or to one member of it.

    Shared a second time with the same, it is shared for what the second time says. The caller has looked that
    it is there and the doer's.

    Raises:
        NotFound: `project_not_found`, or `user_not_found`: nobody of the project.
        Conflict: `chat_of_project` or `agent_of_project`, its members have it already.
    """
    refuse_project(kind, by, user_id)
    await get_project(session, user_id, project_id)
    if member is not None:
        await _refuse_stranger(session, project_id, member)
    share_id = derived_id(subject_id, f"{project_id}/{member or ''}")
    values: dict[str, Any] = {
        kind.subject: subject_id,
        "project_id": project_id,
        "user_id": member,
        "access": access,
        "shared_by": user_id,
        "created_at": utcnow(),
    }
    await put(session, core(kind.shares), {"id": share_id}, values)
    told = {"project": str(project_id), "user": str(member) if member else None, "access": access}
    await record(session, by, f"{kind.noun}.shared", f"{kind.noun}:{subject_id}", **told)
    return Share(id=share_id, **{name: values[name] for name in Share.model_fields if name != "id"})


async def shares_of(session: ReadSession, kind: Shareable, subject_id: UUID) -> list[Share]:
    """Return with whom something is shared; the caller has looked whose it is."""
    shares = core(kind.shares)
    query = sa.select(*(shares.c[name] for name in Share.model_fields))
    query = query.where(shares.c[kind.subject] == subject_id).order_by(shares.c.created_at, shares.c.id)
    return [Share.model_validate(row, from_attributes=True) for row in await session.execute(query)]


async def unshare(session: WriteSession, kind: Shareable, by: Doer, subject_id: UUID, share_id: UUID) -> None:
    """Take a share back, at once; the caller has looked whose the thing is.

    Raises:
        NotFound: `share_not_found`.
    """
    shares = core(kind.shares)
    here = (shares.c.id == share_id, shares.c[kind.subject] == subject_id)
    if not await changed_rows(session, sa.delete(shares).where(*here)):
        raise NotFound(f"There is no share {share_id} of this {kind.noun}.", "share_not_found")
    await record(session, by, f"{kind.noun}.unshared", f"{kind.noun}:{subject_id}", share=str(share_id))


def refuse_project(kind: Shareable, by: Doer, user_id: UUID) -> None:
    """Do nothing in a person's own space.

    Raises:
        Conflict: `chat_of_project` or `agent_of_project`.
    """
    if by.owner != user_space(user_id):
        raise Conflict(f"A project's {kind.noun} is its members' already.", f"{kind.noun}_of_project")


async def _refuse_stranger(session: ReadSession, project_id: UUID, user_id: UUID) -> None:
    here = (MemberRow.project_id == project_id, MemberRow.user_id == user_id)
    if (await session.execute(sa.select(MemberRow.user_id).where(*here))).first() is None:
        raise NotFound(f"Nobody {user_id} is in this project.", "user_not_found")
