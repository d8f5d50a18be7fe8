"""Keys for programs: what one may do, how it ends, and that it never grows."""

import asyncio
import json
from datetime import timedelta

import sqlalchemy as sa

from api.app import create_app
from api.settings import ApiSettings
from contracts.people import ROLE_SCOPES, Role, Scope
from database.tables import ApiKeyRow, core
from runtime.clock import utcnow
from tests.api.people import Town

RUN = {"params": {}}


async def aged(town: Town, **columns):
    """Change the stored keys as time would."""

    async def change(session):
        await session.execute(sa.update(core(ApiKeyRow)).values(columns))

    await town.resources.database.write(change)
    town.resources.people.guard.known.clear()


async def test_a_key_does_what_its_scopes_say(town: Town):
    reads = await town["uma"].key("runs:read")

    assert (await town.with_credential(reads, "GET", "/runs")).status_code == 200
    refused = await town.with_credential(reads, "POST", "/pipelines/probe/runs", json=RUN)
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    assert "runs:write" in refused.json()["detail"]


async def test_a_key_works_in_its_makers_space(town: Town):
    key = await town["uma"].key("runs:read", "runs:write")
    run = (await town.with_credential(key, "POST", "/pipelines/probe/runs", json=RUN)).json()

    assert (await town["uma"].get(f"/runs/{run['id']}")).status_code == 200
    assert (await town["otto"].get(f"/runs/{run['id']}")).json()["code"] == "run_not_found"


async def test_nobody_makes_a_key_that_may_more_than_they_do(town: Town):
    refused = await town["uma"].post("/api-keys", {"name": "x", "scopes": ["users:write"]})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "scopes")

    small = await town["ada"].key("keys:read", "keys:write")
    grown = {"name": "x", "scopes": ["audit:read"]}
    assert (await town.with_credential(small, "POST", "/api-keys", json=grown)).status_code == 422


async def test_a_small_key_does_not_rotate_itself_into_a_large_one(town: Town):
    await town["ada"].key("audit:read")
    large = (await town["ada"].get("/api-keys")).json()["items"][0]["id"]
    small = await town["ada"].key("keys:read", "keys:write")

    refused = await town.with_credential(small, "POST", f"/api-keys/{large}/rotate", json={})

    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")


async def test_a_key_loses_what_its_maker_loses(town: Town):
    key = await town["uma"].key("runs:read", "runs:write")
    await town["ada"].call("PATCH", f"/users/{town['uma'].id}", json={"role": "viewer"})

    assert (await town.with_credential(key, "GET", "/runs")).status_code == 200
    assert (await town.with_credential(key, "POST", "/pipelines/probe/runs", json=RUN)).status_code == 403


async def test_an_expired_key_and_a_revoked_key_do_nothing(town: Town):
    expires, revoked = (
        await town["uma"].key("runs:read", expires_in_days=1),
        await town["otto"].key("runs:read"),
    )
    await aged(town, expires_at=utcnow() - timedelta(seconds=1))
    assert (await town.with_credential(expires, "GET", "/runs")).status_code == 401

    await aged(town, expires_at=None)
    assert (await town.with_credential(revoked, "GET", "/runs")).status_code == 200
    (listed,) = (await town["otto"].get("/api-keys")).json()["items"]
    assert (await town["uma"].call("DELETE", f"/api-keys/{listed['id']}")).json()["code"] == "key_not_found"
    assert (await town["otto"].call("DELETE", f"/api-keys/{listed['id']}")).status_code == 204
    assert (await town.with_credential(revoked, "GET", "/runs")).status_code == 401
    (shown,) = (await town["otto"].get("/api-keys")).json()["items"]
    assert shown["revoked_at"]


async def test_a_rotated_key_works_beside_its_successor_for_a_while(town: Town):
    old = await town["uma"].key("runs:read")
    (listed,) = (await town["uma"].get("/api-keys")).json()["items"]
    new = (await town["uma"].post(f"/api-keys/{listed['id']}/rotate", {"old_works_for_minutes": 5})).json()

    for secret in (old, new["secret"]):
        assert (await town.with_credential(secret, "GET", "/runs")).status_code == 200
    at_once = await town["uma"].post(f"/api-keys/{new['key']['id']}/rotate", {"old_works_for_minutes": 0})
    assert (await town.with_credential(new["secret"], "GET", "/runs")).status_code == 401
    assert (await town.with_credential(at_once.json()["secret"], "GET", "/runs")).status_code == 200


