"""Read server-sent events (WHATWG HTML §9.2) from lines of text."""

from collections.abc import AsyncIterator
from typing import NamedTuple


class Sent(NamedTuple):
    """One event as it was sent."""

    kind: str
    id: str
    data: str


async def read_events(lines: AsyncIterator[str]) -> AsyncIterator[Sent]:
    """Yield each complete event; one that was cut off by the end of the stream is dropped."""
    kind, last_id, data = "", "", list[str]()
    async for line in lines:
        if not line:
            if data:
                yield Sent(kind or "message", last_id, "\n".join(data))
            kind, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            kind = value
        elif field == "id" and "\0" not in value:
            last_id = value
