"""Prefect's server was away for seconds: whoever waits for it goes on the moment that it is back."""

import asyncio

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.worker.reconnecting import Reconnecting, reconnect
from tests.fixtures.prefect_server import free_port


class Coming(httpx.AsyncBaseTransport):
    """Takes a connection after some that it did not take."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.asked <= self.away:
            raise httpx.ConnectError("nobody listens", request=request)
        return httpx.Response(200, request=request)


async def test_a_request_goes_out_as_soon_as_somebody_listens() -> None:
    server = Coming(away=2)
    async with httpx.AsyncClient(transport=Reconnecting(server)) as client:
        assert (await client.get("http://prefect/health")).status_code == 200
    assert server.asked == 3


async def test_whoever_stays_away_is_given_up() -> None:
    async with httpx.AsyncClient(transport=Reconnecting(Coming(away=10**6), seconds=0.3)) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://prefect/health")


async def test_what_was_sent_is_not_sent_again() -> None:
    class Breaks(Coming):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.asked += 1
            raise httpx.ReadError("the answer is lost", request=request)

    server = Breaks(away=0)
    async with httpx.AsyncClient(transport=Reconnecting(server)) as client:
        with pytest.raises(httpx.ReadError):
            await client.post("http://prefect/flow_runs")
    assert server.asked == 1


async def test_prefects_client_connects_so() -> None:
    """It hides its transport; a release that moves it fails here."""
    port = free_port()

    async def listen_late() -> asyncio.Server:
        await asyncio.sleep(0.5)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ntrue")
            await writer.drain()
            writer.close()

        return await asyncio.start_server(answer, "127.0.0.1", port)

    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}):
        async with get_client() as client:
            reconnect(client)
            listening = asyncio.create_task(listen_late())
            assert await client.api_healthcheck() is None
    server = await listening
    server.close()
    await server.wait_closed()