async def test_a_projects_administrator_ends_anothers_key_and_cannot_act_with_it(town: Town):
    """The next secret of Otto's key would be Otto: Uma could approve with it what she made herself."""
    uma, otto = town["uma"], town["otto"]
    project = (await uma.post("/projects", {"name": "Legal"})).json()["id"]
    member = {"email": otto.email, "role": "operator"}
    assert (await uma.call("PUT", f"/projects/{project}/members", json=member)).status_code == 200
    secret = await otto.key("approvals:decide", "approvals:read", project=project)
    (seen,) = (await uma.get("/api-keys", project)).json()["items"]

    refused = await uma.post(f"/api-keys/{seen['id']}/rotate", {}, project)

    assert (refused.status_code, refused.json()["code"]) == (403, "key_of_another")
    assert [each["user_id"] for each in (await uma.get("/api-keys", project)).json()["items"]] == [otto.id]
    assert (await town.with_credential(secret, "GET", "/approvals")).status_code == 200
    assert (await otto.post(f"/api-keys/{seen['id']}/rotate", {}, project)).status_code == 201
    assert (await uma.call("DELETE", f"/api-keys/{seen['id']}", project)).status_code == 204
    assert (await town.with_credential(secret, "GET", "/approvals")).status_code == 401


async def test_the_last_use_is_noted_once_a_minute(town: Town):
    key = await town["uma"].key("runs:read")
    await asyncio.gather(*(town.with_credential(key, "GET", "/runs") for _ in range(5)))
    (first,) = (await town["uma"].get("/api-keys")).json()["items"]
    assert first["used_at"]

    await aged(town, used_at=utcnow() - timedelta(minutes=5))
    await town.with_credential(key, "GET", "/runs")
    (second,) = (await town["uma"].get("/api-keys")).json()["items"]
    assert second["used_at"] > first["used_at"]


async def test_a_viewer_reads_and_makes_nothing(town: Town):
    vera = await town.settle("vera", Role.VIEWER)

    assert (await vera.post("/api-keys", {"name": "x", "scopes": ["runs:read"]})).status_code == 403
    assert (await vera.get("/runs")).status_code == 200
    assert (await vera.post("/pipelines/probe/runs", RUN)).status_code == 403


async def test_a_key_tells_no_other_server_unless_it_may(town: Town):
    """Every address that starts runs with options; the scope was on keys, and none of them asked for it."""
    uma = town["uma"]
    agent = (await uma.post("/agents", {"name": "clerk", "instructions": "x"})).json()["id"]
    chat = (await uma.post("/chats", {})).json()["id"]
    run = (await uma.post("/pipelines/probe/runs", RUN)).json()["id"]
    doors = {
        "trigger_run": ("/pipelines/probe/runs", {}),
        "fork_run": (f"/runs/{run}/fork", {}),
        "run_agent": (f"/agents/{agent}/runs", {"message": "x"}),
        "send_message": (f"/chats/{chat}/messages", {"content": "x"}),
        "compare_candidate": ("/recommendations", {"program": "support.sort", "version": 1}),
    }
    assert set(doors) == with_options()
    key = await uma.key(*(ROLE_SCOPES[Role.USER] - {Scope.WEBHOOKS_WRITE}))
    for name, (path, body) in doors.items():
        asked = {**body, "options": {"webhook_url": "https://example.com/hook"}}
        refused = await town.with_credential(key, "POST", path, json=asked)
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope"), name
        assert "webhooks:write" in refused.json()["detail"]
    asked = {"options": {"webhook_url": "https://example.com/hook"}}
    assert (await uma.post("/pipelines/probe/runs", asked)).status_code == 202


def with_options() -> set[str]:
    """Return the operations that take a run's options."""
    document = create_app(ApiSettings()).openapi()
    schemas = {
        name for name, each in document["components"]["schemas"].items() if '/RunOptions"' in json.dumps(each)
    }
    return {
        each["operationId"]
        for path in document["paths"].values()
        for each in path.values()
        if any(f'/{name}"' in json.dumps(each.get("requestBody")) for name in schemas)
    }


async def test_who_was_told_of_an_end_is_a_scope_of_its_own(town: Town):
    run = (await town["uma"].post("/pipelines/probe/runs", RUN)).json()["id"]
    reads, hears = await town["uma"].key("runs:read"), await town["uma"].key("webhooks:read")

    refused = await town.with_credential(reads, "GET", f"/runs/{run}/webhook")
    asked = await town.with_credential(hears, "GET", f"/runs/{run}/webhook")

    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    assert (asked.status_code, asked.json()["code"]) == (404, "webhook_not_found")


async def test_a_key_whose_scope_is_no_more_does_the_rest_as_before(town: Town):
    """Two scopes that guarded nothing were taken away; keys had been made with them."""
    key = await town["uma"].key("runs:read")
    await aged(town, scopes=["operations:read", "runs:read"])

    assert (await town.with_credential(key, "GET", "/runs")).status_code == 200
    (shown,) = (await town["uma"].get("/api-keys")).json()["items"]
    assert shown["scopes"] == ["runs:read"]
