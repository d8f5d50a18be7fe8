"""A chat of one's own, opened to a project or to one member of it: for so much, and not a moment longer."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx2
import pytest
from websockets.asyncio.client import connect

from contracts.chat import Author
from contracts.people import Role
from contracts.runs import EventKind, Origin
from database.queue.events import append_events
from database.queue.runs import accept_run
from database.talk.messages import add_message
from runtime.clock import utcnow
from tests.api.people import V1, Town
from tests.api.served import served
from tests.api.worker import begin, fail, succeed

SAID = {"content": "What is in the contract?"}


@dataclass
class Shared:
    """Uma's chat, and the project that she is in with Otto and Vera; Ada is not."""

    town: Town
    chat: str
    project: str

    async def open(self, access: str, member: str | None = None) -> str:
        """Share the chat as Uma; return the share's id."""
        body = {"project_id": self.project, "access": access}
        if member is not None:
            body["user_id"] = self.town[member].id
        made = await self.town["uma"].call("PUT", f"/chats/{self.chat}/shares", json=body)
        assert made.status_code == 200, made.text
        return made.json()["id"]

    async def seen_by(self, name: str, path: str = "", project: str | None = None) -> httpx2.Response:
        return await self.town[name].get(f"/chats/{self.chat}{path}", project or self.project)

    async def says(self, name: str, **more: Any) -> httpx2.Response:
        return await self.town[name].call(
            "POST", f"/chats/{self.chat}/messages", self.project, json=SAID, **more
        )


@pytest.fixture
async def shared(town: Town) -> Shared:
    await town.settle("vera", Role.USER)
    uma = town["uma"]
    chat = (await uma.post("/chats", {"title": "Umas chat"})).json()["id"]
    project = (await uma.post("/projects", {"name": "Legal"})).json()["id"]
    for name, role in (("otto", "user"), ("vera", "viewer")):
        member = {"email": town[name].email, "role": role}
        answer = await uma.call("PUT", f"/projects/{project}/members", json=member)
        assert answer.status_code == 200
    return Shared(town, chat, project)


async def test_a_chat_that_is_not_shared_does_not_exist_for_members(shared: Shared):
    assert (await shared.seen_by("otto")).json()["code"] == "chat_not_found"
    assert (await shared.seen_by("uma")).json()["code"] == "chat_not_found"  # it is not the project's


async def test_a_chat_shared_to_be_read_is_read_and_no_more(shared: Shared):
    await shared.open("read")
    await shared.town["uma"].post(f"/chats/{shared.chat}/messages", SAID)

    for name in ("otto", "vera"):
        chat = (await shared.seen_by(name)).json()
        assert (chat["title"], chat["access"]) == ("Umas chat", "read")
        assert len((await shared.seen_by(name, "/messages")).json()["items"]) == 1
    refused = await shared.says("otto")
    assert (refused.status_code, refused.json()["code"]) == (403, "chat_read_only")
    otto, path = shared.town["otto"], f"/chats/{shared.chat}"
    message = (await shared.seen_by("otto", "/messages")).json()["items"][0]["id"]
    for method, address, body in (
        ("PATCH", path, {"title": "Ottos chat"}),
        ("DELETE", path, None),
        ("DELETE", f"{path}/messages/{message}", None),
        ("PUT", f"{path}/shares", {"project_id": shared.project, "access": "write"}),
        ("GET", f"{path}/shares", None),
    ):
        answer = await otto.call(method, address, shared.project, **({"json": body} if body else {}))
        assert answer.status_code == 404, (method, address)


async def test_who_may_write_speaks_in_the_owners_name_and_is_named(shared: Shared):
    await shared.open("write")
    turn = (await shared.says("otto")).json()

    listed = (await shared.town["uma"].get(f"/chats/{shared.chat}/messages")).json()["items"]
    assert [each["meta"] for each in listed] == [{"by": f"user:{shared.town['otto'].id}"}]
    assert (await shared.town["uma"].get(f"/runs/{turn['run']['id']}")).status_code == 200
    assert (await shared.town["otto"].get(f"/runs/{turn['run']['id']}", shared.project)).status_code == 404


