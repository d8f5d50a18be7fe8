"""One web socket of a chat: what may be sent over it, and what comes back."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from uuid import UUID

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.bodies import parse_json
from api.caller import Caller, admitted
from api.limits import Kind
from api.problems import dotted, explain, invalid, problem_of
from api.resources import Resources
from api.sse import MAX_SEQ
from api.trigger import KEY
from api.turns import NewMessage, TurnFailure, accept_turn, answer_of
from contracts.people import Scope
from database.queue.runs import get_run
from database.talk.guests import heard_by_guests, turn_run
from database.talk.shares import opened
from runtime.errors import (
    Conflict,
    MillraceError,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    Unavailable,
)

MOST_AT_ONCE = 8
# Of the range that RFC 6455 leaves to applications; the last digits are those of HTTP.
CLOSE_CODES = {NotAuthenticated: 4401, NotAllowed: 4403, NotFound: 4404}

log = structlog.get_logger(__name__)


class Say(NewMessage):
    """Say something; its run's log and its answer follow."""

    type: Literal["message"]
    idempotency_key: str | None = Field(None, min_length=1, max_length=255, pattern=KEY)


class Follow(BaseModel):
    """Go on with the run of a turn of this chat whose log was cut off."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["follow"]
    run_id: UUID
    after: int = Field(0, ge=0, le=MAX_SEQ, description="The last event that you have.")


Asked = Annotated[Say | Follow, Field(discriminator="type")]
ASKED: TypeAdapter[Say | Follow] = TypeAdapter(Asked)


@dataclass(slots=True)
class ChatSocket:
    """An accepted socket of a caller who may read the chat.

    Args:
        websocket: the connection.
        resources: of the process.
        caller: who speaks.
        chat_id: in which chat.
        ask_again: returns while the caller's credential is good, and raises when it is not.
        request_id: for problems and the log.
    """

    websocket: WebSocket
    resources: Resources
    caller: Caller
    chat_id: UUID
    ask_again: Callable[[], Awaitable[Any]] | None
    request_id: str
    _sending: asyncio.Lock = field(default_factory=asyncio.Lock)
    _followed: set[asyncio.Task[None]] = field(default_factory=set)
    _broken: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self) -> MillraceError | None:
        """Serve until the client goes away, or until it may not be here any more; return why then."""
        listening = asyncio.create_task(self._listen(), name="socket-listening")
        watching = asyncio.create_task(self._watch(), name="socket-watching")
        cutting = asyncio.create_task(self._broken.wait(), name="socket-cutting")
        try:
            await asyncio.wait({listening, watching, cutting}, return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                listening.result()
            return watching.result() if watching.done() else None
        finally:
            tasks = [listening, watching, cutting, *self._followed]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def send(self, kind: str, **data: Any) -> None:
        """Send one message; a client that takes nothing of it for too long is cut off."""
        try:
            async with self._sending, asyncio.timeout(self.resources.settings.api_patience_seconds):
                await self.websocket.send_json({"type": kind, **data})
        except TimeoutError:
            self._broken.set()
            raise

    async def _listen(self) -> None:
        """Take messages until the client goes away."""
        with suppress(WebSocketDisconnect, TimeoutError, RuntimeError):
            while True:
                asked = await read_text(self.websocket, self.resources.settings.api_max_json_bytes)
                try:
                    await self._take(parsed(ASKED, asked))
                except MillraceError as error:
                    told = problem_of(error, self.request_id)
                    await self.send("problem", problem=told.model_dump(mode="json"))

    async def _watch(self) -> MillraceError:
        """Return once the credential has died, or the chat is not the caller's to read any more."""
        while True:
            await asyncio.sleep(self.resources.settings.api_heartbeat_seconds)
            try:
                if self.ask_again is not None:
                    await self.ask_again()
                async with self.resources.database.read() as session:
                    await opened(session, self.caller.reader, self.chat_id)
            except (NotAuthenticated, NotAllowed, NotFound) as error:
                return error
            except Unavailable:  # Nobody can tell now; the next time, perhaps.
                continue

    async def _take(self, asked: Say | Follow) -> None:
        if len(self._followed) >= MOST_AT_ONCE:
            raise Conflict(f"{MOST_AT_ONCE} runs are being followed here; wait for one to end.", "conflict")
        if isinstance(asked, Follow):
            await admitted(self.resources, self.caller, Kind.READ, [Scope.CHATS_READ])
            async with self.resources.database.read() as session:
                found = await opened(session, self.caller.reader, self.chat_id)
                run = await turn_run(session, self.caller.reader, self.chat_id, asked.run_id)
            self._follow(found.owner, run.id, asked.after, guest=found.guest)
            return
        await admitted(self.resources, self.caller, Kind.START, [Scope.CHATS_WRITE])
        turn = await self.resources.database.write(
            accept_turn, self.caller, self.chat_id, asked, asked.idempotency_key
        )
        told = turn.message.model_dump(mode="json")
        await self.send("accepted", run_id=str(turn.run.id), message=told, replayed=not turn.created)
        self._follow(turn.owner, turn.run.id, 0, guest=turn.guest)

    def _follow(self, owner: str, run_id: UUID, after: int, *, guest: bool) -> None:
        telling = self._tell(owner, run_id, after, guest=guest)
        task = asyncio.create_task(telling, name=f"socket-run-{run_id}")
        self._followed.add(task)
        task.add_done_callback(self._followed.discard)
        task.add_done_callback(self._heard)

    def _heard(self, done: asyncio.Task[None]) -> None:
        """End the socket when a log could not be told to its end: the client may come again for the rest."""
        if done.cancelled() or (error := done.exception()) is None:
            return
        if not isinstance(error, TimeoutError | WebSocketDisconnect):
            log.error("socket_failed", exc_info=error)
        self._broken.set()

    async def _tell(self, owner: str, run_id: UUID, after: int, *, guest: bool) -> None:
        async with self.resources.tail.listen(run_id, after) as listener:
            while not listener.over:
                events = await listener.next(self.resources.settings.api_heartbeat_seconds)
                for event in heard_by_guests(events) if guest else events:
                    await self.send("event", event=event.model_dump(mode="json"))
        async with self.resources.database.read() as session:
            run = await get_run(session, owner, run_id)
        if answer := await answer_of(self.resources, owner, run):
            await self.send("answer", run_id=str(run_id), message=answer.model_dump(mode="json"))
        elif run.status.terminal:
            failure = TurnFailure(run_id=run_id, status=run.status, error=run.error)
            await self.send("failed", **failure.model_dump(mode="json"))


async def read_text(websocket: WebSocket, most_bytes: int) -> bytes:
    """Return the next message; an empty one for a message that is no text.

    Raises:
        WebSocketDisconnect: the client has gone.
    """
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    sent = (message.get("text") or "").encode(errors="surrogatepass")
    return sent if len(sent) <= most_bytes else b""


def parsed(kind: TypeAdapter[Any], sent: bytes) -> Any:
    """Return a message as what it is.

    Raises:
        BadInput: `malformed_json` or `invalid_parameters`.
    """
    try:
        return kind.validate_python(parse_json(sent))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise invalid([(dotted(each["loc"]) or "body", explain(each)) for each in problems]) from None
