"""Examples and feedback over HTTP."""

from contracts.chat import Author
from database.talk.chats import create_chat
from database.talk.messages import add_message
from runtime.ids import new_id
from tests.fixtures.made_programs import NAME, register

BASE = f"/api/v1/programs/{NAME}/examples"
LINES = '{"inputs": {"message": "late parcel %s"}, "expected": {"label": "shipping"}}'


async def test_examples_come_in_as_lines_and_are_listed(client, store):
    await register(store)
    content = "\n".join(LINES % n for n in range(10))
    done = await client.post(BASE, json={"content": content})
    assert (done.status_code, done.json()["added"]) == (200, 10)
    page = (await client.get(BASE, params={"limit": 4})).json()
    assert (len(page["items"]), bool(page["next_cursor"])) == (4, True)
    counts = (await client.get(f"{BASE}/counts")).json()
    assert counts["train"] + counts["validation"] + counts["test"] == 10
    first = page["items"][0]["id"]
    assert (await client.delete(f"/api/v1/examples/{first}")).status_code == 204
    assert (await client.delete(f"/api/v1/examples/{first}")).json()["code"] == "example_not_found"


async def test_a_bad_line_refuses_the_import_and_is_named(client, store):
    await register(store)
    refused = await client.post(BASE, json={"content": f"{LINES % 1}\nrubbish"})
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_examples")
    assert refused.json()["errors"] == [{"field": "line 2", "message": "is not JSON"}]
    assert (await client.get(BASE)).json()["items"] == []


async def test_only_an_answer_can_be_judged(client, store):
    chat = await store.write(create_chat, "local", "x")
    said = await store.write(add_message, "local", chat_id=chat.id, author=Author.USER, content="Hello")
    refused = await client.post(f"/api/v1/messages/{said.id}/feedback", json={"score": 1})
    assert (refused.status_code, refused.json()["code"]) == (422, "not_an_answer")
    missing = await client.post(f"/api/v1/messages/{new_id()}/feedback", json={"score": 1})
    assert (missing.status_code, missing.json()["code"]) == (404, "message_not_found")


async def test_examples_of_an_unknown_program_are_not_found(client):
    for answer in (
        await client.get("/api/v1/programs/no.such/examples"),
        await client.get("/api/v1/programs/no.such/examples/counts"),
        await client.post("/api/v1/programs/no.such/examples", json={"content": "x"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_program")
