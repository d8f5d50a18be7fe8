"""Bodies that must not hurt: refused with a problem, before anything is stored."""

from collections.abc import AsyncIterator

import pytest
from httpx2 import AsyncClient

from api.settings import ApiSettings
from database.engine import Database
from database.queue.runs import list_runs

CHAT_TURN = "/api/v1/pipelines/chat_turn/runs"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def nothing_stored(store: Database) -> AsyncIterator[None]:
    """Whatever the test sends, no run comes of it."""
    yield
    async with store.read() as session:
        assert not (await list_runs(session, "local")).items


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        (rb'{"params": {"message": "\ud800"}}', "params.message"),
        (rb'{"params": {"message": "a\u0000b"}}', "params.message"),
        (rb'{"params": {"message": "x", "\u0000": 1}}', "params"),
        (b'{"params": {"message": "x", "mode": 1e999}}', "params.mode"),
        (b'{"params": {"message": ["x", {"y": -1e999}]}}', "params.message.1.y"),
        (b'{"params": {"message": 18446744073709551616}}', "params.message"),
        (b'{"params": {"message": ' + b"[" * 40 + b"]" * 40 + b"}}", "params.message" + ".0" * 30),
        (b"[" * 100_000 + b"]" * 100_000, "body"),
    ],
    ids=["half-surrogate", "nul", "nul-key", "inf", "deep-inf", "huge-int", "deep", "very-deep"],
)
async def test_values_that_some_database_cannot_hold_are_422(client: AsyncClient, body: bytes, field: str):
    """Each of these has crashed a JSON reader, a driver or a database somewhere."""
    answer = await client.post(CHAT_TURN, content=body, headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameters")
    assert field == answer.json()["errors"][0]["field"]


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"params": NaN}',
        b'{"params": Infinity}',
        b"\xff\xfe{}",
        b'"\xed\xa0\x80"',
        b"1" * 5000,
        b'{"a":"\n"}',
    ],
)
async def test_what_is_not_json_is_400(client: AsyncClient, body: bytes):
    answer = await client.post(CHAT_TURN, content=body, headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


@pytest.mark.parametrize("body", [b"null", b"[]", b"3", b'"text"', b"", b'{"params": []}', b'{"extra": 1}'])
async def test_json_of_another_shape_is_422(client: AsyncClient, body: bytes):
    answer = await client.post(CHAT_TURN, content=body, headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameters")


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data"]
)
async def test_json_under_another_name_is_415(client: AsyncClient, media_type: str):
    """A browser's form can send these across sites without asking us; JSON it cannot."""
    headers = {"Content-Type": media_type} if media_type else {}
    answer = await client.post(CHAT_TURN, content=b'{"params": {"message": "x"}}', headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_an_emoji_written_as_a_surrogate_pair_is_taken(client: AsyncClient):
    """The pair is the right way to write it in JSON; only a half is no character."""
    answer = await client.post(CHAT_TURN, content=rb'{"params": {"message": "\ud83d\ude00"}}', headers=JSON)

    assert (answer.status_code, answer.json()["params"]["message"]) == (202, "😀")


async def test_a_body_announced_too_large_is_413_before_it_is_read(
    client: AsyncClient, settings: ApiSettings
):
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read += 1
        yield b" "

    headers = {**JSON, "Content-Length": str(settings.api_max_json_bytes + 1)}
    answer = await client.post(CHAT_TURN, content=body(), headers=headers)

    assert (answer.status_code, answer.json()["code"], read) == (413, "too_large", 0)
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


async def test_a_body_that_grows_too_large_is_413(remote: AsyncClient, settings: ApiSettings):
    """Chunked bodies announce no length."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(settings.api_max_json_bytes // 65536 + 2):
            yield b" " * 65536

    answer = await remote.post(CHAT_TURN, content=body(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert (await remote.get("/healthz")).status_code == 200


async def test_a_form_that_grows_too_large_is_413(remote: AsyncClient, settings: ApiSettings):
    async def body() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n'
        for _ in range(settings.api_max_upload_bytes // 65536 + 2):
            yield b" " * 65536
        yield b"\r\n--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await remote.post("/api/v1/files", content=body(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("length", ["-1", "a lot", "9" * 400])
async def test_a_strange_announcement_is_no_server_error(client: AsyncClient, length: str):
    headers = {**JSON, "Content-Length": length}
    answer = await client.post(CHAT_TURN, content=b'{"params": {"message": "x"}}', headers=headers)

    assert answer.status_code in {202, 413}
