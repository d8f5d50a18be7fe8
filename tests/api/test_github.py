"""Signing in at GitHub, against a server that answers as GitHub does: who gets in, and who must not."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import jwt
import pytest
from pydantic import SecretStr

from api.auth.settings import AuthSettings
from contracts.people import Role
from database.people.audit import COMMAND_LINE
from database.people.users import create_user
from runtime.errors import ConfigurationProblem
from tests.api.people import V1, Town, asking
from tests.fixtures.github_server import Account, GitHubServer, github_server

BEGIN = f"{V1}/auth/github"
UMA = Account(583231, "uma", [("uma@example.org", True, True), ("old@example.org", False, True)])
NEW = Account(42, "newcomer", [("new@example.org", True, True)])


@pytest.fixture
async def github() -> AsyncIterator[GitHubServer]:
    async with github_server() as server:
        yield server


def settings(github: GitHubServer, **more: Any) -> dict[str, Any]:
    return {
        "github_client_id": github.client_id,
        "github_client_secret": SecretStr(github.client_secret),
        "github_url": github.url,
        "github_seconds": 60,
        **more,
    }


@pytest.fixture
async def town(store_url: str, tmp_path: Path, github: GitHubServer) -> AsyncIterator[Town]:
    async with asking(store_url, tmp_path, **settings(github)) as started:
        await started.settle("ada", Role.ADMIN)
        await started.settle("uma", Role.USER)
        yield started


async def began(town: Town) -> str:
    """Begin in the browser (the client keeps its cookie); return GitHub's address."""
    answer = await town.client.get(BEGIN)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


async def comes_back(town: Town, url: str) -> httpx2.Response:
    """Follow GitHub's answer back to this server."""
    return await town.client.get(url)


async def signs_in(town: Town, github: GitHubServer, account: Account | None) -> httpx2.Response:
    return await comes_back(town, github.agrees(await began(town), account))


async def vouched(town: Town, name: str) -> None:
    answer = await town["ada"].call("PATCH", f"/users/{town[name].id}", json={"email_verified": True})
    assert answer.json()["email_verified"] is True


async def link(town: Town, github: GitHubServer, name: str, account: Account) -> httpx2.Response:
    there = (await town[name].post("/auth/github/link")).json()["url"]
    return await comes_back(town, github.agrees(there, account))


async def test_a_verified_address_on_both_sides_lets_its_owner_in(town: Town, github: GitHubServer):
    await vouched(town, "uma")
    answer = await signs_in(town, github, UMA)

    assert answer.status_code == 200, answer.text
    me = await town.with_credential(answer.json()["access_token"], "GET", "/auth/me")
    assert me.json()["user"]["id"] == town["uma"].id
    (identity,) = (await town["uma"].get("/auth/identities")).json()["items"]
    assert (identity["provider"], identity["name"]) == ("github", "uma")
    assert github.asked == ["POST /login/oauth/access_token", "GET /api/v3/user", "GET /api/v3/user/emails"]


async def test_the_second_time_the_number_counts_and_not_the_address(town: Town, github: GitHubServer):
    """Addresses change hands, and so do logins; GitHub's numbers do not."""
    await vouched(town, "uma")
    await signs_in(town, github, UMA)
    moved = Account(UMA.id, "uma-renamed", [("elsewhere@example.org", True, True)])
    answer = await signs_in(town, github, moved)
    thief = await signs_in(town, github, Account(7, "uma", [("thief@example.org", True, True)]))

    me = await town.with_credential(answer.json()["access_token"], "GET", "/auth/me")
    assert me.json()["user"]["id"] == town["uma"].id
    assert thief.json()["code"] == "not_invited"


async def test_an_account_whose_address_nobody_verified_here_is_not_entered(town: Town, github: GitHubServer):
    """Somebody may have made it under a stranger's address, to wait for them with a password of their own."""
    answer = await signs_in(town, github, UMA)

    assert (answer.status_code, answer.json()["code"]) == (409, "link_needed")
    assert (await town["uma"].get("/auth/identities")).json()["items"] == []


@pytest.mark.parametrize(
    "emails",
    [
        [("uma@example.org", True, False)],
        [("uma@example.org", False, True), ("other@example.org", True, False)],
        [],
    ],
    ids=["not verified", "verified and not primary", "none"],
)
async def test_an_address_that_is_not_verified_there_takes_no_account_over(
    town: Town, github: GitHubServer, emails: list[tuple[str, bool, bool]]
):
    await vouched(town, "uma")
    answer = await signs_in(town, github, Account(666, "thief", emails))

    assert (answer.status_code, answer.json()["code"]) == (403, "email_not_verified")


async def test_a_stranger_comes_in_only_where_anybody_may(
    town: Town, github: GitHubServer, store_url: str, tmp_path: Path
):
    refused = await signs_in(town, github, NEW)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_invited")

    async with asking(store_url, tmp_path, **settings(github, github_sign_up=True)) as open_town:
        answer = await signs_in(open_town, github, NEW)
        me = await open_town.with_credential(answer.json()["access_token"], "GET", "/auth/me")
    assert (me.json()["user"]["email"], me.json()["role"]) == ("new@example.org", "user")


