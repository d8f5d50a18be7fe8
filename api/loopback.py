"""By which names this server is called. Where nobody is asked who calls, only this machine may call.

Binding to 127.0.0.1 is not enough: `uvicorn --host 0.0.0.0` skips our settings, and a web page whose name
is pointed at 127.0.0.1 (DNS rebinding) or that posts a form reaches a loopback server from any browser.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import problem_response


def only_this_machine(app: ASGIApp) -> ASGIApp:
    """Refuse with 403 what did not arrive at a loopback address, under its name, from no foreign page."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        reason = None if scope["type"] == "lifespan" else _foreign(scope)
        if reason is None:
            await app(scope, receive, send)
        elif scope["type"] == "websocket":
            # Before it is accepted: the client sees a 403.
            await send({"type": "websocket.close", "code": 1008})
        else:
            await problem_response(scope, "not_from_here", reason)(scope, receive, send)

    return guarded


def only_named(app: ASGIApp, names: Sequence[str]) -> ASGIApp:
    """Answer 400 to requests for another name than these or this machine's; `*.` means all names below."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        host = (
            "localhost"
            if scope["type"] == "lifespan"
            else _host_name(f"//{Headers(scope=scope).get('host', '')}")
        )
        if is_loopback(host) or any(_is_named(host, name.lower()) for name in names):
            await app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            reason = "The Host header is not a name of this server (API_TRUSTED_HOSTS)."
            await problem_response(scope, "unknown_host", reason)(scope, receive, send)

    return guarded


def _is_named(host: str, name: str) -> bool:
    return host.endswith(name[1:]) and len(host) >= len(name) if name.startswith("*.") else host == name


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"


def _foreign(scope: Scope) -> str | None:
    server = scope.get("server")
    # No port: a Unix socket or an in-process client.
    if server and server[1] is not None and not is_loopback(server[0]):
        return "The request came over a network. Set API_ALLOW_OPEN_BIND=true only where callers are known."
    headers = Headers(scope=scope)
    if not is_loopback(_host_name(f"//{headers.get('host', '')}")):
        return "The Host header is not a name of this machine; use http://127.0.0.1."
    origin = headers.get("origin")
    if origin is not None and not is_loopback(_host_name(origin)):
        return "The request was sent by a web page of another site."
    return None


def _host_name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
