"""A turn of a chat as the API takes it in: a message and the run that answers it, committed together."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.caller import Caller
from api.resources import Resources
from api.trigger import storable, take_in
from contracts.chat import (
    MAX_MESSAGE_CHARS,
    Author,
    ChatMode,
    ChatRun,
    ChatTurnParams,
    ChatTurnResult,
    Message,
    said_by,
)
from contracts.pipelines import CHAT_TURN
from contracts.runs import Run, RunError, RunOptions, RunStatus
from database.engine import WriteSession
from database.queue.slots import key_holder
from database.talk import chats, messages
from database.talk.agents import agent_not_found
from database.talk.shares import opened
from runtime.errors import NotAllowed, NotFound
from runtime.ids import derived_id

TITLE_FROM_MESSAGE_CHARS = 80


class NewMessage(BaseModel):
    """What a person says."""

    model_config = ConfigDict(extra="forbid")

    content: str = Field(min_length=1, max_length=MAX_MESSAGE_CHARS)
    mode: ChatMode | None = Field(
        None,
        description="`careful` reads the context first, drafts, and checks its own draft. Left out: as the"
        " chat's agent does, `direct` without one.",
    )
    context: str = Field(
        "", max_length=MAX_MESSAGE_CHARS, description="Material that the answer should rest on."
    )
    stream: bool = Field(False, description="Answer with server-sent events.")
    options: RunOptions = Field(
        default_factory=RunOptions,
        description="Of the turn's run. By `on_busy` a message waits for the turns before it, replaces them"
        " (`interrupt`), or is refused while one is under way (`reject`).",
    )


class Turn(BaseModel):
    """A message, the run that answers it, and the answer when there is one."""

    run: Run | ChatRun = Field(description="For guests of the chat: how it stands, and no more.")
    message: Message
    answer: Message | None = None


class TurnFailure(BaseModel):
    """Why a streamed answer did not come."""

    run_id: UUID
    status: RunStatus
    error: RunError | None


@dataclass(frozen=True, slots=True)
class AcceptedTurn:
    """A message that was taken in, its run, in whose name both are kept, and whether a guest said it."""

    owner: str
    guest: bool
    run: Run
    message: Message
    created: bool


async def accept_turn(
    session: WriteSession, caller: Caller, chat_id: UUID, body: NewMessage, key: str | None
) -> AcceptedTurn:
    """Take a message and its run in, both in the name of the chat's owner.

    Raises:
        NotFound: `chat_not_found` or `agent_not_found`.
        NotAllowed: `chat_read_only`, or `not_allowed`: a guest wants a webhook.
        Conflict: `idempotency_conflict`, `key_busy` or `chat_of_other_agent`.
        BadInput: `key_not_free` or `too_large`.
    """
    found = await opened(session, caller.reader, chat_id, write=True)
    owner = found.owner
    if found.guest and body.options.webhook_url is not None:
        raise NotAllowed("A webhook tells what a run cost: only the owner asks for one.", "not_allowed")
    if found.guest and key is not None:
        # Keys are their owner's: the same one of a guest is another one.
        key = hashlib.sha256(f"{caller.actor} {key}".encode()).hexdigest()
    chat = await chats.get_chat(session, owner, chat_id)
    if found.guest and body.options.agent_id not in {None, chat.agent_id}:
        # A guest talks with the agent that the chat has, and calls in none of its owner's others.
        raise agent_not_found(body.options.agent_id)
    mode = body.mode or ChatMode.DIRECT
    params = ChatTurnParams(message=body.content, chat_id=chat_id, mode=mode, context=body.context)
    run, created = await take_in(
        session,
        replace(caller, owner=owner),
        CHAT_TURN,
        storable(params),
        options=body.options,
        key=key,
        mode_said=body.mode is not None,
    )
    if created and not chat.title:
        await chats.rename_chat(session, owner, chat_id, _title(body.content))
    if await key_holder(session, owner, run.concurrency_key or "") != run.id:
        message = await _said_or_to_come(session, owner, run, chat_id, body.content)
        return AcceptedTurn(owner, found.guest, run, message, created)
    message = await messages.add_message(
        session,
        owner,
        chat_id=chat_id,
        author=Author.USER,
        content=body.content,
        run_id=run.id,
        message_id=derived_id(run.id, Author.USER),
        meta=said_by(owner, caller.responsible),
    )
    return AcceptedTurn(owner, found.guest, run, message, created)


async def _said_or_to_come(
    session: WriteSession, owner: str, run: Run, chat_id: UUID, content: str
) -> Message:
    """Return a message as the chat has it, or as it will have it once its turn has come."""
    message_id = derived_id(run.id, Author.USER)
    with suppress(NotFound):
        return await messages.get_message(session, owner, message_id)
    return Message(
        id=message_id,
        chat_id=chat_id,
        author=Author.USER,
        content=content,
        run_id=run.id,
        created_at=run.created_at,
    )


def _title(content: str) -> str:
    words = " ".join(content.split())
    return words if len(words) <= TITLE_FROM_MESSAGE_CHARS else f"{words[: TITLE_FROM_MESSAGE_CHARS - 1]}…"


async def answer_of(resources: Resources, owner: str, run: Run) -> Message | None:
    """Return the message that a run has answered with; none while there is none."""
    if run.status != RunStatus.SUCCEEDED or run.result is None:
        return None
    result = ChatTurnResult.model_validate(run.result)
    async with resources.database.read() as session:
        try:
            return await messages.get_message(session, owner, result.message_id)
        except NotFound:  # Deleted since.
            return None
