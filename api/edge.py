"""The outermost layer: a request id, one log line, safe headers, and no error without an answer."""

import asyncio
import re
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from api.problems import UNTOLD, problem_response
from runtime.ids import new_id

SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "interest-cohort=()",
}
# An answer of ours is data: whatever is in it, a browser runs and frames nothing of it.
STRICT = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
# FastAPI's page loads Swagger UI from elsewhere; it is served in development only.
DOCS = frozenset({"/docs", "/docs/oauth2-redirect"})
A_YEAR = "max-age=31536000"
# Asked every few seconds by probes: they would drown the log.
UNLOGGED = frozenset({"/healthz", "/readyz"})

log = structlog.get_logger(__name__)


def identified(app: ASGIApp) -> ASGIApp:
    """Give each request an id that its answer, its log lines and its problems carry.

    A sane `X-Request-ID` of the caller is kept. An exception that nobody answered becomes a 500 problem
    without its text; the log has it.
    """

    async def edge(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.perf_counter()
        status = 0

        async def finishing(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in _always(scope).items():
                    headers.setdefault(name, value)
            await send(message)

        with bound_contextvars(request_id=request_id):
            try:
                await app(scope, receive, finishing)
            except Exception:
                log.exception("request_failed", method=scope["method"], path=scope["path"])
                if status:  # The answer is half sent: cutting the connection is the only honest end.
                    raise
                problem = problem_response(scope, "internal_error", UNTOLD)
                await problem(scope, receive, finishing)
            finally:
                if scope["path"] not in UNLOGGED:
                    _log(scope, status, time.perf_counter() - began)

    return edge


def answer_in_time(app: ASGIApp, seconds: float) -> ASGIApp:
    """Give an answer up with 503 that has not begun after so many seconds; one that has begun may last.

    A route that is asked to wait says so by `give_more_time`.
    """

    async def timed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(seconds) as clock:
                scope.setdefault("state", {})["clock"] = clock

                async def begun(message: Message) -> None:
                    clock.reschedule(None)
                    await send(message)

                await app(scope, receive, begun)
        except TimeoutError:
            if not clock.expired():
                raise
            detail = "There was no answer in time; what was asked for may still be done."
            await problem_response(scope, "timed_out", detail)(scope, receive, send)

    return timed


def give_more_time(scope: Scope, seconds: float) -> None:
    """Let the answer to a request begin so many seconds later than others."""
    clock: asyncio.Timeout | None = scope["state"].get("clock")
    if clock is not None and (until := clock.when()) is not None:
        clock.reschedule(until + seconds)


def _always(scope: Scope) -> dict[str, str]:
    """Return the headers that every answer has, save where it brought its own."""
    headers = {**SAFE_HEADERS, **scope["state"].get("headers", {})}
    if scope["path"] not in DOCS:
        headers["Content-Security-Policy"] = STRICT
    if scope["scheme"] == "https":
        headers["Strict-Transport-Security"] = A_YEAR
    return headers


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if SANE_ID.fullmatch(given) else str(new_id())


def _log(scope: Scope, status: int, seconds: float) -> None:
    # The path without its query: ids only, nothing that a person typed.
    milliseconds = round(seconds * 1000, 1)
    caller = scope["state"].get("caller")
    log.info(
        "request",
        method=scope["method"],
        path=scope["path"],
        status=status or None,
        ms=milliseconds,
        **({} if caller is None else {"actor": caller.actor}),
    )
