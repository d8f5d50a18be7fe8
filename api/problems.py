"""Every error that the API answers with: RFC 9457 problems under stable codes, all listed here."""

import json
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

from runtime.errors import (
    BadInput,
    Conflict,
    MillraceError,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    TooMany,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "2"
UNTOLD = "The log has the details under the request id."

# code -> (HTTP status, title). A code never changes its meaning; a title may be reworded.
CODES: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request cannot be understood"),
    "unknown_host": (400, "This server has another name"),
    "malformed_json": (400, "The body is not JSON"),
    "bad_cursor": (400, "The cursor is not from this list"),
    "bad_state": (400, "This sign-in was not begun in this browser"),
    "wrong_password": (400, "The current password is wrong"),
    "not_authenticated": (401, "Say who you are"),
    "bad_token": (401, "The credential is not valid"),
    "token_expired": (401, "The access token has expired"),
    "wrong_login": (401, "The email address or the password is wrong"),
    "bad_sign_in_code": (401, "The code is not good any more"),
    "bad_refresh_token": (401, "The refresh token is not good any more"),
    "not_allowed": (403, "The caller may not do this"),
    "missing_scope": (403, "The caller lacks a scope"),
    "no_people": (403, "This server knows no people"),
    "email_not_verified": (403, "The email address is not verified"),
    "sign_in_denied": (403, "The person did not agree"),
    "not_invited": (403, "Nobody here knows this person"),
    "account_disabled": (403, "The account is disabled here"),
    "managed_elsewhere": (403, "Another server manages this"),
    "chat_read_only": (403, "The chat was shared to be read"),
    "agent_read_only": (403, "The agent was not shared for this"),
    "project_admin_needed": (403, "Only an administrator of the project may do this"),
    "key_of_another": (403, "Somebody else made the key"),
    "four_eyes": (403, "Nobody approves their own work"),
    "not_from_here": (403, "Only this machine may call"),
    "not_found": (404, "There is no such address"),
    "unknown_pipeline": (404, "There is no such pipeline"),
    "run_not_found": (404, "There is no such run"),
    "model_not_found": (404, "There is no such model"),
    "webhook_not_found": (404, "No webhook was sent about the run"),
    "chat_not_found": (404, "There is no such chat"),
    "agent_not_found": (404, "There is no such agent"),
    "share_not_found": (404, "There is no such share"),
    "message_not_found": (404, "There is no such message"),
    "budget_not_found": (404, "There is no such budget"),
    "approval_not_found": (404, "There is no such approval"),
    "file_not_found": (404, "There is no such file"),
    "user_not_found": (404, "There is no such user"),
    "project_not_found": (404, "There is no such project"),
    "github_not_offered": (404, "Nobody signs in at GitHub here"),
    "identity_not_found": (404, "There is no such identity"),
    "key_not_found": (404, "There is no such API key"),
    "override_not_found": (404, "The role's routing is the file's"),
    "no_match_left": (404, "There is nothing left to vote on"),
    "match_not_found": (404, "There is no such match"),
    "experiment_not_found": (404, "There is no such experiment"),
    "evaluation_not_found": (404, "There is no such evaluation"),
    "example_not_found": (404, "There is no such example"),
    "recommendation_not_found": (404, "There is no such recommendation"),
    "unknown_program": (404, "There is no such program"),
    "program_version_not_found": (404, "There is no such version of the program"),
    "canary_not_found": (404, "No version was ever a canary"),
    "method_not_allowed": (405, "The address does not take this method"),
    "conflict": (409, "The present state forbids it"),
    "idempotency_conflict": (409, "The idempotency key was used for another request"),
    "run_finished": (409, "The run has already ended"),
    "not_waiting": (409, "The run does not wait"),
    "run_not_ended": (409, "The run has not ended yet"),
    "run_succeeded": (409, "The run has succeeded"),
    "key_busy": (409, "The concurrency key is taken"),
    "email_taken": (409, "The email address is taken"),
    "link_needed": (409, "The account must be linked first"),
    "agent_of_project": (409, "The agent is a project's"),
    "agent_ambiguous": (409, "Several agents have the name"),
    "agent_name_taken": (409, "Another agent has the name"),
    "chat_of_other_agent": (409, "Another agent answers in the chat"),
    "chat_of_project": (409, "The chat is a project's"),
    "identity_taken": (409, "The identity is somebody else's"),
    "last_way_in": (409, "The last way to sign in stays"),
    "runs_under_way": (409, "Runs are under way"),
    "last_admin": (409, "The last administrator stays"),
    "project_full": (409, "The project is full"),
    "signature_changed": (409, "The version does not fit the code"),
    "already_voted": (409, "This person has voted"),
    "canary_running": (409, "A canary of the program answers"),
    "experiment_running": (409, "An experiment compares the same"),
    "experiment_ended": (409, "The experiment has ended"),
    "no_winner": (409, "Nobody has won yet"),
    "no_canary": (409, "The version cannot answer beside the active one"),
    "nothing_to_compare": (409, "The version is the active one"),
    "nothing_to_learn": (409, "Nothing can be learned from this run"),
    "nothing_to_roll_back": (409, "Nothing was served before"),
    "already_decided": (409, "It was decided already"),
    "approval_expired": (409, "The time to decide is over"),
    "approval_withdrawn": (409, "Its run does not ask any more"),
    "not_approved": (409, "The recommendation is not approved"),
    "not_open": (409, "The recommendation waits for no decision"),
    "not_asked_yet": (409, "The gate does not ask yet"),
    "digest_mismatch": (409, "The decision is about something else"),
    "too_slow": (408, "The request came too slowly"),
    "too_large": (413, "The request is too large"),
    "unsupported_media_type": (415, "The body's media type is not taken here"),
    "decision_not_offered": (422, "The question cannot be answered so"),
    "invalid_parameters": (422, "The parameters are not valid"),
    "unknown_step": (422, "The run has no such step"),
    "key_not_free": (422, "The pipeline gives its runs another concurrency key"),
    "unknown_arm": (422, "The experiment has no such arm"),
    "unknown_deployment": (422, "There is no such deployment"),
    "too_few_examples": (422, "The program has too few examples"),
    "bad_examples": (422, "These are no examples of the program"),
    "empty_feedback": (422, "The feedback says nothing"),
    "not_an_answer": (422, "Only an answer can be judged"),
    "bad_program_state": (422, "This is no state of the program"),
    "too_many_requests": (429, "Too many requests"),
    "answer_refused": (400, "The model does not take this request"),
    "answer_limited": (429, "The model's provider wants to be asked less often"),
    "answer_failed": (502, "The run behind the answer failed"),
    "answer_late": (504, "The run behind the answer has not ended in time"),
    "internal_error": (500, "Something went wrong on our side"),
    "unavailable": (503, "A part that is needed does not answer"),
    "identity_unavailable": (503, "Nobody can tell now who calls"),
    "timed_out": (503, "The answer took too long"),
    "busy": (503, "Too much at once"),
    "database_unavailable": (503, "The database does not answer"),
    "database_timeout": (503, "The database took too long"),
    "database_not_migrated": (503, "The database is not migrated to this version"),
    "database_refused": (503, "The database refuses our login"),
}
# The code of an error whose own is not in the table.
FALLBACKS: tuple[tuple[type[MillraceError], str], ...] = (
    (NotFound, "not_found"),
    (NotAuthenticated, "not_authenticated"),
    (NotAllowed, "not_allowed"),
    (TooMany, "too_many_requests"),
    (Conflict, "conflict"),
    (BadInput, "invalid_parameters"),
    (Unavailable, "unavailable"),
)
# Headers that an answer of this status must have.
ALWAYS: dict[int, dict[str, str]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": RETRY_AFTER_SECONDS},
}
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
    told: str | None = None,
) -> Response:
    """Return the response for a code of the table; works inside middleware too.

    Below `/v1/` the problem has OpenAI's `error` beside it, where its clients look; `told` is its code there.
    """
    body = problem(code, detail, errors, scope.get("state", {}).get("request_id", ""))
    content = body.model_dump(mode="json")
    if scope.get("path", "").startswith("/v1/"):
        content["error"] = openai_error(told or code, detail, body.status)
    always = ALWAYS.get(body.status, {})
    return Response(
        json.dumps(content, ensure_ascii=False),
        body.status,
        headers={**always, **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def openai_error(code: str, message: str, status: int) -> dict[str, Any]:
    """Return an error as OpenAI's API words it."""
    kind = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    return {"message": message, "type": kind, "param": None, "code": code}


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


def problem_of(error: MillraceError, request_id: str) -> Problem:
    """Return an error of ours as a document."""
    code = error.code if error.code in CODES else _fallback(error)
    if code == "internal_error":
        log.error("request_failed", exc_info=error)
        return problem(code, UNTOLD, [], request_id)
    errors = [FieldError(**each) for each in error.detail.get("errors", [])]
    return problem(code, error.message, errors, request_id)


async def _from_ours(request: Request, error: Exception) -> Response:
    if not isinstance(error, MillraceError):
        raise error
    told = problem_of(error, "")
    return problem_response(request.scope, told.code, told.detail, told.errors, error.detail.get("headers"))


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
