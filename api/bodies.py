"""What a request body may be: bounded in size and depth, of one media type, holding storable values only."""

import asyncio
import json
import math
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.params import Form
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import invalid, problem_response
from runtime.errors import BadInput

MAX_DEPTH = 32
MAX_INTEGER = 2**63
MAX_FORM_FILES = 200
# None is taken: they are read to say so by name.
MAX_FORM_FIELDS = 20
UPLOADS = "/api/v1/files"
ONLY_FILES = "send each document as a file of this field, with a file name, and no other fields"

Path = tuple[int | str, ...]


class StrictRoute(APIRoute):
    """A route that reads its body by the rules of this file before FastAPI validates it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler behind our checks."""
        handler = super().get_route_handler()
        if self.body_field is None:
            return handler
        form = isinstance(self.body_field.field_info, Form)
        taken = {field.alias for field in self.dependant.body_params}

        async def strict(request: Request) -> Response:
            if form:
                _expect(request, "multipart/form-data")
                # Read here, because FastAPI would turn our 413 into its 400; it finds the parsed form.
                sent = await request.form(max_files=MAX_FORM_FILES, max_fields=MAX_FORM_FIELDS)
                if any(name not in taken or isinstance(value, str) for name, value in sent.multi_items()):
                    await sent.close()
                    raise invalid([(name, ONLY_FILES) for name in sorted(taken)])
                return await handler(request)
            request = StrictRequest(request.scope, request.receive)
            if await request.body():
                _expect(request, "application/json")
                await request.json()
            return await handler(request)

        return strict


class StrictRequest(Request):
    """A request whose JSON is what every database and every JSON reader can hold."""

    async def json(self) -> Any:
        """Return the parsed body; raises BadInput naming the field that cannot be taken."""
        if not hasattr(self, "_json"):
            self._json = parse_json(await self.body())
        return self._json


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        BadInput: `malformed_json`, or `invalid_parameters` for nesting deeper than 32, numbers outside
            64 bits, and text that holds NUL or half a surrogate pair.
    """
    try:
        value = json.loads(body.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise invalid([("body", f"nested deeper than {MAX_DEPTH} levels")]) from None
    except ValueError as error:
        # A decode error's text can quote the body; its position cannot.
        place = f" near character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise BadInput(f"The body cannot be read as JSON{place}.", code="malformed_json") from None
    if problem := next(_unstorable(value), None):
        raise invalid([problem])
    return value


def limit_bodies(app: ASGIApp, json_bytes: int, upload_bytes: int, seconds: float) -> ASGIApp:
    """Answer 413 to a body over the limit: at once when its length is announced, else while it comes in.

    408 to one that has not come after so many seconds.
    """

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        limit = upload_bytes if scope["path"].rstrip("/") == UPLOADS else json_bytes
        error = BadInput(
            f"The body may have {limit} bytes. Upload documents with POST {UPLOADS}, at most"
            f" {upload_bytes} bytes a request, and name them in the parameters.",
            code="too_large",
        )
        if _announced_bytes(scope) > limit:
            await problem_response(scope, error.code, error.message)(scope, receive, send)
            return
        received, complete = 0, False
        deadline = asyncio.get_running_loop().time() + seconds

        async def counted() -> Message:
            nonlocal received, complete
            try:
                # Behind the body only the end of the connection comes, whenever it likes.
                async with asyncio.timeout_at(None if complete else deadline):
                    message = await receive()
            except TimeoutError:
                raise BadInput(f"The body did not come within {seconds:g} s.", code="too_slow") from None
            complete = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > limit:
                raise error
            return message

        await app(scope, counted, send)

    return limited


def _announced_bytes(scope: Scope) -> int:
    announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    # The first digits tell enough, and Python refuses to read thousands of them.
    return int(announced[:18]) if announced.isdigit() else 0


def _expect(request: Request, media_type: str) -> None:
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != media_type:
        raise BadInput(
            f"This address takes {media_type}, not {sent or 'a body without Content-Type'}.",
            code="unsupported_media_type",
        )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _unstorable(value: Any) -> Iterator[tuple[str, str]]:
    """Yield path and reason of each value that some database or JSON reader would not give back."""
    stack: list[tuple[Any, Path]] = [(value, ())]
    while stack:
        item, path = stack.pop()
        if reason := _reason(item, len(path)):
            yield ".".join(map(str, path)) or "body", reason
        elif isinstance(item, dict):
            for key, inner in item.items():
                if reason := _reason(key, 0):
                    yield ".".join(map(str, path)) or "body", f"a key {reason}"
                stack.append((inner, (*path, key)))
        elif isinstance(item, list):
            stack.extend((inner, (*path, index)) for index, inner in enumerate(item))


def _reason(item: Any, depth: int) -> str | None:
    if isinstance(item, str):
        return _text_reason(item)
    if isinstance(item, float):
        return None if math.isfinite(item) else "is too large a number"
    if isinstance(item, int):
        return None if -MAX_INTEGER <= item < MAX_INTEGER else "is too large a number"
    if isinstance(item, dict | list) and depth >= MAX_DEPTH:
        return f"is nested deeper than {MAX_DEPTH} levels"
    return None


def _text_reason(text: str) -> str | None:
    if "\0" in text:
        return "holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is no character"
    return None
