"""Conversations: opened, listed, renamed, put away."""

import pytest
from httpx2 import AsyncClient

from database.engine import Database
from database.talk.chats import create_chat

CHATS = "/api/v1/chats"


async def opened(client: AsyncClient, title: str = "") -> str:
    return (await client.post(CHATS, json={"title": title})).json()["id"]


async def test_a_chat_is_opened_under_its_address(client: AsyncClient):
    answer = await client.post(CHATS, json={"title": "  Contracts "})

    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{CHATS}/{answer.json()['id']}"
    shown = (await client.get(answer.headers["Location"])).json()
    assert (shown["title"], shown["messages"], shown["cost_usd"]) == ("Contracts", 0, "0")


async def test_the_chat_used_last_is_listed_first(client: AsyncClient):
    """Where a person looks for the conversation that they left."""
    first, second = await opened(client), await opened(client)
    await client.post(f"{CHATS}/{first}/messages", json={"content": "hello again"})
    page = (await client.get(CHATS, params={"limit": 1})).json()
    rest = (await client.get(CHATS, params={"limit": 1, "cursor": page["next_cursor"]})).json()

    assert [page["items"][0]["id"], rest["items"][0]["id"]] == [first, second]
    assert rest["next_cursor"] is None


async def test_a_chat_is_renamed(client: AsyncClient):
    address = f"{CHATS}/{await opened(client)}"

    assert (await client.patch(address, json={"title": "New"})).json()["title"] == "New"
    assert (await client.get(address)).json()["title"] == "New"


@pytest.mark.parametrize("body", [{}, {"title": ""}, {"title": "  "}, {"title": "x" * 201}, {"name": "New"}])
async def test_a_title_that_is_none_is_refused(client: AsyncClient, body: dict[str, str]):
    answer = await client.patch(f"{CHATS}/{await opened(client)}", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameters")


async def test_a_chat_that_was_put_away_is_gone_for_every_question(client: AsyncClient):
    address = f"{CHATS}/{await opened(client)}"
    deleted = await client.delete(address)
    answers = [
        await client.get(address),
        await client.patch(address, json={"title": "x"}),
        await client.delete(address),
        await client.get(f"{address}/messages"),
        await client.post(f"{address}/messages", json={"content": "x"}),
    ]

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert {answer.json()["code"] for answer in answers} == {"chat_not_found"}
    assert (await client.get(CHATS)).json()["items"] == []


async def test_the_chat_of_somebody_else_does_not_exist(client: AsyncClient, store: Database):
    foreign = await store.write(create_chat, "other", "Theirs")
    address = f"{CHATS}/{foreign.id}"

    assert (await client.get(address)).status_code == 404
    assert (await client.post(f"{address}/messages", json={"content": "x"})).status_code == 404
    assert (await client.get(CHATS)).json()["items"] == []