async def answered(shared: Shared) -> tuple[str, str]:
    """Let Uma's question be answered; return the run and the message of the answer."""
    turn = (await shared.town["uma"].post(f"/chats/{shared.chat}/messages", SAID)).json()
    store, owner = shared.town.resources.database, f"user:{shared.town['uma'].id}"
    claimed = await begin(store)
    answer = await store.write(
        add_message,
        owner,
        chat_id=UUID(shared.chat),
        author=Author.ASSISTANT,
        content="Clause 4.",
        run_id=claimed.id,
    )
    result = {"chat_id": shared.chat, "message_id": str(answer.id), "answer": "Clause 4.", "models": []}
    await succeed(store, claimed, result)
    return turn["run"]["id"], str(answer.id)


async def test_a_reader_sees_how_a_turn_stands_and_nothing_else_of_its_run(shared: Shared):
    """Not what it cost, not what it was given, and not the run at any other address."""
    run, _ = await answered(shared)
    path = f"/runs/{run}"
    assert (await shared.seen_by("otto", path)).json()["code"] == "run_not_found"
    share = await shared.open("read")
    for name in ("otto", "vera"):
        told = (await shared.seen_by(name, path)).json()
        assert set(told) == {"id", "status", "error", "created_at", "started_at", "finished_at"}
        assert (told["id"], told["status"]) == (run, "succeeded")
        for other in ("", "/calls", "/receipt", "/events"):
            answer = await shared.town[name].get(f"/runs/{run}{other}", shared.project)
            assert answer.status_code == 404, other
    assert (await shared.town["uma"].get(f"/chats/{shared.chat}{path}")).json()["status"] == "succeeded"
    probe = await shared.town["uma"].post("/pipelines/probe/runs", {"params": {}})
    assert (await shared.seen_by("otto", f"/runs/{probe.json()['id']}")).status_code == 404
    elsewhere = (await shared.town["uma"].post("/chats", {})).json()["id"]
    mine = await shared.town["uma"].post(f"/chats/{elsewhere}/messages", SAID)
    assert (await shared.seen_by("otto", f"/runs/{mine.json()['run']['id']}")).status_code == 404
    await shared.town["uma"].call("DELETE", f"/chats/{shared.chat}/shares/{share}")
    assert (await shared.seen_by("otto", path)).status_code == 404


COSTLY: list[tuple[EventKind, dict[str, Any], datetime]] = [
    (EventKind.COST, {"step": "answer", "usd": "0.02"}, utcnow()),
    (EventKind.BUDGET, {"cap_usd": "5", "spent_usd": "4"}, utcnow()),
    (EventKind.STEP, {"step": "answer", "status": "failed", "tries": 1, "error": "over_budget"}, utcnow()),
    (EventKind.STATE, {"status": "waiting", "waiting": {"reason": "0.5 USD is missing"}}, utcnow()),
    (EventKind.TOKEN, {"text": "Clause 4.", "step": "answer"}, utcnow()),
]


async def test_a_guest_who_writes_is_not_told_what_it_costs_and_was_given(shared: Shared):
    await shared.open("write")
    turn = (await shared.says("otto")).json()

    assert set(turn["run"]) == {"id", "status", "error", "created_at", "started_at", "finished_at"}
    listed = (await shared.town["otto"].get("/chats?shared=true", shared.project)).json()["items"]
    assert [each["cost_usd"] for each in [*listed, (await shared.seen_by("otto")).json()]] == [None, None]
    assert (await shared.town["uma"].get(f"/chats/{shared.chat}")).json()["cost_usd"] == "0"
    hook = {**SAID, "options": {"webhook_url": "https://example.com/hook"}}
    refused = await shared.town["otto"].post(f"/chats/{shared.chat}/messages", hook, shared.project)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")


