"""Signing in at Appwrite, through its real SDK and a server that answers as Appwrite does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from api.auth.settings import AuthSettings
from runtime.errors import ConfigurationProblem
from tests.api.people import Town, asking
from tests.fixtures.appwrite_server import AppwriteServer, Person, appwrite_server

PASSWORD = "correct horse battery"


@pytest.fixture
async def appwrite() -> AsyncIterator[AppwriteServer]:
    async with appwrite_server() as server:
        server.add(Person("ada1", "ada@example.org", PASSWORD, labels=["admin"]))
        server.add(
            Person(
                *("uma1", "uma@example.org", PASSWORD),
                teams=[("t1", "Legal", ["owner"], True), ("t2", "Secret", ["owner"], False)],
            )
        )
        server.add(Person("otto1", "otto@example.org", PASSWORD, teams=[("t1", "Legal", ["viewer"], True)]))
        yield server


@pytest.fixture
async def town(store_url: str, tmp_path: Path, appwrite: AppwriteServer) -> AsyncIterator[Town]:
    async with asking(
        store_url,
        tmp_path,
        auth="none",
        auth_cache_seconds=0,
        appwrite_endpoint=appwrite.url,
        appwrite_project=appwrite.project,
        appwrite_api_key=SecretStr(appwrite.api_key),
        appwrite_seconds=60,
        appwrite_threads=4,
    ) as started:
        yield started


async def tokens(town: Town, name: str) -> dict[str, str]:
    answer = await town.login(f"{name}@example.org")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def me(town: Town, token: str, **headers: str) -> httpx2.Response:
    return await town.with_credential(token, "GET", "/auth/me", headers=headers)


async def test_labels_are_roles_and_preferences_are_not(town: Town):
    """Preferences are written by the person; Uma's say that she is an administrator."""
    ada, uma = [
        (await me(town, (await tokens(town, name))["access_token"])).json() for name in ("ada", "uma")
    ]

    assert (ada["role"], uma["role"]) == ("admin", "user")
    assert uma["user"]["email"] == "uma@example.org"


async def test_confirmed_teams_are_projects_and_invitations_are_not(town: Town):
    uma, otto = [(await tokens(town, name))["access_token"] for name in ("uma", "otto")]
    (legal,) = (await town.with_credential(uma, "GET", "/projects")).json()["items"]
    assert (legal["name"], legal["role"]) == ("Legal", "admin")

    async def in_legal(token: str, method: str, path: str, **more: object) -> httpx2.Response:
        headers = {"Millrace-Project": legal["id"]}
        return await town.with_credential(token, method, path, headers=headers, **more)

    run = (await in_legal(uma, "POST", "/pipelines/probe/runs", json={"params": {}})).json()
    assert (await in_legal(otto, "GET", f"/runs/{run['id']}")).status_code == 200
    refused = await in_legal(otto, "POST", "/pipelines/probe/runs", json={"params": {}})
    assert refused.json()["code"] == "missing_scope"


async def test_who_leaves_a_team_leaves_its_project(town: Town, appwrite: AppwriteServer):
    uma = (await tokens(town, "uma"))["access_token"]
    (legal,) = (await town.with_credential(uma, "GET", "/projects")).json()["items"]
    appwrite.people["uma1"].teams.clear()

    assert (await me(town, uma, **{"Millrace-Project": legal["id"]})).json()["code"] == "project_not_found"


async def test_a_project_made_here_keeps_its_members(town: Town, appwrite: AppwriteServer):
    """Appwrite knows teams alone; each answer of it used to take Uma out of what she had made."""
    uma, otto = [(await tokens(town, name))["access_token"] for name in ("uma", "otto")]
    await me(town, otto)
    made = (await town.with_credential(uma, "POST", "/projects", json={"name": "Own"})).json()["id"]
    added = await town.with_credential(
        uma, "PUT", f"/projects/{made}/members", json={"email": "otto@example.org", "role": "viewer"}
    )
    assert added.status_code == 200, added.text
    appwrite.people["uma1"].teams.clear()

    roles = [(await me(town, each, **{"Millrace-Project": made})).json()["role"] for each in (uma, otto)]
    assert roles == ["admin", "viewer"]
    left = await town.with_credential(otto, "GET", "/projects")
    assert {each["name"] for each in left.json()["items"]} == {"Own", "Legal"}


