"""Event streams belong to their caller: none without a credential, not too many, and none outlives it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest

from contracts.people import Role
from tests.api.conftest import served
from tests.api.people import V1, Town, asking


@pytest.fixture
async def watched(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Town, str, str]]:
    """A server over TCP, its address, and the address of a run that goes on."""
    monkeypatch.setenv("RATE_LIMIT_STREAMS", "2")
    async with asking(store_url, tmp_path) as town, served(town.app) as address:
        uma = await town.settle("uma", Role.USER)
        await town.settle("ada", Role.ADMIN)
        run = (await uma.post("/pipelines/probe/runs", {"params": {}})).json()["id"]
        yield town, address, f"{V1}/runs/{run}/events"


def bearer(town: Town, name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {town[name].tokens['access_token']}"}


async def test_a_stream_needs_a_credential_and_the_right_one(watched: tuple[Town, str, str]):
    town, address, path = watched
    async with httpx2.AsyncClient(base_url=address) as client:
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers=bearer(town, "ada"))).json()["code"] == "run_not_found"


async def test_a_stream_ends_cleanly_when_its_credential_dies(watched: tuple[Town, str, str]):
    """Else whoever was signed out goes on reading for as long as the run takes."""
    town, address, path = watched
    async with (
        httpx2.AsyncClient(base_url=address, timeout=60) as client,
        client.stream("GET", path, headers=bearer(town, "uma")) as answer,
    ):
        lines = answer.aiter_lines()
        while not (await anext(lines)).startswith("event: state"):
            pass
        await town["uma"].post("/auth/logout")
        rest = [line async for line in lines]

    assert "event: unauthenticated" in rest
    assert 'data: {"code": "bad_token"}' in rest


async def test_a_caller_has_a_few_streams_at_once(watched: tuple[Town, str, str]):
    town, address, path = watched
    async with httpx2.AsyncClient(base_url=address, timeout=60) as client, AsyncExitStack() as opened:
        for _ in range(2):
            streamed = client.stream("GET", path, headers=bearer(town, "uma"))
            assert (await opened.enter_async_context(streamed)).status_code == 200
        refused = await client.get(path, headers=bearer(town, "uma"))
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert int(refused.headers["retry-after"]) > 0
        await opened.aclose()

        # The places are free again once the server has noticed that nobody reads.
        async with asyncio.timeout(60):
            while await probe(client, path, bearer(town, "uma")) != 200:  # noqa: ASYNC110  it is in another task
                await asyncio.sleep(0.05)


async def probe(client: httpx2.AsyncClient, path: str, headers: dict[str, str]) -> int:
    async with client.stream("GET", path, headers=headers) as answer:
        return answer.status_code
