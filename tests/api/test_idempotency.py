"""Many at once with one key: on both databases, because the unique key of each has to hold."""

import asyncio

import pytest
from httpx2 import AsyncClient

from database.engine import Database
from database.queue.runs import list_runs


@pytest.fixture
def store_url(database_url: str) -> str:
    """SQLite once, and a real MariaDB once."""
    return database_url


async def test_fifty_concurrent_triggers_with_one_key_make_one_row(client: AsyncClient, store: Database):
    """What an impatient client with retries does to us."""
    answers = await asyncio.gather(
        *(
            client.post("/api/v1/pipelines/probe/runs", json={}, headers={"Idempotency-Key": "storm"})
            for _ in range(50)
        )
    )

    async with store.read() as session:
        (run,) = (await list_runs(session, "local")).items
    assert {(202, str(run.id))} == {(answer.status_code, answer.json()["id"]) for answer in answers}
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1


async def test_fifty_concurrent_messages_with_one_key_say_it_once(client: AsyncClient):
    """Run and message are one transaction, so a lost race leaves neither behind."""
    chat = (await client.post("/api/v1/chats", json={})).json()["id"]
    address = f"/api/v1/chats/{chat}/messages"
    answers = await asyncio.gather(
        *(
            client.post(address, json={"content": "hello"}, headers={"Idempotency-Key": "storm"})
            for _ in range(50)
        )
    )

    said = (await client.get(address)).json()["items"]
    assert [answer.status_code for answer in answers] == [202] * 50
    assert [message["content"] for message in said] == ["hello"]
    assert {said[0]["id"]} == {answer.json()["message"]["id"] for answer in answers}
