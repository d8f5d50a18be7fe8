"""A connection to Prefect's server that is there again the moment that the server is.

Prefect's client waits 2, 4, 8, 16, 32 s between its tries. A server that was killed and is back after five
seconds so kept the runs that were just beginning for up to fourteen.
"""

import asyncio
import time

import httpx
import structlog
from prefect.client.orchestration import PrefectClient

log = structlog.get_logger()

# After that the client's own pauses begin: it will be long.
PATIENCE_SECONDS = 10.0
PAUSE_SECONDS = 0.25


class Reconnecting(httpx.AsyncBaseTransport):
    """Tries to connect again and again for a while. What was sent is never repeated here.

    Args:
        transport: makes the connections.
        seconds: for how long it tries.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, seconds: float = PATIENCE_SECONDS) -> None:
        self._transport = transport
        self._seconds = seconds

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request over a connection, once there is one.

        Raises:
            httpx.ConnectError: there was none for so long.
        """
        began = time.monotonic()
        while True:
            try:
                return await self._transport.handle_async_request(request)
            except httpx.ConnectError:
                if time.monotonic() - began >= self._seconds:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


def reconnect(client: PrefectClient) -> None:
    """Let a client that is open connect so.

    It cannot be told so when it is made: engines share the one that was made without settings.
    """
    http = client._client  # noqa: SLF001  a contract test guards it
    http._transport = Reconnecting(http._transport)  # noqa: SLF001  as above
