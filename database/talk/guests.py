"""What readers of a chat that was shared with them see of its turns besides the words."""

from collections.abc import Iterable
from uuid import UUID

import sqlalchemy as sa

from contracts.chat import ChatRun, Message
from contracts.pipelines import CHAT_TURN
from contracts.runs import Event, EventKind
from database.engine import ReadSession
from database.queue.runs import run_not_found
from database.tables import ChatRow, MessageRow, RunRow
from database.talk.messages import message_not_found
from database.talk.shares import may_read
from database.talk.sharing import Reader

# What each event may tell a guest, the others not being theirs to hear. A state's `waiting` names budgets and
# what is missing; without `step` nobody knows that the tokens of a step begin anew.
_HEARD = {
    EventKind.STATE: {"status", "attempt"},
    EventKind.STEP: {"step", "status", "tries"},
    EventKind.PROGRESS: {"done", "total", "of"},
    EventKind.TOKEN: {"text", "step"},
}


def heard_by_guests(events: Iterable[Event]) -> list[Event]:
    """Return what others than the owner may hear of a turn's log: how it stands and what is said."""
    return [
        event.model_copy(
            update={"data": {k: told for k, told in event.data.items() if k in _HEARD[event.kind]}}
        )
        for event in events
        if event.kind in _HEARD
    ]


async def turn_run(session: ReadSession, reader: Reader, chat_id: UUID, run_id: UUID) -> ChatRun:
    """Return what a reader of a chat may know of the run of one of its turns.

    Raises:
        NotFound: `run_not_found`, also where the chat is not the reader's to read.
    """
    columns = [getattr(RunRow, name) for name in ChatRun.model_fields]
    query = (
        sa.select(*columns)
        .join(ChatRow, (ChatRow.id == RunRow.chat_id) & (ChatRow.owner == RunRow.owner))
        # What a turn started itself has its chat as well, and is its owner's business alone.
        .where(RunRow.id == run_id, RunRow.pipeline == CHAT_TURN.name, RunRow.parent_id.is_(None))
        .where(ChatRow.id == chat_id, ChatRow.deleted_at.is_(None), may_read(reader))
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise run_not_found(run_id)
    return ChatRun.model_validate(row, from_attributes=True)


async def readable_message(session: ReadSession, reader: Reader, message_id: UUID) -> tuple[str, Message]:
    """Return a message of a chat that the reader may read, and whose chat it is.

    Raises:
        NotFound: `message_not_found`.
    """
    columns = [getattr(MessageRow, name) for name in Message.model_fields]
    query = (
        sa.select(*columns, ChatRow.owner)
        .join(ChatRow, ChatRow.id == MessageRow.chat_id)
        .where(MessageRow.id == message_id, MessageRow.deleted_at.is_(None))
        .where(ChatRow.deleted_at.is_(None), may_read(reader))
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise message_not_found(message_id)
    return row.owner, Message.model_validate(row, from_attributes=True)
