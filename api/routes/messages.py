"""What is said in a conversation, and its answers: each answer is a run of the pipeline `chat_turn`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, Field

from api.bodies import StrictRoute
from api.caller import Caller, needs
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import Resources, ResourcesNow
from api.sse import EventStream, follow, written
from api.trigger import IdempotencyKey, Wait, acceptance_headers, settled, tell_acceptance
from api.turns import NewMessage, Turn, TurnFailure, accept_turn, answer_of
from contracts.chat import ChatRun, Message
from contracts.people import Scope
from database.queue.runs import get_run
from database.talk import messages
from database.talk.shares import opened

router = APIRouter(prefix="/chats/{chat_id}/messages", tags=["chats"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.CHATS_READ)]
Writer = Annotated[Caller, needs(Scope.CHATS_WRITE)]

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


class MessagePage(BaseModel):
    """Some messages of a conversation."""

    items: list[Message]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


@router.get("", responses=errors("chat_not_found", "bad_cursor", "invalid_parameters"))
async def list_messages(
    chat_id: UUID, caller: Reader, resources: ResourcesNow, cursor: Cursor = None, limit: Limit = 50
) -> MessagePage:
    """List what was said, oldest first."""
    async with resources.database.read() as session:
        owner = (await opened(session, caller.reader, chat_id)).owner
        page = await messages.list_messages(session, owner, chat_id, limit=limit, cursor=cursor)
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
            "agent_not_found",
            "chat_of_other_agent",
            "chat_read_only",
            "not_allowed",
            "idempotency_conflict",
            "key_busy",
            "key_not_free",
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
    caller: Writer,
    resources: ResourcesNow,
    idempotency_key: IdempotencyKey = None,
    wait: Wait = 0,
) -> Turn | Response:
    """Say something and get it answered: as a stream, or waited for, or fetched later from the run.

    The message and its run are committed together. While another turn of the chat is under way the run waits,
    and its message joins the list when its turn has come: what is said before it, answers included, is what
    it is answered from. Going away does not stop the answer; it is in the list of messages later. A cut
    stream goes on at `/api/v1/runs/{run_id}/events` (see `Location`), for the chat's owner; who speaks in a
    chat that was shared with them hears how the run stands and what it says, and finds the answer in its
    messages.
    """
    turn = await resources.database.write(accept_turn, caller, chat_id, body, idempotency_key)
    run, owner = turn.run, turn.owner
    if body.stream:
        _watch_share(request, resources, caller, chat_id)
        return EventStream(
            _streamed(resources, owner, run.id, guest=turn.guest), acceptance_headers(run, turn.created)
        )
    run = await settled(request, resources, replace(caller, owner=owner), run, wait)
    tell_acceptance(response, run, turn.created)
    told = ChatRun.model_validate(run, from_attributes=True) if turn.guest else run
    return Turn(run=told, message=turn.message, answer=await answer_of(resources, owner, run))


@router.delete("/{message_id}", status_code=204, responses=errors("message_not_found", "invalid_parameters"))
async def delete_message(chat_id: UUID, message_id: UUID, caller: Writer, resources: ResourcesNow) -> None:
    """Delete a message: lists and later turns of the chat do not see it any more."""
    await resources.database.write(messages.delete_message, caller.owner, chat_id, message_id)


def _watch_share(request: Request, resources: Resources, caller: Caller, chat_id: UUID) -> None:
    """Let a stream end when the share that it was opened by is taken back, as when the credential dies."""
    ask_again = getattr(request.state, "ask_again", None)
    if ask_again is None:
        return

    async def still() -> None:
        await ask_again()
        async with resources.database.read() as session:
            await opened(session, caller.reader, chat_id)

    request.state.ask_again = still


async def _streamed(resources: Resources, owner: str, run_id: UUID, *, guest: bool) -> AsyncGenerator[bytes]:
    async with aclosing(follow(resources, run_id, after=0, guest=guest)) as log:
        async for chunk in log:
            yield chunk
    async with resources.database.read() as session:
        run = await get_run(session, owner, run_id)
    if answer := await answer_of(resources, owner, run):
        yield written("message", answer)
    elif run.status.terminal:
        yield written("failed", TurnFailure(run_id=run.id, status=run.status, error=run.error))
