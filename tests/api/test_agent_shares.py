"""An agent of one's own, opened to a project or to one member of it: to be used, or to be changed as well."""

from dataclasses import dataclass

import pytest
from httpx2 import Response

from contracts.people import Role
from tests.api.people import Town

CLERK = {"name": "clerk", "instructions": "Name the clause.", "mode": "careful"}


@dataclass
class Lent:
    """Uma's agent, and the project that she is in with Otto and Vera, who looks."""

    town: Town
    agent: str
    project: str

    async def open(self, access: str, member: str | None = None) -> str:
        body = {"project_id": self.project, "access": access}
        if member is not None:
            body["user_id"] = self.town[member].id
        made = await self.town["uma"].call("PUT", f"/agents/{self.agent}/shares", json=body)
        assert made.status_code == 200, made.text
        return made.json()["id"]

    async def seen_by(self, name: str, project: str | None = None) -> Response:
        return await self.town[name].get(f"/agents/{self.agent}", project or self.project)

    async def asked_by(self, name: str) -> Response:
        return await self.town[name].post(f"/agents/{self.agent}/runs", {"message": "Hi"}, self.project)


@pytest.fixture
async def lent(town: Town) -> Lent:
    await town.settle("vera", Role.USER)
    uma = town["uma"]
    agent = (await uma.post("/agents", CLERK)).json()["id"]
    project = (await uma.post("/projects", {"name": "Legal"})).json()["id"]
    for name, role in (("otto", "user"), ("vera", "viewer")):
        member = {"email": town[name].email, "role": role}
        assert (await uma.call("PUT", f"/projects/{project}/members", json=member)).status_code == 200
    return Lent(town, agent, project)


async def test_an_agent_that_is_lent_to_be_used_is_used_and_no_more(lent: Lent):
    assert (await lent.seen_by("otto")).status_code == 404
    await lent.open("read")
    otto, path = lent.town["otto"], f"/agents/{lent.agent}"
    for name in ("otto", "vera"):
        seen = (await lent.seen_by(name)).json()
        assert (seen["access"], seen["instructions"]) == ("read", "Name the clause.")
    listed = (await otto.get("/agents?shared=true", lent.project)).json()["items"]
    assert [(each["id"], each["access"]) for each in listed] == [(lent.agent, "read")]
    assert (await otto.get("/agents", lent.project)).json()["items"] == []
    run = (await lent.asked_by("otto")).json()
    assert (run["agent_id"], run["agent_version"]) == (lent.agent, 1)
    assert (
        await otto.get(f"/runs/{run['id']}", lent.project)
    ).status_code == 200  # the project's, and its costs
    assert (await lent.town["uma"].get(f"/runs/{run['id']}")).status_code == 404
    assert (await lent.asked_by("vera")).json()["code"] == "missing_scope"
    refused = await otto.call("PATCH", path, lent.project, json={"instructions": "Sing."})
    assert (refused.status_code, refused.json()["code"]) == (403, "agent_read_only")
    for method, address, body in (
        ("DELETE", path, None),
        ("PUT", f"{path}/shares", {"project_id": lent.project, "access": "write"}),
        ("GET", f"{path}/shares", None),
    ):
        answer = await otto.call(method, address, lent.project, **({"json": body} if body else {}))
        assert answer.status_code == 404, (method, address)


async def test_who_may_change_it_changes_what_it_says_and_is_named(lent: Lent):
    await lent.open("write")
    otto, path = lent.town["otto"], f"/agents/{lent.agent}"
    changed = await otto.call("PATCH", path, lent.project, json={"instructions": "Sing."})
    assert (changed.json()["version"], changed.json()["access"]) == (2, "write")
    versions = (await lent.town["uma"].get(f"{path}/versions")).json()["items"]
    assert [each["made_by"] for each in versions] == [
        f"user:{otto.id}",
        f"user:{lent.town['uma'].id}",
    ]
    refused = await otto.call("PATCH", path, lent.project, json={"name": "ottos"})
    assert refused.json()["code"] == "agent_read_only"
    looking = await lent.town["vera"].call("PATCH", path, lent.project, json={"instructions": "Hum."})
    assert looking.json()["code"] == "missing_scope"


