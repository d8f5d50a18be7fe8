"""The outermost layer: request ids, safe headers, one log line."""

import pytest
from httpx2 import AsyncClient
from structlog.typing import EventDict


async def test_a_request_id_of_the_caller_is_kept(client: AsyncClient):
    """One id through the caller's log and ours."""
    answer = await client.get("/healthz", headers={"X-Request-ID": "abc-123.4:5_6"})

    assert answer.headers["X-Request-ID"] == "abc-123.4:5_6"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "<script>", 'a"b', "ü"])
async def test_a_request_id_that_could_forge_a_log_line_is_replaced(client: AsyncClient, given: str):
    answer = await client.get("/healthz", headers={"X-Request-ID": given.encode("latin-1")})

    assert given != answer.headers["X-Request-ID"]
    assert len(answer.headers["X-Request-ID"]) == 36


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/api/v1/runs"])
async def test_every_answer_has_safe_headers(client: AsyncClient, path: str):
    headers = (await client.get(path)).headers

    assert (
        headers["X-Content-Type-Options"],
        headers["X-Frame-Options"],
        headers["Cache-Control"],
    ) == ("nosniff", "DENY", "no-store")


async def test_a_request_is_one_log_line_without_what_was_typed(client: AsyncClient, logged: list[EventDict]):
    """A query can hold a person's words; the path holds ids only."""
    await client.get("/api/v1/runs?pipeline=private", headers={"X-Request-ID": "mine"})
    await client.get("/healthz")

    (line,) = logged
    assert (line["request_id"], line["path"], line["status"]) == ("mine", "/api/v1/runs", 200)
    assert "private" not in str(line)