@pytest.mark.parametrize("way", ["socket", "stream"])
async def test_a_guest_hears_how_a_turn_stands_and_no_costs(shared: Shared, way: str):
    await shared.open("write")
    store, otto = shared.town.resources.database, shared.town["otto"]
    headers = {"Authorization": f"Bearer {otto.tokens['access_token']}", "Millrace-Project": shared.project}

    async def work() -> None:
        claimed = await begin(store)
        await store.write(append_events, claimed.id, None, COSTLY)
        await fail(store, claimed)

    async with served(shared.town.app) as address, asyncio.TaskGroup() as working:
        if way == "stream":
            working.create_task(work())
            async with httpx2.AsyncClient(base_url=address, timeout=60) as client:
                path, body = f"{V1}/chats/{shared.chat}/messages", {**SAID, "stream": True}
                answer = await client.post(path, json=body, headers=headers)
            lines = [line.removeprefix("data: ") for line in answer.text.split("\n") if '"kind"' in line]
            heard = [json.loads(line) for line in lines]
        else:
            run = (await shared.town["uma"].post(f"/chats/{shared.chat}/messages", SAID)).json()["run"]["id"]
            await work()
            heard = [
                each["event"] async for each in followed(address, shared, headers, run) if "event" in each
            ]

    told: dict[str, set[str]] = {}
    for each in heard:
        told.setdefault(each["kind"], set()).update(each["data"])
    assert told == {
        "state": {"status", "attempt"},
        "step": {"step", "status", "tries"},
        "token": {"text", "step"},
    }


async def test_a_guest_follows_turns_and_no_other_run_of_the_chat(shared: Shared):
    await shared.open("read")
    turn = (await shared.town["uma"].post(f"/chats/{shared.chat}/messages", SAID)).json()["run"]["id"]
    child, _ = await shared.town.resources.database.write(
        accept_run,
        pipeline="probe",
        pool="interactive",
        params={},
        owner=f"user:{shared.town['uma'].id}",
        origin=Origin.RUN,
        parent_id=UUID(turn),
    )
    token = shared.town["otto"].tokens["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Millrace-Project": shared.project}
    async with served(shared.town.app) as address:
        told = await anext(followed(address, shared, headers, str(child.id)))

    assert told["problem"]["code"] == "run_not_found"


async def followed(
    address: str, shared: Shared, headers: dict[str, str], run: str
) -> AsyncIterator[dict[str, Any]]:
    """Follow a run over the chat's web socket, to the last message about it."""
    url = f"{address.replace('http', 'ws')}{V1}/chats/{shared.chat}/ws"
    async with connect(url, additional_headers=headers, open_timeout=60) as connection, asyncio.timeout(60):
        await connection.send(json.dumps({"type": "follow", "run_id": run}))
        while True:
            yield (message := json.loads(await connection.recv()))
            if message["type"] != "event":
                return


async def test_a_guests_opinion_is_told_to_the_owner_and_decides_nothing(shared: Shared):
    run, answer = await answered(shared)
    uma, otto, path = shared.town["uma"], shared.town["otto"], f"/messages/{answer}/feedback"
    said = {"score": 1, "correction": "Clause 5.", "comment": "Page two."}
    assert (await otto.post(path, said, shared.project)).json()["code"] == "message_not_found"
    share = await shared.open("read")
    given = await otto.post(path, said, shared.project)
    assert given.status_code == 201, given.text
    assert (given.json()["guest"], given.json()["example_id"]) == (f"user:{otto.id}", None)
    assert (await otto.post(path, {}, shared.project)).json()["code"] == "empty_feedback"
    assert (await shared.town["vera"].post(path, said, shared.project)).json()["code"] == "missing_scope"
    for space in (None, shared.project):
        assert (await otto.get("/feedback", space)).json()["items"] == []
    (told,) = (await uma.get("/feedback", params={"run_id": run})).json()["items"]
    assert (told["id"], told["guest"], told["comment"]) == (
        given.json()["id"],
        f"user:{otto.id}",
        "Page two.",
    )
    assert (await otto.post(f"/runs/{run}/feedback", said, shared.project)).status_code == 404
    question = (await shared.seen_by("otto", "/messages")).json()["items"][0]["id"]
    refused = await otto.post(f"/messages/{question}/feedback", said, shared.project)
    assert refused.json()["code"] == "not_an_answer"
    await uma.call("DELETE", f"/chats/{shared.chat}/shares/{share}")
    assert (await otto.post(path, said, shared.project)).status_code == 404


async def test_a_role_that_only_looks_does_not_write_whatever_the_share_says(shared: Shared):
    await shared.open("write")

    assert (await shared.says("vera")).json()["code"] == "missing_scope"


async def test_a_share_with_one_member_is_nobody_elses(shared: Shared):
    await shared.open("write", "otto")

    assert (await shared.says("otto")).status_code == 202
    assert (await shared.seen_by("vera")).status_code == 404