async def test_an_agent_that_is_taken_back_answers_no_next_message(lent: Lent):
    """Not in the chat that it answered in, either; nor when its owner or its user leaves the project."""
    otto, uma, project = lent.town["otto"], lent.town["uma"], lent.project
    share = await lent.open("read")
    chat = (await otto.post("/chats", {"agent_id": lent.agent}, project)).json()["id"]
    messages = f"/chats/{chat}/messages"
    assert (await otto.post(messages, {"content": "Hi"}, project)).status_code == 202
    assert (await otto.call("DELETE", f"/agents/{lent.agent}/shares/{share}", project)).status_code == 404
    assert (await uma.call("DELETE", f"/agents/{lent.agent}/shares/{share}")).status_code == 204
    for answer in (
        await otto.post(messages, {"content": "Hi"}, project),
        await lent.seen_by("otto"),
        await lent.asked_by("otto"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "agent_not_found")

    await lent.open("read", "otto")
    assert (await lent.asked_by("otto")).status_code == 202
    assert (await lent.seen_by("vera")).status_code == 404
    other = (await otto.post("/projects", {"name": "Ottos own"})).json()["id"]
    assert (await lent.seen_by("otto", other)).status_code == 404
    admin = {"email": otto.email, "role": "admin"}
    assert (await uma.call("PUT", f"/projects/{project}/members", json=admin)).status_code == 200
    assert (await otto.call("DELETE", f"/projects/{project}/members/{uma.id}")).status_code == 204
    assert (await lent.asked_by("otto")).json()["code"] == "agent_not_found"


async def test_an_agent_that_is_lent_is_a_model_name_and_has_a_budget_in_the_project(lent: Lent):
    """One's own comes first; where two are lent under one name, the name alone says nothing."""
    await lent.open("read")
    otto, uma, project = lent.town["otto"], lent.town["uma"], lent.project
    member = {"email": otto.email, "role": "operator"}
    await uma.call("PUT", f"/projects/{project}/members", json=member)
    cap = {"scope": "agent", "subject": lent.agent, "cap_usd": "1"}
    assert (await otto.call("PUT", "/budgets", project, json=cap)).status_code == 201

    async def models() -> list[str]:
        secret = await otto.key("models:read", project=project)
        headers = {"Authorization": f"Bearer {secret}"}
        answer = await lent.town.client.get("/v1/models", headers=headers)
        return [each["id"] for each in answer.json()["data"] if each["owned_by"] == "agents"]

    async def meaning(name: str) -> Response:
        secret = await otto.key("models:read", project=project)
        headers = {"Authorization": f"Bearer {secret}"}
        return await lent.town.client.get(f"/v1/models/{name}", headers=headers)

    assert await models() == ["clerk"]
    ottos = (await otto.post("/agents", CLERK)).json()["id"]
    await otto.call("PUT", f"/agents/{ottos}/shares", json={"project_id": project})
    assert sorted(await models()) == sorted([f"agent:{ottos}", f"agent:{lent.agent}"])
    assert (await meaning("clerk")).json()["error"]["code"] == "agent_ambiguous"
    assert (await meaning(f"agent:{lent.agent}")).status_code == 200
    await otto.post("/agents", CLERK, project)
    assert sorted(await models()) == sorted(["clerk", f"agent:{ottos}", f"agent:{lent.agent}"])
    assert (await meaning("clerk")).status_code == 200


async def test_a_projects_agent_is_not_shared_on(lent: Lent):
    uma, project = lent.town["uma"], lent.project
    agent = (await uma.post("/agents", CLERK, project)).json()["id"]
    body = {"project_id": project}
    refused = await uma.call("PUT", f"/agents/{agent}/shares", project, json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "agent_of_project")
    stranger = {**body, "user_id": lent.town["ada"].id}
    refused = await uma.call("PUT", f"/agents/{lent.agent}/shares", json=stranger)
    assert refused.json()["code"] == "user_not_found"
