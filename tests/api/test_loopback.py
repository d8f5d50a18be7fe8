"""Only this machine may call, however the server was started, until the API asks who calls."""

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.testclient import TestClient
from httpx2 import ASGITransport, AsyncClient
from pydantic import SecretStr

from api.app import create_app
from api.loopback import is_loopback
from api.settings import ApiSettings
from database.settings import DatabaseSettings
from runtime.errors import ConfigurationProblem


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_an_open_bind_is_refused_with_the_way_out(host: str):
    with pytest.raises(ConfigurationProblem, match="API_ALLOW_OPEN_BIND") as refusal:
        create_app(ApiSettings().model_copy(update={"api_host": host}))
    assert refusal.value.code == "open_bind_refused"


def test_an_open_bind_can_be_asked_for_by_name(monkeypatch: pytest.MonkeyPatch):
    """A container listens to its inner network."""
    monkeypatch.setenv("API_HOST", "0.0.0.0")
    monkeypatch.setenv("API_ALLOW_OPEN_BIND", "true")

    assert create_app()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST."])
def test_names_of_this_machine(host: str):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["localhost.example.org", "127.0.0.1.example.org", "0", "2130706433", "x" * 999]
)
def test_names_that_only_look_like_it(host: str):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example"},
        {"Host": "attacker.example:8400"},
        {"Host": "127.0.0.1@attacker.example"},
        {"Host": "[::1"},
        {"Host": ""},
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1.attacker.example"},
    ],
)
async def test_a_web_page_of_another_site_gets_nothing(client: AsyncClient, headers: dict[str, str]):
    """By DNS rebinding it comes with its own Host, by a form or fetch with its Origin."""
    answer = await client.post("/api/v1/pipelines/probe/runs", json={}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "not_from_here")


def test_a_web_socket_of_another_site_is_not_accepted(app: FastAPI):
    """Browsers open web sockets across sites without asking; no later endpoint has to think of it."""

    @app.websocket("/socket")
    async def socket(connection: WebSocket) -> None:
        await connection.accept()
        await connection.close()

    client = TestClient(app, base_url="http://127.0.0.1")
    with client.websocket_connect("ws://127.0.0.1/socket"):
        pass
    foreign = {"Origin": "https://attacker.example"}
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("ws://127.0.0.1/socket", headers=foreign),
    ):
        pass


async def test_a_page_of_this_machine_may_call(client: AsyncClient):
    headers = {"Host": "localhost:8400", "Origin": "http://localhost:3000"}

    assert (await client.get("/api/v1/runs", headers=headers)).status_code == 200


async def test_a_request_that_came_over_a_network_is_refused(app: FastAPI):
    """`uvicorn --host 0.0.0.0` skips our settings; the address that was called tells."""
    async with AsyncClient(transport=ASGITransport(app), base_url="http://192.168.1.5:8400") as caller:
        answer = await caller.get("/api/v1/runs", headers={"Host": "localhost"})

    assert (answer.status_code, answer.json()["code"]) == (403, "not_from_here")


async def test_behind_an_allowed_open_bind_any_name_will_do(store_url: str):
    settings = ApiSettings(api_host="0.0.0.0", api_allow_open_bind=True)
    app = create_app(settings, DatabaseSettings(database_url=SecretStr(store_url)))
    transport = ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=transport, base_url="http://api:8400") as caller,
    ):
        assert (await caller.get("/api/v1/runs")).status_code == 200
