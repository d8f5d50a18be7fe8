"""Every error that the API answers with: RFC 9457 problems under stable codes, all listed here."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal, get_args

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from runtime.errors import BadInput, Conflict, MillraceError, NotFound, Unavailable

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "2"
UNTOLD = "The log has the details under the request id."

# code -> (HTTP status, title). A code never changes its meaning; a title may be reworded.
CODES: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request cannot be understood"),
    "malformed_json": (400, "The body is not JSON"),
    "bad_cursor": (400, "The cursor is not from this list"),
    "not_from_here": (403, "Only this machine may call"),
    "not_found": (404, "There is no such address"),
    "unknown_pipeline": (404, "There is no such pipeline"),
    "run_not_found": (404, "There is no such run"),
    "chat_not_found": (404, "There is no such chat"),
    "file_not_found": (404, "There is no such file"),
    "method_not_allowed": (405, "The address does not take this method"),
    "conflict": (409, "The present state forbids it"),
    "idempotency_conflict": (409, "The idempotency key was used for another request"),
    "run_finished": (409, "The run has already ended"),
    "too_large": (413, "The request is too large"),
    "unsupported_media_type": (415, "The body's media type is not taken here"),
    "invalid_parameters": (422, "The parameters are not valid"),
    "internal_error": (500, "Something went wrong on our side"),
    "unavailable": (503, "A part that is needed does not answer"),
    "database_unavailable": (503, "The database does not answer"),
    "database_timeout": (503, "The database took too long"),
    "database_not_migrated": (503, "The database is not migrated to this version"),
    "database_refused": (503, "The database refuses our login"),
}
# The code of an error whose own is not in the table.
FALLBACKS: tuple[tuple[type[MillraceError], str], ...] = (
    (NotFound, "not_found"),
    (Conflict, "conflict"),
    (BadInput, "invalid_parameters"),
    (Unavailable, "unavailable"),
)
BY_STATUS = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}
Place = Literal["body", "query", "path", "header", "cookie"]

log = structlog.get_logger(__name__)


class FieldError(BaseModel):
    """What is wrong with one field."""

    field: str = Field(description="Where it stands, e.g. `params.sources.0.text` or `limit`.")
    message: str


class Problem(BaseModel):
    """An error that a program can act on by its `code` (RFC 9457)."""

    type: str = Field(description="The code as a URI.", examples=["urn:millrace:problem:run_not_found"])
    title: str
    status: int
    code: str = Field(description="Stable.", examples=["run_not_found"])
    detail: str = Field(description="What happened this time, and what to change.")
    errors: list[FieldError] = Field(default_factory=list, description="For invalid parameters: each field.")
    request_id: str = Field(description="As in the X-Request-ID header; the log has it in each line.")


def invalid(errors: Sequence[tuple[str, str]]) -> BadInput:
    """Return the error for parameters that break their schema, from pairs of a dotted path and a message."""
    return BadInput(
        "; ".join(f"{field}: {message}" for field, message in errors[:3]),
        code="invalid_parameters",
        detail={"errors": [{"field": field, "message": message} for field, message in errors]},
    )


def register_problems(app: FastAPI) -> None:
    """Make every error of the application a problem document."""
    app.add_exception_handler(MillraceError, _from_ours)
    app.add_exception_handler(RequestValidationError, _from_validation)
    app.add_exception_handler(HTTPException, _from_starlette)


def problem_response(
    scope: Scope,
    code: str,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the response for a code of the table; works inside middleware too."""
    body = problem(code, detail, errors, scope.get("state", {}).get("request_id", ""))
    retry = {"Retry-After": RETRY_AFTER_SECONDS} if body.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(
        body.model_dump_json(), body.status, headers={**retry, **(headers or {})}, media_type=MEDIA_TYPE
    )


def problem(code: str, detail: str, errors: Sequence[FieldError], request_id: str) -> Problem:
    """Return the document for a code of the table."""
    status, title = CODES[code]
    return Problem(
        type=f"urn:millrace:problem:{code}",
        title=title,
        status=status,
        code=code,
        detail=detail,
        errors=list(errors),
        request_id=request_id,
    )


def dotted(loc: Sequence[int | str]) -> str:
    """Write a pydantic location as a path; the first word, where it was sent, is left out."""
    parts = loc[1:] if loc and loc[0] in get_args(Place) and len(loc) > 1 else loc
    return ".".join(str(part) for part in parts)


def explain(error: Mapping[str, Any]) -> str:
    """Return pydantic's message without the prefix that means nothing to a caller."""
    return str(error["msg"]).removeprefix("Value error, ")


async def _from_ours(request: Request, error: Exception) -> Response:
    if not isinstance(error, MillraceError):
        raise error
    code = error.code if error.code in CODES else _fallback(error)
    if code == "internal_error":
        log.error("request_failed", exc_info=error)
        return problem_response(request.scope, code, UNTOLD)
    errors = [FieldError(**each) for each in error.detail.get("errors", [])]
    return problem_response(request.scope, code, error.message, errors)


def _fallback(error: MillraceError) -> str:
    return next((code for kind, code in FALLBACKS if isinstance(error, kind)), "internal_error")


async def _from_validation(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [FieldError(field=dotted(each["loc"]), message=explain(each)) for each in error.errors()]
    detail = "; ".join(f"{each.field}: {each.message}" for each in errors[:3])
    return problem_response(request.scope, "invalid_parameters", detail, errors)


async def _from_starlette(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = BY_STATUS.get(error.status_code, "bad_request" if error.status_code < 500 else "internal_error")  # noqa: PLR2004
    path = request.url.path
    detail = {
        "not_found": f"Nothing is served at {path}.",
        "method_not_allowed": f"{request.method} is not taken at {path}.",
    }.get(code, str(error.detail))
    return problem_response(request.scope, code, detail, headers=error.headers)
