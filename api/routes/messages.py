"""What is said in a conversation, and its answers: each answer is a run of the pipeline `chat_turn`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.bodies import StrictRoute
from api.caller import Caller, CallerNow
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import Resources, ResourcesNow
from api.sse import EventStream, follow, written
from api.trigger import IdempotencyKey, Wait, acceptance_headers, settled, storable, tell_acceptance
from contracts.chat import MAX_MESSAGE_CHARS, Author, ChatMode, ChatTurnParams, ChatTurnResult, Message
from contracts.pipelines import CHAT_TURN
from contracts.runs import Origin, Run, RunError, RunStatus
from database import chats, messages
from database.engine import WriteSession
from database.runs import accept_run, get_run
from runtime.errors import NotFound
from runtime.ids import derived_id

router = APIRouter(prefix="/chats/{chat_id}/messages", tags=["chats"], route_class=StrictRoute)

TITLE_FROM_MESSAGE_CHARS = 80
EXAMPLES = {
    "direct": {"summary": "Wait with ?wait=30", "value": {"content": "What does the warm worker do?"}},
    "streamed": {
        "summary": "A careful answer from given material, as it is written",
        "value": {
            "content": "May we cancel at the end of March?",
            "mode": "careful",
            "context": "Either party may terminate with three months' notice to the end of a quarter.",
            "stream": True,
        },
    },
}
STREAMED = (
    "The run has ended; or, with `stream`, its log as it is written (`token`, `progress`, `state` …) and then"
    " one event `message` with the answer, or `failed` with the run's status and error."
)


class NewMessage(BaseModel):
    """What a person says."""

    model_config = ConfigDict(extra="forbid")

    content: str = Field(min_length=1, max_length=MAX_MESSAGE_CHARS)
    mode: ChatMode = Field(
        ChatMode.DIRECT, description="`careful` reads the context first, drafts, and checks its own draft."
    )
    context: str = Field(
        "", max_length=MAX_MESSAGE_CHARS, description="Material that the answer should rest on."
    )
    stream: bool = Field(False, description="Answer with server-sent events.")


class Turn(BaseModel):
    """A message, the run that answers it, and the answer when there is one."""

    run: Run
    message: Message
    answer: Message | None = None


class TurnFailure(BaseModel):
    """Why a streamed answer did not come."""

    run_id: UUID
    status: RunStatus
    error: RunError | None


class MessagePage(BaseModel):
    """Some messages of a conversation."""

    items: list[Message]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


@router.get("", responses=errors("chat_not_found", "bad_cursor", "invalid_parameters"))
async def list_messages(
    chat_id: UUID, caller: CallerNow, resources: ResourcesNow, cursor: Cursor = None, limit: Limit = 50
) -> MessagePage:
    """List what was said, oldest first."""
    async with resources.database.read() as session:
        page = await messages.list_messages(session, caller.owner, chat_id, limit=limit, cursor=cursor)
    return MessagePage(items=page.items, next_cursor=page.next_cursor)


@router.post(
    "",
    status_code=202,
    response_model=Turn,
    responses={
        200: {
            "model": Turn,
            "description": STREAMED,
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **errors(
            "malformed_json",
            "chat_not_found",
            "idempotency_conflict",
            "too_large",
            "unsupported_media_type",
            "invalid_parameters",
        ),
    },
)
async def send_message(
    chat_id: UUID,
    body: Annotated[NewMessage, Body(openapi_examples=EXAMPLES)],
    request: Request,
    response: Response,
    caller: CallerNow,
    resources: ResourcesNow,
    idempotency_key: IdempotencyKey = None,
    wait: Wait = 0,
) -> Turn | Response:
    """Say something and get it answered: as a stream, or waited for, or fetched later from the run.

    The message and its run are committed together. Going away does not stop the answer; it is in the
    list of messages later. A cut stream goes on at `/api/v1/runs/{run_id}/events` (see `Location`).
    """
    run, message, created = await resources.database.write(
        _accept_turn, caller.owner, chat_id, body, idempotency_key
    )
    if body.stream:
        return EventStream(_streamed(resources, caller, run.id), acceptance_headers(run, created))
    run = await settled(request, resources, caller, run, wait)
    tell_acceptance(response, run, created)
    return Turn(run=run, message=message, answer=await _answer(resources, caller, run))


async def _accept_turn(
    session: WriteSession, owner: str, chat_id: UUID, body: NewMessage, key: str | None
) -> tuple[Run, Message, bool]:
    chat = await chats.get_chat(session, owner, chat_id)
    params = ChatTurnParams(message=body.content, chat_id=chat_id, mode=body.mode, context=body.context)
    run, created = await accept_run(
        session,
        pipeline=CHAT_TURN.name,
        pool=CHAT_TURN.pool,
        params=storable(params),
        owner=owner,
        origin=Origin.API,
        idempotency_key=key,
    )
    message = await messages.add_message(
        session,
        owner,
        chat_id=chat_id,
        author=Author.USER,
        content=body.content,
        run_id=run.id,
        message_id=derived_id(run.id, Author.USER),
    )
    if created and not chat.title:
        await chats.rename_chat(session, owner, chat_id, _title(body.content))
    return run, message, created


def _title(content: str) -> str:
    words = " ".join(content.split())
    return words if len(words) <= TITLE_FROM_MESSAGE_CHARS else f"{words[: TITLE_FROM_MESSAGE_CHARS - 1]}…"


async def _streamed(resources: Resources, caller: Caller, run_id: UUID) -> AsyncGenerator[bytes]:
    async with aclosing(follow(resources, run_id, after=0)) as log:
        async for chunk in log:
            yield chunk
    async with resources.database.read() as session:
        run = await get_run(session, caller.owner, run_id)
    if answer := await _answer(resources, caller, run):
        yield written("message", answer)
    elif run.status.terminal:
        yield written("failed", TurnFailure(run_id=run.id, status=run.status, error=run.error))


async def _answer(resources: Resources, caller: Caller, run: Run) -> Message | None:
    if run.status != RunStatus.SUCCEEDED or run.result is None:
        return None
    result = ChatTurnResult.model_validate(run.result)
    async with resources.database.read() as session:
        try:
            return await messages.get_message(session, caller.owner, result.message_id)
        except NotFound:  # Deleted since.
            return None
