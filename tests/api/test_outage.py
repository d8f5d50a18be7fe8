"""A real MariaDB that is killed and comes back while callers trigger and listen."""

import asyncio

import pytest
from httpx2 import AsyncClient

from database.engine import Database
from database.migrate import upgrade
from tests.api.test_events import events
from tests.api.worker import begin, say, succeed
from tests.fixtures.mariadb import MariaDbServer

PROBE = "/api/v1/pipelines/probe/runs"


@pytest.fixture
def store_url(mariadb_server: MariaDbServer) -> str:
    """A database on the server that these tests kill."""
    url = mariadb_server.new_database()
    upgrade(url)
    return url


async def test_a_trigger_during_an_outage_is_503_and_its_repetition_makes_one_run(
    client: AsyncClient, mariadb_server: MariaDbServer
):
    """Nothing half-written: the same key afterwards finds either nothing or the whole run."""
    key = {"Idempotency-Key": "once"}
    await client.get("/api/v1/runs")
    mariadb_server.kill()
    try:
        refused = await client.post(PROBE, json={}, headers=key)
    finally:
        await asyncio.to_thread(mariadb_server.start)
    accepted = await client.post(PROBE, json={}, headers=key)

    assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
    assert "Retry-After" in refused.headers
    assert (accepted.status_code, accepted.headers.get("Idempotent-Replayed")) == (202, None)
    assert len((await client.get("/api/v1/runs")).json()["items"]) == 1


async def test_a_stream_outlives_an_outage_and_misses_nothing(
    remote: AsyncClient, store: Database, mariadb_server: MariaDbServer
):
    """The listener keeps its place; the client sees a pause."""
    address = f"/api/v1/runs/{(await remote.post(PROBE, json={})).json()['id']}/events"
    claimed = await begin(store)
    async with remote.stream("GET", address) as answer:
        heard = events(answer)
        before = [await anext(heard) for _ in range(3)]
        mariadb_server.kill()
        await asyncio.sleep(0.3)
        await asyncio.to_thread(mariadb_server.start)
        await say(store, claimed.id, "after")
        await succeed(store, claimed)
        rest = [event async for event in heard]

    assert [event.id for event in before + rest] == [1, 2, 3, 4, 5]