async def test_who_is_signed_in_links_an_account_of_any_address(town: Town, github: GitHubServer):
    linked = await link(town, github, "uma", NEW)
    assert linked.status_code == 204, linked.text

    answer = await signs_in(town, github, NEW)
    me = await town.with_credential(answer.json()["access_token"], "GET", "/auth/me")
    assert me.json()["user"]["id"] == town["uma"].id


async def test_an_account_of_github_is_one_persons_here(town: Town, github: GitHubServer):
    await link(town, github, "uma", NEW)
    answer = await link(town, github, "ada", NEW)

    assert (answer.status_code, answer.json()["code"]) == (409, "identity_taken")
    assert (await town["ada"].get("/auth/identities")).json()["items"] == []


async def test_a_link_whose_sign_in_has_ended_meanwhile_is_not_made(town: Town, github: GitHubServer):
    there = (await town["uma"].post("/auth/github/link")).json()["url"]
    await town["uma"].post("/auth/logout")
    answer = await comes_back(town, github.agrees(there, NEW))

    assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")


async def test_a_key_links_nobody(town: Town):
    key = await town["uma"].key("account")
    answer = await town.with_credential(key, "POST", "/auth/github/link")

    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")


async def test_what_is_unlinked_lets_nobody_in_and_ends_other_sign_ins(town: Town, github: GitHubServer):
    await link(town, github, "uma", NEW)
    elsewhere = (await signs_in(town, github, NEW)).json()["access_token"]
    (identity,) = (await town["uma"].get("/auth/identities")).json()["items"]

    assert (await town["ada"].call("DELETE", f"/auth/identities/{identity['id']}")).status_code == 404
    assert (await town["uma"].call("DELETE", f"/auth/identities/{identity['id']}")).status_code == 204

    assert (await signs_in(town, github, NEW)).json()["code"] == "not_invited"
    assert (await town.with_credential(elsewhere, "GET", "/auth/me")).status_code == 401
    assert (await town["uma"].get("/auth/me")).status_code == 200


async def test_the_only_way_to_sign_in_is_not_unlinked(town: Town, github: GitHubServer):
    await town.resources.database.write(
        create_user,
        COMMAND_LINE,
        email="new@example.org",
        name="",
        role=Role.USER,
        password_hash=None,
        email_verified=True,
    )
    token = (await signs_in(town, github, NEW)).json()["access_token"]
    (identity,) = (await town.with_credential(token, "GET", "/auth/identities")).json()["items"]
    answer = await town.with_credential(token, "DELETE", f"/auth/identities/{identity['id']}")

    assert (answer.status_code, answer.json()["code"]) == (409, "last_way_in")
    assert (await signs_in(town, github, NEW)).status_code == 200


async def test_somebody_disabled_here_does_not_come_in_by_github(town: Town, github: GitHubServer):
    await link(town, github, "uma", NEW)
    await town["ada"].call("PATCH", f"/users/{town['uma'].id}", json={"disabled": True})

    assert (await signs_in(town, github, NEW)).json()["code"] == "account_disabled"


async def test_who_says_no_at_github_is_told_so(town: Town, github: GitHubServer):
    answer = await signs_in(town, github, None)

    assert (answer.status_code, answer.json()["code"]) == (403, "sign_in_denied")
    assert github.asked == []


async def test_another_browsers_sign_in_is_refused(town: Town, github: GitHubServer):
    """Else a link with an attacker's code would sign a victim in as the attacker."""
    back = github.agrees(await began(town), UMA)
    town.client.cookies.clear()
    without = await comes_back(town, back)
    await began(town)
    with_its_own = await comes_back(town, back)

    for answer in (without, with_its_own):
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_state")
    assert github.asked == []


async def test_a_code_works_once(town: Town, github: GitHubServer):
    await vouched(town, "uma")
    back = github.agrees(await began(town), UMA)
    cookies = dict(town.client.cookies)
    assert (await comes_back(town, back)).status_code == 200
    assert dict(town.client.cookies) == {}
    over = await comes_back(town, back)
    town.client.cookies.update(cookies)
    replayed = await comes_back(town, back)

    assert over.json()["code"] == "bad_state"
    assert (replayed.status_code, replayed.json()["code"]) == (401, "bad_sign_in_code")


async def test_a_code_that_somebody_else_began_is_worth_nothing(town: Town, github: GitHubServer):
    """PKCE: a stolen code needs the secret of the browser that began."""
    await vouched(town, "uma")
    stolen = parse_qs(urlsplit(github.agrees(await began(town), UMA)).query)["code"][0]
    own = parse_qs(urlsplit(await began(town)).query)["state"][0]
    answer = await town.client.get(f"{BEGIN}/callback", params={"code": stolen, "state": own})

    assert (answer.status_code, answer.json()["code"]) == (401, "bad_sign_in_code")


