"""What is said in a chat: message and run in one transaction, answers waited for or streamed."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from httpx2 import AsyncClient
from sqlalchemy import text

from contracts.chat import Author, Message
from contracts.runs import Run
from database.engine import Database
from database.queue.leases import Claimed
from database.queue.runs import get_run, list_runs
from database.talk.messages import add_message
from runtime.ids import derived_id
from tests.api.test_events import events
from tests.api.worker import begin, fail, say, succeed


@pytest.fixture
async def chat(client: AsyncClient) -> str:
    """The address of a chat."""
    return f"/api/v1/chats/{(await client.post('/api/v1/chats', json={})).json()['id']}"


@pytest.fixture
def said(chat: str) -> str:
    """The address of its messages."""
    return f"{chat}/messages"


async def runs(store: Database) -> list[Run]:
    async with store.read() as session:
        listed = (await list_runs(session, "local")).items
        return [await get_run(session, "local", run.id) for run in listed]


async def answer_it(store: Database, claimed: Claimed, words: str) -> Message:
    """End a turn as its flow does: the answer's row first, then the result that names it."""
    answer = await store.write(
        add_message,
        claimed.owner,
        chat_id=UUID(claimed.params["chat_id"]),
        author=Author.ASSISTANT,
        content=words,
        run_id=claimed.id,
        message_id=derived_id(claimed.id, Author.ASSISTANT),
        meta={"models": ["offline"]},
    )
    result = {
        "chat_id": str(answer.chat_id),
        "message_id": str(answer.id),
        "answer": words,
        "models": ["offline"],
    }
    await succeed(store, claimed, result)
    return answer


async def test_a_message_and_its_run_are_committed_together(client: AsyncClient, store: Database, said: str):
    answer = await client.post(said, json={"content": "hello", "mode": "careful", "context": "A fact."})

    (run,) = await runs(store)
    turn = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/api/v1/runs/{run.id}")
    assert (turn["message"]["content"], turn["message"]["run_id"], turn["answer"]) == (
        "hello",
        str(run.id),
        None,
    )
    assert (run.pipeline, run.params["mode"], run.params["context"]) == ("chat_turn", "careful", "A fact.")


async def test_a_message_that_cannot_be_stored_leaves_no_run(client: AsyncClient, store: Database, said: str):
    """Half of a turn would be answered into nowhere, and paid for."""
    refuse = "CREATE TRIGGER full BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'full'); END"
    await store.write(lambda session: session.execute(text(refuse)))

    assert (await client.post(said, json={"content": "hello"})).status_code == 500
    assert await runs(store) == []


async def test_waiting_answers_with_the_answer(client: AsyncClient, store: Database, said: str):
    asked = asyncio.create_task(client.post(said, json={"content": "hello"}, params={"wait": 10}))
    await answer_it(store, await begin(store), "Good day.")

    turn = await asked
    assert (turn.status_code, turn.json()["answer"]["content"]) == (200, "Good day.")
    assert turn.json()["run"]["status"] == "succeeded"


async def test_waiting_for_an_answer_that_fails_tells_why(client: AsyncClient, store: Database, said: str):
    asked = asyncio.create_task(client.post(said, json={"content": "hello"}, params={"wait": 10}))
    await fail(store, await begin(store))

    turn = (await asked).json()
    assert (turn["run"]["error"]["code"], turn["answer"]) == ("model_unavailable", None)


async def test_an_answer_is_streamed_as_it_is_written(remote: AsyncClient, store: Database, said: str):
    """Tokens while they come, the stored message last: a client shows the one and keeps the other."""
    told: list[Any] = []
    async with remote.stream("POST", said, json={"content": "hello", "stream": True}) as answer:
        assert answer.status_code == 200
        assert answer.headers["Location"].startswith("/api/v1/runs/")
        claimed = await begin(store)
        await say(store, claimed.id, "Good ", "day.")
        stored = await answer_it(store, claimed, "Good day.")
        told += [event async for event in events(answer)]

    assert "".join(each.data["data"]["text"] for each in told if each.event == "token") == "Good day."
    assert (told[-1].event, told[-1].data["id"], told[-1].id) == ("message", str(stored.id), None)
    assert (told[-2].event, told[-2].data["data"]["status"]) == ("state", "succeeded")


async def test_a_streamed_answer_that_fails_says_so_last(remote: AsyncClient, store: Database, said: str):
    """A stream's status was sent long ago; silence would look like an answer that is short."""
    async with remote.stream("POST", said, json={"content": "hello", "stream": True}) as answer:
        await fail(store, await begin(store))
        told = [event async for event in events(answer)]

    assert (told[-1].event, told[-1].data["error"]["code"]) == ("failed", "model_unavailable")


async def test_a_cut_stream_goes_on_at_the_run(remote: AsyncClient, store: Database, said: str):
    """Leaving does not stop the answer."""
    async with remote.stream("POST", said, json={"content": "hello", "stream": True}) as answer:
        run = answer.headers["Location"]
        first = await anext(events(answer))
    claimed = await begin(store)
    await say(store, claimed.id, "Good day.")
    await answer_it(store, claimed, "Good day.")

    async with remote.stream("GET", f"{run}/events", headers={"Last-Event-ID": str(first.id)}) as answer:
        rest = [event.event async for event in events(answer)]
    assert rest == ["state", "state", "token", "state"]
    assert [each["content"] for each in (await remote.get(said)).json()["items"]] == ["hello", "Good day."]


