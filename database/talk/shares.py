"""Chats that their owners have opened to others inside a project, see `database.talk.sharing`."""

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from contracts.chat import Access, Chat, Share
from database.engine import ReadSession, WriteSession
from database.pages import Page
from database.people.audit import Doer
from database.tables import ChatRow
from database.talk import sharing
from database.talk.chats import chat_not_found, get_chat, page_of_chats
from database.talk.sharing import CHAT, Reader, access_of, refuse_project, shared_with
from runtime.errors import NotAllowed


@dataclass(frozen=True, slots=True)
class Opened:
    """A chat as somebody may use it: under its owner's name, for so much."""

    owner: str
    access: Access

    @property
    def guest(self) -> bool:
        """Whether it is somebody else's: what its runs cost, were given and called is not for this reader."""
        return self.access is not Access.OWN


async def opened(session: ReadSession, reader: Reader, chat_id: UUID, *, write: bool = False) -> Opened:
    """Return in whose name this reader may use a chat.

    Args:
        session: of the transaction.
        reader: who asks.
        chat_id: the chat.
        write: whether they want to speak in it.

    Raises:
        NotFound: `chat_not_found`.
        NotAllowed: `chat_read_only`, they may read it.
    """
    query = sa.select(ChatRow.owner, access_of(CHAT, reader).label("access")).where(
        ChatRow.id == chat_id, ChatRow.deleted_at.is_(None), may_read(reader)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise chat_not_found(chat_id)
    found = Opened(row.owner, Access(row.access))
    if write and found.access is Access.READ:
        raise NotAllowed("This chat was shared with you to be read.", "chat_read_only")
    return found


def may_read(reader: Reader) -> sa.ColumnElement[bool]:
    """Return the where clause of the chats that a reader may read."""
    return (ChatRow.owner == reader.owner) | shared_with(CHAT, reader)


async def get_opened(session: ReadSession, reader: Reader, chat_id: UUID) -> Chat:
    """Return one chat, the reader's own or shared with them.

    Raises:
        NotFound: `chat_not_found`.
    """
    found = await opened(session, reader, chat_id)
    chat = await get_chat(session, found.owner, chat_id)
    cost = {"cost_usd": None} if found.guest else {}
    return chat.model_copy(update={"access": found.access, **cost})


async def list_shared(
    session: ReadSession, reader: Reader, *, limit: int = 50, cursor: str | None = None
) -> Page[Chat]:
    """Return the chats that others have shared with the reader in their project, the last used first.

    Raises:
        BadInput: `bad_cursor`.
    """
    page = await page_of_chats(session, shared_with(CHAT, reader), limit=limit, cursor=cursor)
    writable = sa.select(ChatRow.id).where(
        ChatRow.id.in_([chat.id for chat in page.items]), shared_with(CHAT, reader, Access.WRITE)
    )
    may_write = set((await session.execute(writable)).scalars())
    items = [
        chat.model_copy(
            update={"access": Access.WRITE if chat.id in may_write else Access.READ, "cost_usd": None}
        )
        for chat in page.items
    ]
    return Page(items, page.next_cursor)


async def share_chat(
    session: WriteSession,
    by: Doer,
    user_id: UUID,
    chat_id: UUID,
    *,
    project_id: UUID,
    member: UUID | None,
    access: Access,
) -> Share:
    """Open a chat of a person's own space to a project that they are in, or to one member of it.

    Raises:
        NotFound: `chat_not_found`, `project_not_found`, or `user_not_found`: nobody of the project.
        Conflict: `chat_of_project`, its members have it already.
    """
    await get_chat(session, by.owner, chat_id)
    return await sharing.share(
        session, CHAT, by, user_id, chat_id, project_id=project_id, member=member, access=access
    )


async def list_shares(session: ReadSession, by: Doer, user_id: UUID, chat_id: UUID) -> list[Share]:
    """Return with whom a person's own chat is shared.

    Raises:
        NotFound: `chat_not_found`.
        Conflict: `chat_of_project`.
    """
    await get_chat(session, by.owner, chat_id)
    refuse_project(CHAT, by, user_id)
    return await sharing.shares_of(session, CHAT, chat_id)


async def unshare_chat(session: WriteSession, by: Doer, user_id: UUID, chat_id: UUID, share_id: UUID) -> None:
    """Take a share back, at once.

    Raises:
        NotFound: `chat_not_found` or `share_not_found`.
        Conflict: `chat_of_project`.
    """
    await get_chat(session, by.owner, chat_id)
    refuse_project(CHAT, by, user_id)
    await sharing.unshare(session, CHAT, by, chat_id, share_id)
