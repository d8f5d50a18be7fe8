"""All that is one's own, taken out over a slow line."""

import asyncio
from pathlib import Path
from typing import Any

from contracts.people import Role
from tests.api.people import V1, asking
from tests.api.worker import until

ONE_CONNECTION = {"database_pool_size": 1, "database_pool_overflow": 0, "database_pool_timeout": 0.5}


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