async def test_a_teams_members_change_in_appwrite(town: Town):
    """Else the change is answered with 200 and undone with the member's next request."""
    uma, otto = [(await tokens(town, name))["access_token"] for name in ("uma", "otto")]
    (legal,) = (await town.with_credential(uma, "GET", "/projects")).json()["items"]
    other = (await me(town, otto)).json()["user"]["id"]
    path, body = f"/projects/{legal['id']}/members", {"email": "otto@example.org", "role": "admin"}

    for answer in (
        await town.with_credential(uma, "PUT", path, json=body),
        await town.with_credential(uma, "DELETE", f"{path}/{other}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "managed_elsewhere")


async def test_a_blocked_person_is_out_with_their_tokens_and_keys(town: Town, appwrite: AppwriteServer):
    shown = await tokens(town, "uma")
    made = await town.with_credential(
        shown["access_token"], "POST", "/api-keys", json={"name": "k", "scopes": ["runs:read"]}
    )
    key = made.json()["secret"]
    assert (await town.with_credential(key, "GET", "/runs")).status_code == 200

    appwrite.people["uma1"].status = False

    assert (await me(town, shown["access_token"])).json()["code"] == "bad_token"
    assert (await town.with_credential(key, "GET", "/runs")).status_code == 401
    assert (await town.login("uma@example.org")).json()["code"] == "wrong_login"


async def test_signing_out_ends_the_session_there(town: Town, appwrite: AppwriteServer):
    shown = await tokens(town, "uma")
    assert (await town.with_credential(shown["access_token"], "POST", "/auth/logout")).status_code == 204

    assert appwrite.sessions == {}
    assert (await me(town, shown["access_token"])).status_code == 401
    again = await town.client.post("/api/v1/auth/refresh", json={"refresh_token": shown["refresh_token"]})
    assert (again.status_code, again.json()["code"]) == (401, "bad_refresh_token")


async def test_the_sessions_secret_gets_the_next_token(town: Town):
    shown = await tokens(town, "uma")
    sent = {"refresh_token": shown["refresh_token"]}
    following = (await town.client.post("/api/v1/auth/refresh", json=sent)).json()

    assert (await me(town, following["access_token"])).json()["user"]["email"] == "uma@example.org"


async def test_a_wrong_password_and_an_unknown_address_get_one_answer(town: Town):
    answers = [await town.login("uma@example.org", "wrong horse battery"), await town.login("x@example.org")]

    assert {(each.status_code, each.json()["code"]) for each in answers} == {(401, "wrong_login")}


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
async def test_what_appwrite_did_not_sign_is_refused(town: Town, token: str):
    assert (await me(town, token)).status_code == 401


@pytest.mark.parametrize("how", ["gone", "silent", "failing", "wrong_key"])
async def test_while_appwrite_is_away_nobody_is_told_that_they_are_wrong(
    town: Town, appwrite: AppwriteServer, how: str, monkeypatch: pytest.MonkeyPatch
):
    """A 401 would make every client throw its good token away."""
    shown = await tokens(town, "uma")
    asked = town.resources.people.directory._appwrite  # noqa: SLF001  a server that is gone has no other end
    if how == "gone":
        monkeypatch.setattr(asked, "_endpoint", "http://127.0.0.1:9/v1")
    elif how == "silent":
        monkeypatch.setattr(asked, "_seconds", 0.5)
        appwrite.silent = True
    elif how == "failing":
        appwrite.fails_with = 502
    else:
        appwrite.api_key = "another"
    for answer in (await me(town, shown["access_token"]), await town.login("uma@example.org")):
        assert (answer.status_code, answer.json()["code"]) == (503, "identity_unavailable")
        assert answer.headers["retry-after"]
    appwrite.silent = False


async def test_nobody_is_sent_with_somebody_elses_cookie(town: Town, appwrite: AppwriteServer):
    """The SDK's shared client would keep the login's cookie and send it along with the next request."""
    for name in ("ada", "uma"):
        await me(town, (await tokens(town, name))["access_token"])

    assert len(appwrite.asked) >= 8
    assert [headers for _, headers in appwrite.asked if "cookie" in headers] == []


async def test_each_question_carries_one_credential_and_connections_are_shared(
    town: Town, appwrite: AppwriteServer
):
    shown = await tokens(town, "uma")
    await asyncio.gather(*(me(town, shown["access_token"]) for _ in range(20)))

    names = {"x-appwrite-key", "x-appwrite-jwt", "x-appwrite-session"}
    assert all(len(names & headers.keys()) == 1 for _, headers in appwrite.asked)
    assert appwrite.connections <= 4 < len(appwrite.asked)


async def test_what_the_server_warns_of_is_not_printed(town: Town, capfd: pytest.CaptureFixture[str]):
    await me(town, (await tokens(town, "uma"))["access_token"])

    assert "Warning" not in capfd.readouterr().err


async def test_an_answer_is_relied_on_for_a_while(store_url: str, tmp_path: Path, appwrite: AppwriteServer):
    async with AsyncExitStack() as stack:
        town = await stack.enter_async_context(
            asking(
                store_url,
                tmp_path,
                auth="none",
                auth_cache_seconds=60,
                appwrite_endpoint=appwrite.url,
                appwrite_project=appwrite.project,
                appwrite_api_key=SecretStr(appwrite.api_key),
                appwrite_seconds=60,
            )
        )
        shown = await tokens(town, "uma")
        for _ in range(5):
            await me(town, shown["access_token"])
    assert [path for path, _ in appwrite.asked].count("GET /v1/account") == 1


async def test_an_address_that_nobody_verified_takes_no_account_over(town: Town, appwrite: AppwriteServer):
    await me(town, (await tokens(town, "uma"))["access_token"])
    appwrite.add(Person("thief1", "uma@example.org", "another password", verified=False))
    del appwrite.people["uma1"]
    answer = await town.login("uma@example.org", "another password")

    assert (await me(town, answer.json()["access_token"])).json()["code"] == "email_not_verified"


def test_half_of_the_settings_are_not_enough():
    with pytest.raises(ConfigurationProblem, match="APPWRITE_API_KEY"):
        AuthSettings(appwrite_endpoint="http://x/v1").appwrite()
