"""Chats of an owner. `database.talk.messages` holds what is said in them."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.chat import Chat
from database.columns import Money
from database.engine import ReadSession, WriteSession
from database.pages import MAX_PAGE, Page, bad_cursor, decode_cursor, encode_cursor
from database.statements import AnySelect, changed_rows, insert_or_existing
from database.tables import ChatRow, MessageRow, RunRow, core
from database.tables.chats import TITLE_CHARS
from runtime.clock import utcnow
from runtime.errors import NotFound
from runtime.ids import new_id

_CHATS = core(ChatRow)


async def create_chat(
    session: WriteSession,
    owner: str,
    title: str = "",
    *,
    chat_id: UUID | None = None,
    agent_id: UUID | None = None,
) -> Chat:
    """Open a chat; under a given id, opening it twice opens one.

    Raises:
        NotFound: `chat_not_found`, the given id is taken by somebody else or its chat is deleted.
    """
    at = utcnow()
    values: dict[str, Any] = {
        "id": chat_id or new_id(),
        "owner": owner,
        "title": title[:TITLE_CHARS],
        "agent_id": agent_id,
        "created_at": at,
        "updated_at": at,
    }
    await insert_or_existing(session, _CHATS, values, [_CHATS.c.id])
    return await get_chat(session, owner, values["id"])


async def get_chat(session: ReadSession, owner: str, chat_id: UUID) -> Chat:
    """Return one chat of the owner.

    Raises:
        NotFound: `chat_not_found`.
    """
    query = _query(ChatRow.owner == owner).where(ChatRow.id == chat_id)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise chat_not_found(chat_id)
    return Chat.model_validate(row, from_attributes=True)


async def list_chats(
    session: ReadSession, owner: str, *, limit: int = 50, cursor: str | None = None
) -> Page[Chat]:
    """Return the owner's chats, the one that was used last first.

    Raises:
        BadInput: `bad_cursor`.
    """
    return await page_of_chats(session, ChatRow.owner == owner, limit=limit, cursor=cursor)


async def page_of_chats(
    session: ReadSession, whose: sa.ColumnElement[bool], *, limit: int = 50, cursor: str | None = None
) -> Page[Chat]:
    """Return the chats of this where clause, the one that was used last first.

    Raises:
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = _query(whose).order_by(ChatRow.updated_at.desc(), ChatRow.id.desc()).limit(limit + 1)
    if cursor is not None:
        at, last_id = _place(cursor)
        query = query.where((ChatRow.updated_at < at) | ((ChatRow.updated_at == at) & (ChatRow.id < last_id)))
    items = [Chat.model_validate(row, from_attributes=True) for row in await session.execute(query)]
    if len(items) <= limit:
        return Page(items, None)
    last = items[limit - 1]
    return Page(items[:limit], encode_cursor(last.updated_at.isoformat(), str(last.id)))


async def rename_chat(session: WriteSession, owner: str, chat_id: UUID, title: str) -> Chat:
    """Give a chat another title.

    Raises:
        NotFound: `chat_not_found`.
    """
    await _change(session, owner, chat_id, title=title[:TITLE_CHARS], updated_at=utcnow())
    return await get_chat(session, owner, chat_id)


async def set_chat_agent(session: WriteSession, owner: str, chat_id: UUID, agent_id: UUID | None) -> None:
    """Let another agent answer in a chat from its next message on, or none.

    Raises:
        NotFound: `chat_not_found`.
    """
    await _change(session, owner, chat_id, agent_id=agent_id, updated_at=utcnow())


async def delete_chat(session: WriteSession, owner: str, chat_id: UUID) -> None:
    """Delete a chat softly: nobody sees it or its messages any more.

    Raises:
        NotFound: `chat_not_found`.
    """
    await _change(session, owner, chat_id, deleted_at=utcnow())


def chat_not_found(chat_id: UUID) -> NotFound:
    """Return the error for a chat that is not there, or not the caller's."""
    return NotFound(f"There is no chat {chat_id}.", "chat_not_found")


def _query(whose: sa.ColumnElement[bool]) -> AnySelect:
    said = sa.select(sa.func.count()).where(MessageRow.chat_id == ChatRow.id, MessageRow.deleted_at.is_(None))
    runs = sa.select(MessageRow.run_id).where(MessageRow.chat_id == ChatRow.id).correlate(ChatRow)
    cost = sa.select(sa.func.coalesce(sa.func.sum(RunRow.cost_usd), sa.literal(Decimal(0), Money())))
    return sa.select(
        *(ChatRow.id, ChatRow.title, ChatRow.agent_id, ChatRow.created_at, ChatRow.updated_at),
        said.scalar_subquery().label("messages"),
        cost.where(RunRow.id.in_(runs)).scalar_subquery().label("cost_usd"),
    ).where(whose, ChatRow.deleted_at.is_(None))


async def _change(session: WriteSession, owner: str, chat_id: UUID, **values: Any) -> None:
    here = (_CHATS.c.id == chat_id, _CHATS.c.owner == owner, _CHATS.c.deleted_at.is_(None))
    if not await changed_rows(session, sa.update(_CHATS).where(*here).values(**values)):
        raise chat_not_found(chat_id)


def _place(cursor: str) -> tuple[datetime, UUID]:
    at, last_id = decode_cursor(cursor, parts=2)
    try:
        place = datetime.fromisoformat(at), UUID(last_id)
    except ValueError:
        raise bad_cursor() from None
    if place[0].tzinfo is None:
        raise bad_cursor()
    return place
