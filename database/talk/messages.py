"""What was said in a chat. Every function asks whose chat it is."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.chat import Author, Message
from database.engine import ReadSession, WriteSession
from database.pages import MAX_PAGE, Page, bad_cursor, decode_cursor, encode_cursor
from database.statements import AnyRow, AnySelect, insert_or_existing
from database.tables import ChatRow, MessageRow, RunRow, core
from database.talk.chats import chat_not_found
from runtime.clock import utcnow
from runtime.errors import NotFound
from runtime.ids import new_id

_CHATS = core(ChatRow)
_MESSAGES = core(MessageRow)
_RUNS = core(RunRow)
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
        raise message_not_found(message_id)
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

    The message of a forked turn sees what the turn saw that it was forked from.

    Raises:
        NotFound: `message_not_found`.
    """
    query = sa.select(
        MessageRow.chat_id, sa.func.coalesce(_first_asked(message_id), MessageRow.seq).label("seq")
    )
    query = query.join(ChatRow, ChatRow.id == MessageRow.chat_id).where(
        MessageRow.id == message_id, *_alive(owner)
    )
    if (place := (await session.execute(query)).one_or_none()) is None:
        raise message_not_found(message_id)
    query = _query(owner).where(MessageRow.chat_id == place.chat_id, MessageRow.seq < place.seq)
    rows = (await session.execute(query.order_by(MessageRow.seq.desc()).limit(limit))).all()
    return [_message(row) for row in reversed(rows)]


async def delete_message(session: WriteSession, owner: str, chat_id: UUID, message_id: UUID) -> None:
    """Delete a message of a chat softly: no reader and no later turn sees it any more.

    Raises:
        NotFound: `message_not_found`.
    """
    if (await get_message(session, owner, message_id)).chat_id != chat_id:
        raise message_not_found(message_id)
    change = sa.update(_MESSAGES).where(_MESSAGES.c.id == message_id)
    await session.execute(change.values(deleted_at=utcnow()))


def _open_chat(owner: str, chat_id: UUID) -> sa.Select[int]:
    return sa.select(ChatRow.last_seq).where(
        ChatRow.id == chat_id, ChatRow.owner == owner, ChatRow.deleted_at.is_(None)
    )


def _first_asked(message_id: UUID) -> sa.ScalarSelect[int]:
    """Return where a turn's message, or that of the first turn that it was forked from, stands in its chat.

    It counts although it was deleted since: what was said before it is still there.
    """
    turns = sa.select(_RUNS.c.id, _RUNS.c.forked_from).join(_MESSAGES, _MESSAGES.c.run_id == _RUNS.c.id)
    turns = turns.where(_MESSAGES.c.id == message_id, _MESSAGES.c.author == Author.USER)
    line = turns.cte("line", recursive=True)
    line = line.union_all(sa.select(_RUNS.c.id, _RUNS.c.forked_from).where(_RUNS.c.id == line.c.forked_from))
    asked = _MESSAGES.alias("asked")
    # One look-up by run for each: joined, SQLite would read the whole chat.
    place = sa.select(asked.c.seq).where(asked.c.run_id == line.c.id, asked.c.author == Author.USER)
    place = place.where(asked.c.chat_id == MessageRow.chat_id).correlate(line, _MESSAGES)
    return sa.select(sa.func.min(place.scalar_subquery())).select_from(line).scalar_subquery()


def _query(owner: str) -> AnySelect:
    return sa.select(*_COLUMNS).join(ChatRow, ChatRow.id == MessageRow.chat_id).where(*_alive(owner))


def _alive(owner: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (ChatRow.owner == owner, ChatRow.deleted_at.is_(None), MessageRow.deleted_at.is_(None))


def _message(row: AnyRow) -> Message:
    return Message.model_validate(row, from_attributes=True)


def _seq(cursor: str) -> int:
    (text,) = decode_cursor(cursor, parts=1)
    # More digits than any count of messages are no number of ours, and SQLite refuses them.
    if not (text.isascii() and text.isdigit() and len(text) < len(str(2**31))):
        raise bad_cursor()
    return int(text)


def message_not_found(message_id: UUID) -> NotFound:
    """Return the error for a message that is not there, or not the caller's to see."""
    return NotFound(f"There is no message {message_id}.", "message_not_found")