async def test_a_share_is_found_in_its_project_alone(shared: Shared):
    await shared.open("read")
    other = (await shared.town["otto"].post("/projects", {"name": "Ottos own"})).json()["id"]

    assert (await shared.seen_by("otto", project=other)).status_code == 404
    assert (await shared.town["otto"].get(f"/chats/{shared.chat}")).status_code == 404
    assert (await shared.seen_by("ada")).json()["code"] == "project_not_found"
    listed = (await shared.town["otto"].get("/chats?shared=true", shared.project)).json()["items"]
    assert [(chat["id"], chat["access"]) for chat in listed] == [(shared.chat, "read")]
    for space in (None, other):
        assert (await shared.town["otto"].get("/chats?shared=true", space)).json()["items"] == []
    assert (await shared.town["otto"].get("/chats", shared.project)).json()["items"] == []


async def test_a_share_that_is_taken_back_is_over_at_once(shared: Shared):
    share = await shared.open("write")
    assert (await shared.seen_by("otto")).status_code == 200
    path = f"/chats/{shared.chat}/shares/{share}"
    assert (await shared.town["otto"].call("DELETE", path)).status_code == 404

    assert (await shared.town["uma"].call("DELETE", path)).status_code == 204

    assert (await shared.seen_by("otto")).status_code == 404
    assert (await shared.says("otto")).status_code == 404
    assert (await shared.town["uma"].call("DELETE", path)).json()["code"] == "share_not_found"


async def test_sharing_again_changes_what_they_may(shared: Shared):
    first = await shared.open("write")
    second = await shared.open("read")

    assert first == second
    assert (await shared.says("otto")).json()["code"] == "chat_read_only"
    listed = (await shared.town["uma"].get(f"/chats/{shared.chat}/shares")).json()["items"]
    assert [each["access"] for each in listed] == ["read"]


@pytest.mark.parametrize("how", ["reader leaves", "owner leaves", "project goes", "chat goes"])
async def test_a_share_ends_with_what_it_rests_on(shared: Shared, how: str):
    await shared.open("read")
    uma, project = shared.town["uma"], f"/projects/{shared.project}"
    if how == "owner leaves":
        await uma.call("PUT", f"{project}/members", json={"email": "otto@example.org", "role": "admin"})
    path = {
        "reader leaves": f"{project}/members/{shared.town['otto'].id}",
        "owner leaves": f"{project}/members/{uma.id}",
        "project goes": project,
        "chat goes": f"/chats/{shared.chat}",
    }[how]
    assert (await uma.call("DELETE", path)).status_code == 204

    assert (await shared.seen_by("otto")).status_code == 404


async def test_one_shares_ones_own_with_those_that_one_is_with(shared: Shared):
    uma, path = shared.town["uma"], f"/chats/{shared.chat}/shares"
    alien = (await shared.town["ada"].post("/projects", {"name": "Adas"})).json()["id"]
    for body, code in (
        ({"project_id": alien}, "project_not_found"),
        ({"project_id": shared.project, "user_id": shared.town["ada"].id}, "user_not_found"),
        ({"project_id": shared.project, "access": "own"}, "invalid_parameters"),
    ):
        assert (await uma.call("PUT", path, json=body)).json()["code"] == code
    of_all = (await uma.post("/chats", {}, shared.project)).json()["id"]
    refused = await uma.call(
        "PUT", f"/chats/{of_all}/shares", shared.project, json={"project_id": shared.project}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "chat_of_project")


async def test_the_same_key_of_a_guest_and_of_the_owner_are_two(shared: Shared):
    """Else a guest who numbers as the owner does would be handed the owner's run."""
    await shared.open("write")
    key = {"headers": {"Idempotency-Key": "1"}}
    own = await shared.town["uma"].call("POST", f"/chats/{shared.chat}/messages", json=SAID, **key)
    guests = [(await shared.says("otto", **key)).json()["run"]["id"] for _ in range(2)]

    assert guests[0] == guests[1] != own.json()["run"]["id"]


async def test_sharing_is_in_the_audit_log(shared: Shared):
    share = await shared.open("read")
    await shared.town["uma"].call("DELETE", f"/chats/{shared.chat}/shares/{share}")
    lines = (await shared.town["ada"].get("/audit", params={"target": f"chat:{shared.chat}"})).json()["items"]

    assert [line["action"] for line in lines] == ["chat.unshared", "chat.shared"]
    assert {line["actor"] for line in lines} == {f"user:{shared.town['uma'].id}"}
