"""What a production server refuses to start with, which names it answers to, and what its answers carry."""

from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from api.app import create_app
from api.auth.settings import AuthSettings
from api.settings import ApiSettings
from contracts.people import Role
from database.settings import DatabaseSettings
from runtime.errors import ConfigurationProblem
from tests.api.people import Town, asking

PRODUCTION = "production"
MARIADB = "mysql+aiomysql://millrace:{}@db/millrace"


def refused(match: str, database: str = MARIADB.format("x8Gq-long-one"), **settings: object) -> str:
    with pytest.raises(ConfigurationProblem, match=match) as refusal:
        create_app(
            ApiSettings(millrace_environment=PRODUCTION, **settings),
            DatabaseSettings(database_url=SecretStr(database)),
            AuthSettings(auth="embedded"),
        )
    return refusal.value.code


@pytest.mark.parametrize("password", ["", "millrace", "password", "test", "changeme"])
def test_a_password_that_everybody_knows_is_refused(password: str):
    assert refused("DATABASE_URL", MARIADB.format(password)) == "unsafe_in_production"


def test_debugging_is_refused(monkeypatch: pytest.MonkeyPatch):
    assert refused("API_DOCS", api_docs=True) == "unsafe_in_production"
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    assert refused("LOG_LEVEL") == "unsafe_in_production"


@pytest.mark.parametrize("settings", [{"api_host": "0.0.0.0"}, {"api_allow_open_bind": True}])
def test_an_open_bind_that_asks_nobody_is_refused(settings: dict):
    with pytest.raises(ConfigurationProblem, match="AUTH=embedded") as refusal:
        create_app(ApiSettings(millrace_environment=PRODUCTION, **settings))
    assert refusal.value.code == "open_bind_refused"


def test_a_server_that_asks_may_listen_to_others():
    settings = ApiSettings(millrace_environment=PRODUCTION, api_host="0.0.0.0")
    database = DatabaseSettings(database_url=SecretStr(MARIADB.format("x8Gq-long-one")))

    assert create_app(settings, database, AuthSettings(auth="embedded"))


async def test_the_documentation_is_off(store_url: str, tmp_path: Path):
    async with asking(store_url, tmp_path, ApiSettings(millrace_environment=PRODUCTION)) as town:
        for path in ("/docs", "/openapi.json", "/redoc"):
            assert (await town.client.get(path)).status_code == 404


async def test_only_its_own_names_are_answered(store_url: str, tmp_path: Path):
    settings = ApiSettings(api_trusted_hosts="api.example.org, *.inner.example")
    async with asking(store_url, tmp_path, settings) as town:
        told = {
            name: (await town.client.get("/healthz", headers={"Host": name})).status_code
            for name in ("api.example.org:8400", "API.EXAMPLE.ORG", "a.inner.example", "127.0.0.1")
        }
        strange = {
            name: (await town.client.get("/healthz", headers={"Host": name})).json()["code"]
            for name in ("evil.example", "inner.example", "api.example.org.evil.example", "")
        }

    assert set(told.values()) == {200}
    assert set(strange.values()) == {"unknown_host"}


@pytest.mark.parametrize(("proxies", "expected"), [("", "127.0.0.1"), ("127.0.0.0/8", "203.0.113.9")])
async def test_a_proxy_is_believed_only_when_it_is_named(
    store_url: str, tmp_path: Path, proxies: str, expected: str
):
    """Else everybody chooses the address that they are counted by."""
    async with asking(store_url, tmp_path, ApiSettings(api_trusted_proxies=proxies)) as town:
        ada = await town.settle("ada", Role.ADMIN)
        forwarded = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
        await ada.call("POST", "/projects", json={"name": "x"}, headers=forwarded)
        lines = (await ada.get("/audit", params={"action": "project.created"})).json()["items"]

    assert [line["address"] for line in lines] == [expected]


async def test_every_answer_carries_the_headers_of_a_careful_server(town: Town):
    plain = [await town.client.get(path) for path in ("/healthz", "/nowhere")]
    for answer in [*plain, await town["uma"].get("/runs")]:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
        assert "strict-transport-security" not in answer.headers


async def test_over_tls_browsers_are_told_to_stay_there(town: Town):
    transport = httpx2.ASGITransport(town.app)
    async with httpx2.AsyncClient(transport=transport, base_url="https://api.example") as client:
        answer = await client.get("/healthz")

    assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize(
    "origins", ["*", "https://*.example.org", "app.example.org", "https://a.example/path"]
)
def test_origins_are_written_out(origins: str):
    with pytest.raises(ConfigurationProblem, match="API_CORS_ORIGINS"):
        ApiSettings(api_cors_origins=origins)
