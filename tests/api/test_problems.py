"""Every error is a problem document with a stable code, and none tells what happens inside."""

import pickle

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from structlog.typing import EventDict

from api.problems import CODES, MEDIA_TYPE, Problem, invalid
from runtime.errors import BadInput, Conflict, MillraceError, NotFound, Unavailable


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/api/v1/../../etc/passwd", 404, "not_found"),
        ("PUT", "/api/v1/runs", 405, "method_not_allowed"),
        ("GET", "/api/v1/runs/not-an-id", 422, "invalid_parameters"),
        ("GET", "/api/v1/runs/0198c0de-7a11-7000-8000-000000000001", 404, "run_not_found"),
        ("GET", "/api/v1/chats/0198c0de-7a11-7000-8000-000000000001", 404, "chat_not_found"),
        ("GET", "/api/v1/files/0198c0de-7a11-7000-8000-000000000001", 404, "file_not_found"),
        ("GET", "/api/v1/runs?cursor=%00%F0", 400, "bad_cursor"),
        ("GET", "/api/v1/runs?limit=99999999999999999999999", 422, "invalid_parameters"),
        ("GET", "/api/v1/runs?status=done", 422, "invalid_parameters"),
    ],
)
async def test_errors_are_problem_documents(
    client: AsyncClient, method: str, path: str, status: int, code: str
):
    answer = await client.request(method, path)

    problem = Problem.model_validate(answer.json())
    assert (status, code, status) == (answer.status_code, problem.code, problem.status)
    assert answer.headers["Content-Type"] == MEDIA_TYPE
    assert f"urn:millrace:problem:{code}" == problem.type
    assert answer.headers["X-Request-ID"] == problem.request_id


async def test_method_not_allowed_tells_which_are(client: AsyncClient):
    assert (await client.delete("/api/v1/runs")).headers["Allow"] == "GET"


async def test_a_mistake_of_ours_is_500_without_its_text(app: FastAPI, logged: list[EventDict]):
    """The text may hold a prompt or a password; the log has it under the request id."""

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("secret words")

    async with AsyncClient(transport=ASGITransport(app), base_url="http://localhost") as caller:
        answer = await caller.get("/broken", headers={"X-Request-ID": "mine-1"})

    assert (
        answer.status_code,
        answer.json()["code"],
        answer.json()["request_id"],
    ) == (500, "internal_error", "mine-1")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert [(line["event"], line["request_id"]) for line in logged] == [
        ("request_failed", "mine-1"),
        ("request", "mine-1"),
    ]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotFound("?", "something_new"), 404, "not_found"),
        (Conflict("?"), 409, "conflict"),
        (BadInput("?"), 422, "invalid_parameters"),
        (Unavailable("?", "model_unavailable"), 503, "unavailable"),
        (Unavailable("?", "database_timeout"), 503, "database_timeout"),
        (MillraceError("secret words"), 500, "internal_error"),
    ],
)
async def test_errors_of_our_packages_keep_their_meaning(
    app: FastAPI, client: AsyncClient, error: MillraceError, status: int, code: str
):
    """Also those whose code this version's table does not know."""

    @app.get("/raises")
    async def raises() -> None:
        raise error

    answer = await client.get("/raises")
    assert (status, code) == (answer.status_code, answer.json()["code"])
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert "secret" not in answer.text


def test_codes_are_well_formed():
    """Programs compare them: snake case, and a status that is an error."""
    assert all(code.isidentifier() and code == code.lower() for code in CODES)
    assert all(400 <= status < 600 for status, _ in CODES.values())


def test_invalid_parameters_survive_pickling():
    """Prefect stores exceptions in states."""
    error = pickle.loads(pickle.dumps(invalid([("limit", "too large")])))  # noqa: S301  what this process has just pickled

    assert (error.code, str(error)) == ("invalid_parameters", "limit: too large")
