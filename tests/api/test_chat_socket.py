"""A chat over a web socket, on a live server: who gets in, what is heard, and who does not stay."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.routes import socket
from contracts.people import Role
from tests.api.people import V1, Town, asking
from tests.api.served import served
from tests.api.worker import begin, fail, say

HELLO = {"type": "message", "content": "hello"}


@dataclass
class Live:
    """A served town, and Uma's chat in it."""

    town: Town
    address: str
    chat: str

    def url(self, chat: str | None = None) -> str:
        return f"{self.address.replace('http', 'ws')}{V1}/chats/{chat or self.chat}/ws"

    def opened(self, name: str | None, url: str | None = None, **more: Any) -> connect:
        token = {} if name is None else {"Authorization": f"Bearer {self.town[name].tokens['access_token']}"}
        return connect(url or self.url(), additional_headers=token, open_timeout=60, **more)


@pytest.fixture
async def live(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Live]:
    monkeypatch.setenv("RATE_LIMIT_STREAMS", "2")
    async with asking(store_url, tmp_path) as town, served(town.app) as address:
        await town.settle("uma", Role.USER)
        await town.settle("otto", Role.USER)
        chat = (await town["uma"].post("/chats", {})).json()["id"]
        yield Live(town, address, chat)


async def told(connection: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(60):
        return json.loads(await connection.recv())


async def refusal(attempt: connect) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as refused:
        async with attempt:
            pass
    return refused.value.response.status_code, json.loads(refused.value.response.body or b"{}")["code"]


async def ended(connection: ClientConnection) -> tuple[int, str]:
    """Read to the end; return how the server closed."""
    with suppress(ConnectionClosed):
        async with asyncio.timeout(60):
            while True:
                await connection.recv()
    return connection.close_code or 0, connection.close_reason or ""


async def test_a_message_is_answered_as_it_is_written(live: Live):
    store = live.town.resources.database
    async with live.opened("uma") as connection:
        await connection.send(json.dumps(HELLO))
        accepted = await told(connection)
        claimed = await begin(store)
        await say(store, claimed.id, "Good ", "day.")
        heard = []
        while "Good day." not in "".join(heard):
            message = await told(connection)
            if message["type"] == "event" and message["event"]["kind"] == "token":
                heard.append(message["event"]["data"]["text"])
        await fail(store, claimed)
        while (message := await told(connection))["type"] == "event":
            pass

    assert (accepted["type"], accepted["message"]["content"]) == ("accepted", "hello")
    assert accepted["run_id"] == str(claimed.id)
    assert (message["type"], message["error"]["code"]) == ("failed", "model_unavailable")


async def test_a_cut_log_goes_on_behind_the_last_event(live: Live):
    store = live.town.resources.database
    async with live.opened("uma") as connection:
        await connection.send(json.dumps(HELLO))
        run = (await told(connection))["run_id"]
        first = await told(connection)
    claimed = await begin(store)
    await say(store, claimed.id, "Good day.")
    async with live.opened("uma") as connection:
        await connection.send(json.dumps({"type": "follow", "run_id": run, "after": first["event"]["seq"]}))
        following = await told(connection)

    assert following["event"]["seq"] == first["event"]["seq"] + 1


async def test_without_a_credential_nobody_is_let_in(live: Live, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socket, "FIRST_MESSAGE_SECONDS", 0.2)
    token = live.town["uma"].tokens["access_token"]

    assert await refusal(live.opened(None, subprotocols=["millrace.v1", "bearer.nonsense"])) == (
        *(401, "bad_token"),
    )
    for url in (live.url(), f"{live.url()}?access_token={token}&token={token}"):
        async with live.opened(None, url) as silent:
            assert await ended(silent) == (4401, "not_authenticated")


async def test_a_browser_offers_its_credential_as_a_subprotocol_and_does_not_hear_it_back(live: Live):
    token = live.town["uma"].tokens["access_token"]
    async with live.opened(None, subprotocols=["millrace.v1", f"bearer.{token}"]) as connection:
        assert connection.subprotocol == "millrace.v1"
        assert token not in str(connection.response.headers)
        await connection.send(json.dumps(HELLO))
        assert (await told(connection))["type"] == "accepted"


async def test_the_first_message_may_say_who_it_is(live: Live):
    first = {"type": "authenticate", "credential": live.town["uma"].tokens["access_token"]}
    async with live.opened(None) as connection:
        await connection.send(json.dumps(first))
        await connection.send(json.dumps(HELLO))
        assert (await told(connection))["type"] == "accepted"
    async with live.opened(None) as connection:
        await connection.send(json.dumps({**first, "credential": "nonsense"}))
        assert await ended(connection) == (4401, "bad_token")
    async with live.opened(None) as connection:
        await connection.send(json.dumps(HELLO))
        assert (await ended(connection))[0] == 1008


async def test_anothers_chat_and_none_are_the_same(live: Live):
    assert await refusal(live.opened("otto")) == (404, "chat_not_found")
    assert await refusal(live.opened("uma", live.url("0198c0de-7a11-7000-8000-000000000001"))) == (
        *(404, "chat_not_found"),
    )


async def test_another_chats_run_is_not_followed(live: Live):
    other = (await live.town["uma"].post("/chats", {})).json()["id"]
    run = (await live.town["uma"].post(f"/chats/{other}/messages", {"content": "x"})).json()["run"]["id"]
    async with live.opened("uma") as connection:
        await connection.send(json.dumps({"type": "follow", "run_id": run}))
        assert (await told(connection))["problem"]["code"] == "run_not_found"


async def test_a_socket_ends_when_its_token_dies(live: Live):
    async with live.opened("uma") as connection:
        await live.town["uma"].post("/auth/logout")
        assert await ended(connection) == (4401, "bad_token")


async def test_a_socket_ends_when_its_share_is_taken_back(live: Live):
    uma, otto = live.town["uma"], live.town["otto"]
    project = (await uma.post("/projects", {"name": "Legal"})).json()["id"]
    await uma.call("PUT", f"/projects/{project}/members", json={"email": otto.email})
    path = f"/chats/{live.chat}/shares"
    share = (await uma.call("PUT", path, json={"project_id": project})).json()["id"]

    async with live.opened("otto", f"{live.url()}?project={project}") as connection:
        await connection.send(json.dumps(HELLO))
        assert (await told(connection))["problem"]["code"] == "chat_read_only"
        await uma.call("DELETE", f"{path}/{share}")
        assert await ended(connection) == (4404, "chat_not_found")


async def test_a_caller_has_a_few_sockets_at_once(live: Live):
    async with live.opened("uma"), live.opened("uma"), live.opened("uma") as third:
        assert await ended(third) == (1013, "too_many_requests")


async def test_messages_are_counted_like_any_start_of_work(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RATE_LIMIT_START", "2/minute")
    async with asking(store_url, tmp_path) as town, served(town.app) as address:
        await town.settle("uma", Role.USER)
        live = Live(town, address, (await town["uma"].post("/chats", {})).json()["id"])
        async with live.opened("uma") as connection:
            for _ in range(3):
                await connection.send(json.dumps(HELLO))
            while (message := await told(connection))["type"] != "problem":
                pass

    assert message["problem"]["code"] == "too_many_requests"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("", "malformed_json"),
        ("{", "malformed_json"),
        (b"\x00\xff", "malformed_json"),
        ("[]", "invalid_parameters"),
        ('{"type": "drop"}', "invalid_parameters"),
        ('{"type": "message", "content": "\\u0000"}', "invalid_parameters"),
        ('{"type": "message", "content": "\\ud800"}', "invalid_parameters"),
        ('{"type": "message", "content": 1e999}', "invalid_parameters"),
        ("[" * 5000 + "]" * 5000, "invalid_parameters"),
        ('{"type": "message", "content": "x", "role": "admin"}', "invalid_parameters"),
        ('{"type": "follow", "run_id": "\' OR 1=1 --"}', "invalid_parameters"),
    ],
)
async def test_what_cannot_be_understood_is_said_and_ends_nothing(live: Live, sent: str | bytes, code: str):
    async with live.opened("uma") as connection:
        await connection.send(sent)
        assert (await told(connection))["problem"]["code"] == code
        await connection.send(json.dumps(HELLO))
        assert (await told(connection))["type"] == "accepted"


async def test_a_repeated_key_is_one_turn(live: Live):
    async with live.opened("uma") as connection:
        accepted = []
        for _ in range(2):
            await connection.send(json.dumps({**HELLO, "idempotency_key": "1"}))
            while (message := await told(connection))["type"] != "accepted":
                pass
            accepted.append(message)

    assert accepted[0]["run_id"] == accepted[1]["run_id"]
    assert [each["replayed"] for each in accepted] == [False, True]


async def test_a_server_that_asks_nobody_listens_to_its_own_machine_alone(app, client: httpx2.AsyncClient):
    """A page of another site could else speak to the model of whoever looks at it."""
    chat = (await client.post(f"{V1}/chats", json={})).json()["id"]
    async with served(app) as address:
        url = f"{address.replace('http', 'ws')}{V1}/chats/{chat}/ws"
        async with connect(url, open_timeout=60) as connection:
            await connection.send(json.dumps(HELLO))
            assert (await told(connection))["type"] == "accepted"
        with pytest.raises(InvalidStatus):
            async with connect(url, origin="https://evil.example", open_timeout=60):
                pass
