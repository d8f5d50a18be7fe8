"""Agents over HTTP: made, changed by versions, talked with; the worker's side is played by a test."""

from typing import Any
from uuid import uuid4

import pytest
from httpx2 import AsyncClient

from database.engine import Database
from tests.api.people import Town
from tests.api.worker import begin, succeed

V1 = "/api/v1"
CLERK = {"name": "clerk", "instructions": "Name the clause.", "mode": "careful"}


@pytest.fixture
async def agent(client: AsyncClient) -> dict[str, Any]:
    made = await client.post(f"{V1}/agents", json=CLERK)
    assert made.status_code == 201, made.text
    assert made.headers["Location"] == f"{V1}/agents/{made.json()['id']}"
    return made.json()


async def changed(client: AsyncClient, agent: dict[str, Any], **change: Any) -> dict[str, Any]:
    answer = await client.patch(f"{V1}/agents/{agent['id']}", json=change)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_agent_is_made_shown_changed_and_put_away(client: AsyncClient, agent: dict[str, Any]):
    path = f"{V1}/agents/{agent['id']}"
    assert (await client.get(path)).json() == agent
    assert (agent["version"], agent["access"], agent["description"]) == (1, "own", "")
    assert (await client.get(f"{V1}/agents")).json()["items"] == [agent]

    assert (await changed(client, agent, description="For contracts."))["version"] == 1
    assert (await changed(client, agent, instructions="Be brief."))["version"] == 2
    versions = (await client.get(f"{path}/versions")).json()["items"]
    assert [(one["version"], one["instructions"]) for one in versions] == [
        (2, "Be brief."),
        (1, "Name the clause."),
    ]

    assert (await client.delete(path)).status_code == 204
    for answer in (
        await client.get(path),
        await client.patch(path, json={"name": "x"}),
        await client.delete(path),
        await client.get(f"{path}/versions"),
        await client.post(f"{path}/runs", json={"message": "Hello?"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "agent_not_found")
    assert (await client.get(f"{V1}/agents")).json()["items"] == []


async def test_what_cannot_be_an_agent_is_refused(client: AsyncClient, agent: dict[str, Any]):
    for body in (
        {**CLERK, "name": ""},
        {**CLERK, "name": "two words"},
        {**CLERK, "name": "agent:x"},
        {**CLERK, "name": "x" * 65},
        {**CLERK, "instructions": "  "},
        {**CLERK, "instructions": "x" * 20_001},
        {**CLERK, "mode": "fast"},
        {**CLERK, "temperature": 1},
    ):
        answer = await client.post(f"{V1}/agents", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameters"), body
    assert (await client.patch(f"{V1}/agents/{agent['id']}", json={})).status_code == 422
    taken = await client.post(f"{V1}/agents", json=CLERK)
    assert (taken.status_code, taken.json()["code"]) == (409, "agent_name_taken")


async def test_a_message_to_an_agent_is_a_run_bound_to_its_version(
    client: AsyncClient, store: Database, agent: dict[str, Any]
):
    url = f"{V1}/agents/{agent['id']}/runs"
    answer = await client.post(url, json={"message": "What is a lease?"})
    run = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (202, f"{V1}/runs/{run['id']}")
    assert (run["pipeline"], run["agent_id"], run["agent_version"]) == ("chat_turn", agent["id"], 1)
    assert run["params"] == {
        "message": "What is a lease?",
        "chat_id": None,
        "mode": "careful",
        "context": "",
    }
    await changed(client, agent, instructions="Be brief.", mode="direct")
    claimed = await begin(store)
    await succeed(store, claimed, {"answer": "15 s."})
    assert (await client.get(f"{V1}/runs/{run['id']}")).json()["agent_version"] == 1
    assert (await client.get(f"{V1}/runs")).json()["items"][0]["agent_version"] == 1

    said = await client.post(url, json={"message": "And now?", "mode": "careful", "context": "x"})
    assert (said.json()["agent_version"], said.json()["params"]["mode"]) == (2, "careful")


async def test_a_trigger_of_an_agent_may_be_repeated_after_the_agent_has_changed(
    client: AsyncClient, agent: dict[str, Any]
):
    url, key = f"{V1}/agents/{agent['id']}/runs", {"Idempotency-Key": "one"}
    first = await client.post(url, json={"message": "Hello"}, headers=key)
    await changed(client, agent, mode="direct")
    again = await client.post(url, json={"message": "Hello"}, headers=key)
    assert (again.json()["id"], again.headers["Idempotent-Replayed"]) == (first.json()["id"], "true")
    other = await client.post(url, json={"message": "Hello!"}, headers=key)
    assert other.json()["code"] == "idempotency_conflict"
    assert (await client.delete(f"{V1}/agents/{agent['id']}")).status_code == 204
    late = await client.post(url, json={"message": "Hello"}, headers=key)
    assert (late.json()["id"], late.json()["agent_version"]) == (first.json()["id"], 1)
    new = await client.post(url, json={"message": "Hello"}, headers={"Idempotency-Key": "two"})
    assert new.json()["code"] == "agent_not_found"


async def test_a_message_may_be_repeated_after_its_chat_got_another_agent(
    client: AsyncClient, agent: dict[str, Any]
):
    chat = (await client.post(f"{V1}/chats", json={})).json()
    path, key = f"{V1}/chats/{chat['id']}", {"Idempotency-Key": "one"}
    first = await client.post(f"{path}/messages", json={"content": "Hello"}, headers=key)
    await client.patch(path, json={"agent_id": agent["id"]})
    again = await client.post(f"{path}/messages", json={"content": "Hello"}, headers=key)
    assert again.json()["run"] == first.json()["run"]


async def test_options_and_waits_are_those_of_every_trigger(
    client: AsyncClient, store: Database, agent: dict[str, Any]
):
    url = f"{V1}/agents/{agent['id']}/runs"
    run = (
        await client.post(url, json={"message": "Hi", "options": {"priority": 2, "budget_usd": "0.10"}})
    ).json()
    assert run["priority"] == 2
    (budget,) = (await client.get(f"{V1}/budgets")).json()["items"]
    assert budget["subject"] == run["id"]
    await succeed(store, await begin(store))
    assert (await client.post(url, json={"message": "Hi"}, params={"wait": 0.05})).status_code == 202
    other = {"message": "Hi", "options": {"agent_id": str(uuid4())}}
    assert (await client.post(url, json=other)).json()["code"] == "chat_of_other_agent"


async def test_a_chat_with_an_agent_is_answered_by_it(client: AsyncClient, agent: dict[str, Any]):
    chat = (await client.post(f"{V1}/chats", json={"agent_id": agent["id"]})).json()
    assert chat["agent_id"] == agent["id"]
    messages = f"{V1}/chats/{chat['id']}/messages"
    run = (await client.post(messages, json={"content": "Hello"})).json()["run"]
    assert (run["agent_id"], run["agent_version"], run["params"]["mode"]) == (agent["id"], 1, "careful")
    said = (await client.post(messages, json={"content": "Hello", "mode": "direct"})).json()["run"]
    assert said["params"]["mode"] == "direct"

    other = (await client.post(f"{V1}/agents", json={**CLERK, "name": "other"})).json()
    for answer in (
        await client.post(messages, json={"content": "Hi", "options": {"agent_id": other["id"]}}),
        await client.post(f"{V1}/agents/{other['id']}/runs", json={"message": "Hi", "chat_id": chat["id"]}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "chat_of_other_agent")

    path = f"{V1}/chats/{chat['id']}"
    assert (await client.patch(path, json={"agent_id": other["id"]})).json()["agent_id"] == other["id"]
    assert (await client.patch(path, json={"title": "T"})).json()["agent_id"] == other["id"]
    run = (await client.post(messages, json={"content": "Hello"})).json()["run"]
    assert run["agent_id"] == other["id"]

    assert (await client.delete(f"{V1}/agents/{other['id']}")).status_code == 204
    gone = await client.post(messages, json={"content": "Hello"})
    assert (gone.status_code, gone.json()["code"]) == (404, "agent_not_found")
    assert (await client.patch(path, json={"agent_id": None})).json()["agent_id"] is None
    assert (await client.post(messages, json={"content": "Hello"})).json()["run"]["agent_id"] is None


async def test_a_fork_answers_as_its_run_did_or_as_the_named_agent_does_now(
    client: AsyncClient, store: Database, agent: dict[str, Any]
):
    chat = (await client.post(f"{V1}/chats", json={"agent_id": agent["id"]})).json()
    said = await client.post(f"{V1}/chats/{chat['id']}/messages", json={"content": "Hello"})
    path = f"{V1}/runs/{said.json()['run']['id']}/fork"
    await succeed(store, await begin(store))
    await changed(client, agent, instructions="Be brief.")
    assert (await client.post(path, json={})).json()["agent_version"] == 1
    named = {"options": {"agent_id": agent["id"]}}
    assert (await client.post(path, json=named)).json()["agent_version"] == 2
    other = (await client.post(f"{V1}/agents", json={**CLERK, "name": "other"})).json()
    refused = await client.post(path, json={"options": {"agent_id": other["id"]}})
    assert (refused.status_code, refused.json()["code"]) == (409, "chat_of_other_agent")


async def test_the_pipelines_door_binds_turns_as_well(client: AsyncClient, agent: dict[str, Any]):
    """A program that starts `chat_turn` by its name meets the same rules."""
    chat = (await client.post(f"{V1}/chats", json={"agent_id": agent["id"]})).json()
    url = f"{V1}/pipelines/chat_turn/runs"
    for params, mode in (
        ({"chat_id": chat["id"]}, "careful"),
        ({"chat_id": chat["id"], "mode": "direct"}, "direct"),
    ):
        run = (await client.post(url, json={"params": {"message": "Hello", **params}})).json()
        assert (run["agent_id"], run["agent_version"], run["params"]["mode"]) == (agent["id"], 1, mode)
    named = {"params": {"message": "Hello"}, "options": {"agent_id": agent["id"]}}
    assert (await client.post(url, json=named)).json()["agent_version"] == 1
    probe = {"params": {}, "options": {"agent_id": agent["id"]}}
    assert (await client.post(f"{V1}/pipelines/probe/runs", json=probe)).json()["agent_version"] == 1


async def test_an_agent_that_is_not_mine_answers_nowhere(town: Town):
    """Named in options, in a new chat, in a chat's change or by its address, it does not exist."""
    uma, otto = town["uma"], town["otto"]
    agent = (await uma.post("/agents", CLERK)).json()
    chat = (await otto.post("/chats", {})).json()
    naming = {"options": {"agent_id": agent["id"]}}
    for answer in (
        await otto.get(f"/agents/{agent['id']}"),
        await otto.post(f"/agents/{agent['id']}/runs", {"message": "Hi"}),
        await otto.post("/chats", {"agent_id": agent["id"]}),
        await otto.call("PATCH", f"/chats/{chat['id']}", json={"agent_id": agent["id"]}),
        await otto.post(f"/chats/{chat['id']}/messages", {"content": "Hi", **naming}),
        await otto.post("/pipelines/chat_turn/runs", {"params": {"message": "Hi"}, **naming}),
        await otto.post("/pipelines/probe/runs", naming),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "agent_not_found"), answer.request.url


async def test_a_projects_agent_is_its_members(town: Town):
    uma, otto = town["uma"], town["otto"]
    project = (await uma.post("/projects", {"name": "Legal"})).json()["id"]
    member = {"email": otto.email, "role": "viewer"}
    await uma.call("PUT", f"/projects/{project}/members", json=member)
    agent = (await uma.post("/agents", CLERK, project)).json()
    assert (await otto.get(f"/agents/{agent['id']}", project)).json()["instructions"] == "Name the clause."
    refused = await otto.call("PATCH", f"/agents/{agent['id']}", project, json={"description": "x"})
    assert refused.json()["code"] == "missing_scope"
    said = await otto.post(f"/agents/{agent['id']}/runs", {"message": "Hi"}, project)
    assert said.json()["code"] == "missing_scope"
    await uma.call("PUT", f"/projects/{project}/members", json={**member, "role": "user"})
    said = await otto.post(f"/agents/{agent['id']}/runs", {"message": "Hi"}, project)
    assert said.json()["agent_version"] == 1
    assert (await uma.get(f"/agents/{agent['id']}")).status_code == 404


async def test_a_guest_calls_no_other_agent_of_the_owner_in(town: Town):
    """The chat's own agent answers a guest; one that the owner never opened to them does not."""
    uma, otto = town["uma"], town["otto"]
    project = (await uma.post("/projects", {"name": "Legal"})).json()["id"]
    await uma.call("PUT", f"/projects/{project}/members", json={"email": otto.email, "role": "user"})
    open_, hidden = [
        (await uma.post("/agents", {**CLERK, "name": name})).json()["id"] for name in ("open", "hidden")
    ]
    chat = (await uma.post("/chats", {"agent_id": open_})).json()["id"]
    plain = (await uma.post("/chats", {})).json()["id"]
    for each in (chat, plain):
        share = {"project_id": project, "access": "write"}
        await uma.call("PUT", f"/chats/{each}/shares", json=share)
    said = await otto.post(f"/chats/{chat}/messages", {"content": "Hi"}, project)
    run = (await uma.get(f"/runs/{said.json()['run']['id']}")).json()
    assert run["agent_id"] == open_
    for each in (chat, plain):
        body = {"content": "Hi", "options": {"agent_id": hidden}}
        refused = await otto.post(f"/chats/{each}/messages", body, project)
        assert (refused.status_code, refused.json()["code"]) == (404, "agent_not_found")


async def test_what_an_agent_said_teaches_no_program(
    client: AsyncClient, store: Database, agent: dict[str, Any]
):
    """It was right for that agent; feedback on it is kept, and no example is made of it."""
    url = f"{V1}/agents/{agent['id']}/runs"
    run = (await client.post(url, json={"message": "Hi"})).json()
    result = {"chat_id": str(uuid4()), "message_id": str(uuid4()), "answer": "Clause 4.", "models": []}
    await succeed(store, await begin(store), result)
    given = await client.post(f"{V1}/runs/{run['id']}/feedback", json={"score": 1})
    assert (given.status_code, given.json()["example_id"]) == (201, None)
