"""Server-sent events: a run's log as `text/event-stream`, resumable by `Last-Event-ID`."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Annotated, Any
from uuid import UUID

from fastapi import Header, Query
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from api.resources import Resources
from api.streams import while_known
from contracts.runs import Event
from database.talk.guests import heard_by_guests

MAX_SEQ = 2**31 - 1
RECONNECT_MILLISECONDS = 1000

LastEventId = Annotated[
    int | None,
    Header(
        alias="Last-Event-ID", ge=0, le=MAX_SEQ, description="The last event that you have; sent by browsers."
    ),
]
After = Annotated[
    int, Query(ge=0, le=MAX_SEQ, description="The same where headers cannot be set; the header wins.")
]
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A stream of events.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'id: 7\nevent: token\ndata: {"run_id":"…","seq":7,"kind":"token","data":{…}}\n\n',
            }
        },
    }
}


class EventStream(StreamingResponse):
    """A streaming response that closes its source at once when the client goes away."""

    media_type = "text/event-stream"

    def __init__(self, source: AsyncGenerator[bytes], headers: dict[str, str] | None = None) -> None:
        # nginx holds streams back unless it is told not to.
        super().__init__(source, headers={"X-Accel-Buffering": "no", **(headers or {})})
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream; its source is closed whatever ends it.

        Raises:
            TooMany: the caller has too many open.
        """
        resources: Resources = scope["app"].state.resources
        state, people = scope["state"], resources.people
        async with aclosing(self._source):
            if people is None:
                await super().__call__(scope, receive, send)
                return
            with people.streams.place(state["caller"].actor):
                every = resources.settings.api_heartbeat_seconds
                self.body_iterator = while_known(self._source, state["ask_again"], every)
                await super().__call__(scope, receive, send)


async def follow(
    resources: Resources, run_id: UUID, after: int, *, guest: bool = False
) -> AsyncGenerator[bytes]:
    """Write a run's log behind the event `after`, with a comment in each silence, until the run's end.

    A `guest` hears what is for others than the run's owner.
    """
    yield format_sse_event(retry=RECONNECT_MILLISECONDS)
    async with resources.tail.listen(run_id, after) as listener:
        while not listener.over:
            events = await listener.next(resources.settings.api_heartbeat_seconds)
            if heard := heard_by_guests(events) if guest else events:
                yield b"".join(_lines(heard))
            elif not listener.over:
                yield KEEPALIVE_COMMENT


def written(name: str, data: BaseModel) -> bytes:
    """Write one event that is not part of a log, and so has no id."""
    return format_sse_event(event=name, data_str=data.model_dump_json())


def _lines(events: Iterable[Event]) -> Iterable[bytes]:
    for event in events:
        yield format_sse_event(id=str(event.seq), event=event.kind, data_str=event.model_dump_json())
