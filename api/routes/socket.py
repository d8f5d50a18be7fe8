"""A chat over a web socket: messages in, the logs of their runs and the answers out (docs/events.md).

The credential comes by the header, by the subprotocol `bearer.<credential>` beside `millrace.v1`, which is
the one that is taken, or as the first message; never in the address.
"""

import asyncio
import time
from typing import Annotated, Literal
from uuid import UUID

import structlog
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from api.caller import Caller, CredentialNow, ProjectWanted, admitted, caller_with
from api.chat_socket import CLOSE_CODES, ChatSocket, parsed, read_text
from api.limits import Kind
from api.problems import problem_of, problem_response
from api.resources import Resources, ResourcesNow
from contracts.people import Scope
from database.talk.shares import opened
from runtime.errors import MillraceError, NotAuthenticated, TooMany
from runtime.ids import new_id

router = APIRouter(prefix="/chats", tags=["chats"])

PROTOCOL = "millrace.v1"
FIRST_MESSAGE_SECONDS = 10
FIRST_MESSAGE_BYTES = 16 * 1024
TRY_LATER = 1013
POLICY = 1008

log = structlog.get_logger(__name__)


class Authenticate(BaseModel):
    """The first message of a client that could send its credential no other way."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["authenticate"]
    credential: str = Field(min_length=1, max_length=8192)
    project: UUID | None = None


AUTHENTICATE = TypeAdapter(Authenticate)


@router.websocket("/{chat_id}/ws")
async def chat_socket(
    websocket: WebSocket,
    chat_id: UUID,
    resources: ResourcesNow,
    credential: CredentialNow,
    wanted: ProjectWanted = None,
    project: Annotated[UUID | None, Query()] = None,
) -> None:
    """Speak in a chat and hear its answers as they are written."""
    began, actor = time.perf_counter(), None
    websocket.state.request_id = str(new_id())
    try:
        if resources.people is None or credential is not None:
            caller = await caller_with(websocket, resources, credential, wanted or project)
            await _admit(resources, caller, chat_id)
            await _accept(websocket)
        else:
            await _accept(websocket)
            caller = await _first_message(websocket, resources, wanted or project)
            await _admit(resources, caller, chat_id)
        actor = caller.actor
        await _serve(websocket, resources, caller, chat_id)
    except MillraceError as error:
        await _refuse(websocket, error)
    except (WebSocketDisconnect, RuntimeError):
        pass  # The client has gone in the middle of it.
    finally:
        seconds = round(time.perf_counter() - began, 1)
        log.info("socket", path=websocket.url.path, seconds=seconds, actor=actor)


async def _serve(websocket: WebSocket, resources: Resources, caller: Caller, chat_id: UUID) -> None:
    socket = ChatSocket(
        websocket,
        resources,
        caller,
        chat_id,
        getattr(websocket.state, "ask_again", None),
        websocket.state.request_id,
    )
    if resources.people is None:
        why = await socket.serve()
    else:
        with resources.people.streams.place(caller.actor):
            why = await socket.serve()
    if why is not None:
        raise why


async def _admit(resources: Resources, caller: Caller, chat_id: UUID) -> None:
    await admitted(resources, caller, Kind.READ, [Scope.CHATS_READ])
    async with resources.database.read() as session:
        await opened(session, caller.reader, chat_id)


async def _accept(websocket: WebSocket) -> None:
    # Of what is offered ours is taken, and the credential never said back.
    ours = PROTOCOL if PROTOCOL in websocket.scope.get("subprotocols", []) else None
    await websocket.accept(subprotocol=ours)


async def _first_message(websocket: WebSocket, resources: Resources, project: UUID | None) -> Caller:
    try:
        async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
            sent = await read_text(websocket, FIRST_MESSAGE_BYTES)
    except TimeoutError:
        raise NotAuthenticated("Say who you are first: {'type': 'authenticate', …}.") from None
    told: Authenticate = parsed(AUTHENTICATE, sent)
    return await caller_with(websocket, resources, told.credential, told.project or project)


async def _refuse(websocket: WebSocket, error: MillraceError) -> None:
    """Answer the handshake with a problem; once it is accepted, say it and close with a code of its kind."""
    told = problem_of(error, websocket.state.request_id)
    if websocket.application_state is WebSocketState.CONNECTING:
        answer = problem_response(websocket.scope, told.code, told.detail, told.errors)
        await websocket.send_denial_response(answer)
        return
    if websocket.application_state is not WebSocketState.CONNECTED:
        return
    codes = (code for kind, code in CLOSE_CODES.items() if isinstance(error, kind))
    otherwise = TRY_LATER if isinstance(error, TooMany) else POLICY
    await websocket.send_json({"type": "problem", "problem": told.model_dump(mode="json")})
    await websocket.close(next(codes, otherwise), told.code)
