"""Run the API under uvicorn, with care for event streams at the end."""

import contextlib
import socket
import sys

import uvicorn

from api.app import create_app
from api.auth.settings import AuthSettings
from api.settings import ApiSettings, refuse_open_bind
from api.slow_clients import impatient
from runtime.log import configure_logging

GRACE_SECONDS = 10


class Server(uvicorn.Server):
    """A uvicorn server that ends event streams before it waits for its connections to end."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: a follower of a stream reconnects elsewhere with its `Last-Event-ID` and misses nothing."""
        self.config.app.state.resources.tail.close_listeners()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def serve(settings: ApiSettings | None = None) -> None:
    """Serve until SIGINT or SIGTERM; requests under way get 10 s to end.

    Raises:
        ConfigurationProblem: `open_bind_refused`, other machines could call and nobody asks who they are.
        SystemExit: the port is taken or the start failed; the log says why.
    """
    settings = settings or ApiSettings()
    refuse_open_bind(settings, AuthSettings())
    configure_logging("api")
    server = Server(
        uvicorn.Config(
            create_app(settings),
            host=settings.api_host,
            port=settings.api_port,
            # Ours is set up already, and has a line of its own for each request.
            log_config=None,
            access_log=False,
            server_header=False,
            # Ours, which believes nobody unless told whom (API_TRUSTED_PROXIES).
            proxy_headers=False,
            http=impatient(settings.api_patience_seconds),
            # A message of a web socket is a body like any other.
            ws_max_size=settings.api_max_json_bytes,
            limit_concurrency=settings.api_max_connections,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(3)
