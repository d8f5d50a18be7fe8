"""Connections that hold a place without using it: those who send a head by drops, or take no answer."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def impatient(seconds: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol, which cuts a connection off after so many seconds of either.

    uvicorn itself waits for the first byte, for the end of a head and for a reader for ever. The time for a
    body is for the application to tell, which can answer (api/bodies.py).
    """

    class Impatient(HttpToolsProtocol):
        """One connection, with a clock for its request's head and one for its reader."""

        _head: asyncio.TimerHandle | None = None
        _reader: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._head = self.loop.call_later(seconds, transport.abort)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            _stop(self._head)
            self._head = self.loop.call_later(seconds, self.transport.abort)

        def on_headers_complete(self) -> None:
            _stop(self._head)
            super().on_headers_complete()

        def handle_websocket_upgrade(self) -> None:
            _stop(self._head)
            super().handle_websocket_upgrade()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._reader = self.loop.call_later(seconds, self.transport.abort)

        def resume_writing(self) -> None:
            _stop(self._reader)
            super().resume_writing()

        def connection_lost(self, exc: Exception | None) -> None:
            _stop(self._head)
            _stop(self._reader)
            super().connection_lost(exc)

    return Impatient


def _stop(clock: Any) -> None:
    if clock is not None:
        clock.cancel()