async def test_a_repeated_message_under_one_key_is_said_once(client: AsyncClient, store: Database, said: str):
    key = {"Idempotency-Key": "turn-1"}
    first = (await client.post(said, json={"content": "hello"}, headers=key)).json()
    await answer_it(store, await begin(store), "Good day.")
    again = await client.post(said, json={"content": "hello"}, headers=key)

    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert (again.json()["message"]["id"], again.json()["run"]["id"]) == (
        first["message"]["id"],
        first["run"]["id"],
    )
    assert again.json()["answer"]["content"] == "Good day."


async def test_one_key_in_another_chat_is_refused(client: AsyncClient, said: str):
    other = (await client.post("/api/v1/chats", json={})).json()["id"]
    key = {"Idempotency-Key": "turn-1"}
    await client.post(said, json={"content": "hello"}, headers=key)
    answer = await client.post(f"/api/v1/chats/{other}/messages", json={"content": "hello"}, headers=key)

    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")
    assert (await client.get(f"/api/v1/chats/{other}/messages")).json()["items"] == []


async def test_messages_are_listed_oldest_first_page_by_page(client: AsyncClient, store: Database, said: str):
    for word in "abc":
        await client.post(said, json={"content": word})
        await fail(store, await begin(store))
    first = (await client.get(said, params={"limit": 2})).json()
    second = (await client.get(said, params={"limit": 2, "cursor": first["next_cursor"]})).json()

    assert [each["content"] for each in first["items"] + second["items"]] == ["a", "b", "c"]
    assert second["next_cursor"] is None


async def test_a_message_joins_the_chat_when_its_turn_has_come(
    client: AsyncClient, store: Database, said: str
):
    """Listed at once, it would stand before an answer that it was not written to."""
    first, second = [(await client.post(said, json={"content": word})).json() for word in ("one", "two")]
    assert second["message"]["content"] == "two"
    assert [each["content"] for each in (await client.get(said)).json()["items"]] == ["one"]

    await answer_it(store, await begin(store), "answer one")
    turn = await begin(store)
    again = await client.post(said, json={"content": "two"}, headers={"Idempotency-Key": "new"})
    assert str(turn.id) == second["run"]["id"]
    assert first["message"]["id"] != again.json()["message"]["id"]


async def test_a_message_that_will_not_wait_is_refused_while_a_turn_is_under_way(
    client: AsyncClient, store: Database, said: str
):
    await client.post(said, json={"content": "one"})
    refused = await client.post(said, json={"content": "two", "options": {"on_busy": "reject"}})
    assert (refused.status_code, refused.json()["code"]) == (409, "key_busy")
    assert len(await runs(store)) == 1


async def test_a_message_can_replace_the_turns_before_it(client: AsyncClient, store: Database, said: str):
    turns = [(await client.post(said, json={"content": word})).json() for word in ("one", "two")]
    last = await client.post(said, json={"content": "no: three", "options": {"on_busy": "interrupt"}})
    status = {str(run.id): run.status for run in await runs(store)}
    assert [status[turn["run"]["id"]] for turn in turns] == ["cancelled", "cancelled"]
    assert str((await begin(store)).id) == last.json()["run"]["id"]


async def test_an_untitled_chat_is_named_after_its_first_message(client: AsyncClient, chat: str, said: str):
    await client.post(said, json={"content": "What does\nthe contract " + "really " * 20 + "say?"})
    await client.post(said, json={"content": "Another question"})

    title = (await client.get(chat)).json()["title"]
    assert title.startswith("What does the contract really")
    assert len(title) == 80


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "content"),
        ({"content": ""}, "content"),
        ({"content": "x" * 100_001}, "content"),
        ({"content": "x", "mode": "deep"}, "mode"),
        ({"content": "x", "stream": "perhaps"}, "stream"),
        ({"content": "x", "author": "assistant"}, "author"),
    ],
)
async def test_a_message_that_is_none_is_refused(
    client: AsyncClient, said: str, body: dict[str, Any], field: str
):
    """Saying something in the assistant's name too."""
    answer = await client.post(said, json=body)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert (await client.get(said)).json()["items"] == []


async def test_an_answer_that_was_deleted_since_is_no_error(client: AsyncClient, store: Database, said: str):
    key = {"Idempotency-Key": "turn-1"}
    await client.post(said, json={"content": "hello"}, headers=key)
    answer = await answer_it(store, await begin(store), "Good day.")
    deleted = [await client.delete(f"{said}/{answer.id}") for _ in range(2)]
    assert [each.status_code for each in deleted] == [204, 404]

    again = await client.post(said, json={"content": "hello"}, headers=key)
    assert (again.status_code, again.json()["answer"]) == (200, None)
    assert [each["content"] for each in (await client.get(said)).json()["items"]] == ["hello"]
