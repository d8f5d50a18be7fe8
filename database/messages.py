"""What was said in a chat. Every function asks whose chat it is."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.chat import Author, Message
from database.chats import chat_not_found
from database.engine import ReadSession, WriteSession
from database.pages import MAX_PAGE, Page, bad_cursor, decode_cursor, encode_cursor
from database.statements import AnyRow, AnySelect, insert_or_existing
from database.tables import ChatRow, MessageRow, core
from runtime.clock import utcnow
from runtime.errors import NotFound
from runtime.ids import new_id

_CHATS = core(ChatRow)
_MESSAGES = core(MessageRow)
_COLUMNS = [_MESSAGES.c[name] for name in Message.model_fields]


async def add_message(
    session: WriteSession,
    owner: str,
    *,
    chat_id: UUID,
    author: Author,
    content: str,
    run_id: UUID | None = None,
    meta: dict[str, Any] | None = None,
    message_id: UUID | None = None,
) -> Message:
    """Say something in a chat of the owner.

    Under a given id, or a second time for the same run and author, the message that is there already
    comes back unchanged: a step that runs twice says it once.

    Raises:
        NotFound: `chat_not_found`.
    """
    # The chat's row is locked until the commit, so that messages get their numbers one after the other.
    seq = (await session.execute(_open_chat(owner, chat_id).with_for_update())).scalar_one_or_none()
    if seq is None:
        raise chat_not_found(chat_id)
    values = {
        "id": message_id or new_id(),
        "chat_id": chat_id,
        "seq": seq + 1,
        "author": author,
        "content": content,
        "run_id": run_id,
        "meta": meta or {},
        "created_at": utcnow(),
    }
    row = await insert_or_existing(session, _MESSAGES, values, [*_COLUMNS, _MESSAGES.c.seq])
    if row.chat_id != chat_id:
        raise chat_not_found(chat_id)
    if row.seq == seq + 1:
        said = {"last_seq": seq + 1, "updated_at": values["created_at"]}
        await session.execute(sa.update(_CHATS).where(_CHATS.c.id == chat_id).values(said))
    return _message(row)


async def get_message(session: ReadSession, owner: str, message_id: UUID) -> Message:
    """Return one message of the owner.

    Raises:
        NotFound: `message_not_found`.
    """
    row = (await session.execute(_query(owner).where(MessageRow.id == message_id))).one_or_none()
    if row is None:
        raise _not_found(message_id)
    return _message(row)


async def list_messages(
    session: ReadSession, owner: str, chat_id: UUID, *, limit: int = 50, cursor: str | None = None
) -> Page[Message]:
    """Return the messages of a chat, oldest first.

    Raises:
        NotFound: `chat_not_found`.
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = _query(owner).add_columns(MessageRow.seq).where(MessageRow.chat_id == chat_id)
    if cursor is not None:
        query = query.where(MessageRow.seq > _seq(cursor))
    rows = (await session.execute(query.order_by(MessageRow.seq).limit(limit + 1))).all()
    if not rows and (await session.execute(_open_chat(owner, chat_id))).first() is None:
        raise chat_not_found(chat_id)
    more = len(rows) > limit
    return Page(
        [_message(row) for row in rows[:limit]], encode_cursor(str(rows[limit - 1].seq)) if more else None
    )


async def history_before(
    session: ReadSession, owner: str, message_id: UUID, limit: int = 50
) -> list[Message]:
    """Return the last `limit` messages of the same chat before this one, oldest first.

    Raises:
        NotFound: `message_not_found`.
    """
    place = (
        await session.execute(_query(owner).add_columns(MessageRow.seq).where(MessageRow.id == message_id))
    ).one_or_none()
    if place is None:
        raise _not_found(message_id)
    query = _query(owner).where(MessageRow.chat_id == place.chat_id, MessageRow.seq < place.seq)
    rows = (await session.execute(query.order_by(MessageRow.seq.desc()).limit(limit))).all()
    return [_message(row) for row in reversed(rows)]


async def delete_message(session: WriteSession, owner: str, message_id: UUID) -> None:
    """Delete a message softly.

    Raises:
        NotFound: `message_not_found`.
    """
    await get_message(session, owner, message_id)
    change = sa.update(_MESSAGES).where(_MESSAGES.c.id == message_id)
    await session.execute(change.values(deleted_at=utcnow()))


def _open_chat(owner: str, chat_id: UUID) -> sa.Select[int]:
    return sa.select(ChatRow.last_seq).where(
        ChatRow.id == chat_id, ChatRow.owner == owner, ChatRow.deleted_at.is_(None)
    )


def _query(owner: str) -> AnySelect:
    return (
        sa.select(*_COLUMNS)
        .join(ChatRow, ChatRow.id == MessageRow.chat_id)
        .where(ChatRow.owner == owner, ChatRow.deleted_at.is_(None), MessageRow.deleted_at.is_(None))
    )


def _message(row: AnyRow) -> Message:
    return Message.model_validate(row, from_attributes=True)


def _seq(cursor: str) -> int:
    (text,) = decode_cursor(cursor, parts=1)
    # More digits than any count of messages are no number of ours, and SQLite refuses them.
    if not (text.isascii() and text.isdigit() and len(text) < len(str(2**31))):
        raise bad_cursor()
    return int(text)


def _not_found(message_id: UUID) -> NotFound:
    return NotFound(f"There is no message {message_id}.", "message_not_found")