async def test_an_access_token_is_no_beginning_and_a_beginning_no_access_token(
    town: Town, github: GitHubServer
):
    back = github.agrees(await began(town), UMA)
    (name,), (cookie,) = zip(*dict(town.client.cookies).items(), strict=True)
    assert (await town.with_credential(cookie, "GET", "/auth/me")).status_code == 401
    for forged in (town["uma"].tokens["access_token"], cookie[:-4], "", jwt.encode({"nonce": "x"}, "k" * 32)):
        town.client.cookies.clear()
        town.client.cookies.set(name, forged)
        assert (await comes_back(town, back)).json()["code"] == "bad_state"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ("bad_verification_code", 401, "bad_sign_in_code"),
        ("unverified_user_email", 403, "email_not_verified"),
        ("incorrect_client_credentials", 503, "identity_unavailable"),
        ("redirect_uri_mismatch", 503, "identity_unavailable"),
    ],
)
async def test_each_error_of_github_says_whose_it_is(
    town: Town, github: GitHubServer, error: str, status: int, code: str
):
    """A wrong secret of ours is not a wrong sign-in of theirs."""
    github.refuses_with = error
    answer = await signs_in(town, github, UMA)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert github.client_secret not in answer.text


@pytest.mark.parametrize("how", ["gone", "silent", "failing", "odd", "other_json"])
async def test_while_github_is_away_nobody_is_told_that_they_are_wrong(
    store_url: str, tmp_path: Path, github: GitHubServer, how: str
):
    at = "http://127.0.0.1:9" if how == "gone" else github.url
    seconds = 1 if how == "silent" else 60
    async with asking(store_url, tmp_path, **settings(github, github_url=at, github_seconds=seconds)) as town:
        back = github.agrees(await began(town), UMA)
        github.silent, github.fails_with = how == "silent", 502 if how == "failing" else None
        if how == "odd":
            github.says["/login/oauth/access_token"] = {"token_type": "bearer"}
        if how == "other_json":
            github.says["/api/v3/user"] = {"id": "x; drop table users"}
        answer = await comes_back(town, back)
        github.silent = False

    assert (answer.status_code, answer.json()["code"]) == (503, "identity_unavailable")
    assert answer.headers["retry-after"]


async def test_the_cookie_is_for_this_browser_alone(town: Town):
    plain = await town.client.get(BEGIN)
    secure = await town.client.get(f"https://api.example{BEGIN}")
    words = secure.headers["set-cookie"].lower()

    assert plain.headers["set-cookie"].startswith("millrace-sign-in=")
    assert words.startswith("__host-millrace-sign-in=")
    assert all(each in words for each in ("; secure", "; httponly", "; samesite=lax", "; path=/;"))
    assert "domain" not in words
    assert "max-age=600" in words


async def test_github_is_asked_for_no_more_than_the_address(town: Town, github: GitHubServer):
    asked = parse_qs(urlsplit(await began(town)).query)

    assert asked["scope"] == ["read:user user:email"]
    assert asked["code_challenge_method"] == ["S256"]
    assert "client_secret" not in asked
    assert github.client_secret not in str(asked)


async def test_tries_are_counted_by_address(
    store_url: str, tmp_path: Path, github: GitHubServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RATE_LIMIT_LOGIN_ADDRESS", "3/minute")
    async with asking(store_url, tmp_path, **settings(github)) as town:
        answers = [(await town.client.get(BEGIN)).status_code for _ in range(4)]

    assert answers == [302, 302, 302, 429]


async def test_where_github_is_not_set_up_it_is_not_there(store_url: str, tmp_path: Path):
    async with asking(store_url, tmp_path) as town:
        for path in (BEGIN, f"{BEGIN}/callback?state=x&code=y"):
            answer = await town.client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "github_not_offered")


async def test_a_link_and_its_end_are_in_the_audit_log(town: Town, github: GitHubServer):
    await link(town, github, "uma", NEW)
    (identity,) = (await town["uma"].get("/auth/identities")).json()["items"]
    await town["uma"].call("DELETE", f"/auth/identities/{identity['id']}")
    lines = (await town["ada"].get("/audit", params={"target": f"user:{town['uma'].id}"})).json()["items"]

    done = [(line["action"], line["actor"]) for line in lines]
    assert ("identity.linked", f"user:{town['uma'].id}") in done
    assert ("identity.unlinked", f"user:{town['uma'].id}") in done


@pytest.mark.parametrize(
    ("told", "missing"),
    [
        ({"auth": "embedded"}, "GITHUB_CLIENT_SECRET"),
        (
            {"github_client_secret": SecretStr("s"), "appwrite_endpoint": "http://x/v1"},
            "AUTH=embedded",
        ),
    ],
)
def test_half_of_the_settings_are_refused(told: dict[str, Any], missing: str):
    with pytest.raises(ConfigurationProblem, match=missing):
        AuthSettings(github_client_id="x", **told).github()
