"""Connections that hold a place without using it, and answers that do not come: each ends by itself."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.responses import StreamingResponse

from api.app import create_app
from api.settings import ApiSettings
from api.slow_clients import impatient
from database.settings import DatabaseSettings
from tests.api.worker import until

SECONDS = 1.0


@pytest.fixture
def settings() -> ApiSettings:
    """A server that loses patience quickly."""
    return ApiSettings(
        api_body_seconds=SECONDS,
        api_patience_seconds=SECONDS,
    )


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[int]:
    """Serve an application with our protocol; yield its port."""

    class Quiet(uvicorn.Server):
        def capture_signals(self):
            return nullcontext()

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, lifespan="off", log_config=None, http=impatient(SECONDS), timeout_graceful_shutdown=2
        )
        server = Quiet(config)
        task = asyncio.create_task(server.serve([bound]))
        await until(lambda: server.started)
        yield bound.getsockname()[1]
        server.should_exit = True
        await task


@asynccontextmanager
async def connection(
    port: int, **options: Any
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def closed(reader: asyncio.StreamReader) -> bytes:
    """Return what came before the connection was cut."""
    async with asyncio.timeout(60):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: local", b"G"])
async def test_a_head_that_does_not_come_is_not_waited_for(app: FastAPI, sent: bytes):
    async with listening(app) as port, connection(port) as (reader, writer):
        writer.write(sent)
        assert await closed(reader) == b""


async def test_a_connection_may_be_used_again_and_is_cut_at_its_second_slow_head(app: FastAPI):
    async with listening(app) as port, connection(port) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"}")
        writer.write(b"GET /healthz HTTP/1.1\r\nHo")
        assert await closed(reader) == b""


async def test_a_body_that_comes_by_drops_is_answered_with_408(app: FastAPI):
    async with listening(app) as port, connection(port) as (reader, writer):
        writer.write(
            b"POST /api/v1/chats HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        async with asyncio.timeout(60):
            answer = await reader.readuntil(b"too_slow")
        assert answer.startswith(b"HTTP/1.1 408")


async def test_who_takes_nothing_of_an_answer_is_cut_off():
    """Else a few idle readers hold as much memory as they like to ask for."""
    ended = asyncio.Event()

    async def endless():
        try:
            while True:
                yield b"x" * 65536
                # As a real source would: an answer that nobody takes any more is noticed between its parts.
                await asyncio.sleep(0)
        finally:
            ended.set()

    async def app(scope, receive, send):
        await StreamingResponse(endless())(scope, receive, send)

    async with listening(app) as port, connection(port, limit=1024) as (_, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(60):
            await ended.wait()


async def test_an_answer_that_does_not_come_is_given_up(store_url: str):
    settings = ApiSettings(api_answer_seconds=SECONDS)
    app = create_app(settings, DatabaseSettings(database_url=SecretStr(store_url)))

    @app.get("/never")
    async def never() -> None:
        await asyncio.Event().wait()

    @app.get("/slowly")
    async def slowly() -> StreamingResponse:
        async def parts():
            yield b"a"
            await asyncio.sleep(2 * SECONDS)
            yield b"b"

        return StreamingResponse(parts())

    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        given_up = await client.get("/never")
        begun = await client.get("/slowly")

    assert (given_up.status_code, given_up.json()["code"]) == (503, "timed_out")
    assert begun.text == "ab"
