"""All that is one's own, taken out over a slow line."""

import asyncio
import json
from pathlib import Path
from typing import Any

from contracts.people import Role
from tests.api.people import V1, Town, asking
from tests.api.worker import until

ONE_CONNECTION = {"database_pool_size": 1, "database_pool_overflow": 0, "database_pool_timeout": 0.5}


async def test_an_export_has_what_one_did_and_what_was_done_to_one(town: Town):
    """The audit log says of oneself more than any other table, and was left out."""
    ada, uma, otto = town["ada"], town["uma"], town["otto"]
    key = await uma.key("keys:read", "keys:write")
    await town.with_credential(key, "POST", "/api-keys", json={"name": "x", "scopes": ["keys:read"]})
    await otto.post("/agents", {"name": "ottos", "instructions": "x"})
    await ada.call("PATCH", f"/users/{uma.id}", json={"role": "operator"})

    told = [json.loads(line) for line in (await uma.get("/auth/export")).text.splitlines()]

    lines = [each["row"] for each in told if each["table"] == "audit_log"]
    by_key = [line for line in lines if line["actor"].startswith("key:")]
    assert [line["action"] for line in by_key] == ["key.made"]
    (changed,) = [line for line in lines if line["action"] == "user.changed"]
    assert (changed["actor"], changed["address"], changed["request_id"]) == (f"user:{ada.id}", None, None)
    (made,) = [line for line in lines if line["actor"] == f"user:{uma.id}" and line["action"] == "key.made"]
    assert made["address"]
    assert made["request_id"]
    assert otto.id not in str(lines)


async def test_who_reads_their_export_slowly_holds_no_connection(store_url: str, tmp_path: Path):
    """Three of them emptied a pool, and everybody else was answered 503."""
    taken: list[bytes] = []
    go_on = asyncio.Event()

    async with asking(store_url, tmp_path, database=ONE_CONNECTION) as town:
        uma = await town.settle("uma", Role.USER)
        await uma.post("/chats", {"title": "Leases"})

        async def slowly(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body":
                taken.append(message.get("body", b""))
                await go_on.wait()

        async with asyncio.TaskGroup() as group:
            group.create_task(town.app(_request(uma.tokens["access_token"]), _nothing_more, slowly))
            await until(lambda: bool(taken))
            meanwhile = await uma.get("/chats")
            go_on.set()

    assert meanwhile.status_code == 200
    assert b"Leases" in b"".join(taken)


def _request(token: str) -> dict[str, Any]:
    path = f"{V1}/auth/export"
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"api.example"), (b"authorization", f"Bearer {token}".encode())],
    }


async def _nothing_more() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError
