"""Signing in: who gets in, what a refresh token is good for, and what ends a sign-in."""

import asyncio
from pathlib import Path

import argon2
import sqlalchemy as sa

from database.tables import UserRow, core
from tests.api.people import PASSWORD, V1, Town


async def refreshed(town: Town, token: str):
    return await town.client.post(f"{V1}/auth/refresh", json={"refresh_token": token})


async def test_without_a_credential_nobody_gets_in(town: Town):
    answer = await town.client.get(f"{V1}/runs")

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert (await town.client.get("/healthz")).status_code == 200


async def test_a_sign_in_tells_who_one_is_and_what_one_may(town: Town):
    me = (await town["uma"].get("/auth/me")).json()

    assert me["user"]["email"] == "uma@example.org"
    assert me["owner"] == f"user:{town['uma'].id}"
    assert "runs:write" in me["scopes"]
    assert "users:write" not in me["scopes"]
    assert "password" not in str(me)


async def test_addresses_are_the_same_in_any_case(town: Town):
    assert (await town.login("  ADA@Example.ORG ")).status_code == 200


async def test_wrong_passwords_unknown_people_and_disabled_people_get_one_answer(town: Town):
    await town["ada"].call("PATCH", f"/users/{town['uma'].id}", json={"disabled": True})
    answers = [
        await town.login("ada@example.org", "wrong horse battery"),
        await town.login("nobody@example.org"),
        await town.login("uma@example.org"),
    ]

    assert {(each.status_code, each.json()["code"], each.json()["detail"]) for each in answers} == {
        (401, "wrong_login", "The email address or the password is wrong.")
    }


async def test_an_unknown_person_costs_one_check_of_a_password_like_a_known_one(town: Town):
    """Else the time of the answer tells who has an account."""
    passwords = town.resources.people.passwords
    for email in ("nobody@example.org", "ada@example.org"):
        before = passwords.checked
        await town.login(email, "wrong horse battery")
        assert passwords.checked == before + 1


async def test_the_next_tokens_work_and_the_one_before_ends_the_sign_in_when_shown_again(town: Town):
    """Two have it then, and nobody knows which one is the thief."""
    first = town["uma"].tokens["refresh_token"]
    second = (await refreshed(town, first)).json()
    assert (await town.with_credential(second["access_token"], "GET", "/auth/me")).status_code == 200

    assert (await refreshed(town, first)).json()["code"] == "bad_refresh_token"
    assert (await refreshed(town, second["refresh_token"])).status_code == 401
    assert (await town.with_credential(second["access_token"], "GET", "/auth/me")).status_code == 401
    assert (await town["ada"].get("/auth/me")).status_code == 200


async def test_of_twenty_who_refresh_at_once_one_wins(town: Town):
    token = town["uma"].tokens["refresh_token"]
    answers = await asyncio.gather(*(refreshed(town, token) for _ in range(20)))

    assert sorted(each.status_code for each in answers) == [200] + [401] * 19
    (winner,) = [each.json() for each in answers if each.status_code == 200]
    assert (await refreshed(town, winner["refresh_token"])).status_code == 401


async def test_signing_out_ends_the_access_token_and_the_refresh_token(town: Town):
    uma = town["uma"]
    assert (await uma.post("/auth/logout")).status_code == 204

    assert (await uma.get("/auth/me")).json()["code"] == "bad_token"
    assert (await refreshed(town, uma.tokens["refresh_token"])).status_code == 401


async def test_a_new_password_ends_the_other_sign_ins_and_not_this_one(town: Town):
    uma = town["uma"]
    elsewhere = (await town.login(uma.email)).json()
    wrong = await uma.post("/auth/password", {"current": "not it", "new": "another horse battery"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "wrong_password")

    changed = await uma.post("/auth/password", {"current": PASSWORD, "new": "another horse battery"})

    assert changed.status_code == 204
    assert (await uma.get("/auth/me")).status_code == 200
    assert (await refreshed(town, elsewhere["refresh_token"])).status_code == 401
    assert (await town.login(uma.email)).status_code == 401
    assert (await town.login(uma.email, "another horse battery")).status_code == 200


async def test_a_disabled_person_is_out_at_once(town: Town):
    uma = town["uma"]
    key = await uma.key("runs:read")
    assert (await town.with_credential(key, "GET", "/runs")).status_code == 200

    await town["ada"].call("PATCH", f"/users/{uma.id}", json={"disabled": True})

    assert (await uma.get("/auth/me")).status_code == 401
    assert (await town.with_credential(key, "GET", "/runs")).status_code == 401
    assert (await refreshed(town, uma.tokens["refresh_token"])).status_code == 401


async def test_a_short_password_is_refused_before_it_is_hashed(town: Town):
    answer = await town["ada"].post("/users", {"email": "new@example.org", "password": "short"})

    assert answer.status_code == 422
    assert "short" not in answer.text.replace("at least", "")


async def test_a_password_of_weaker_parameters_is_hashed_anew_at_the_next_sign_in(town: Town):
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=8192).hash(PASSWORD)
    users = core(UserRow)

    async def weaken(session):
        await session.execute(sa.update(users).values(password_hash=weak))

    await town.resources.database.write(weaken)
    assert (await town.login("uma@example.org")).status_code == 200
    async with town.resources.database.read() as session:
        stored = {row.email: row.password_hash for row in await session.execute(sa.select(users))}
    assert stored["ada@example.org"] == weak
    assert stored["uma@example.org"] != weak


async def test_no_secret_is_stored_or_told_in_plain(town: Town, store_url: str):
    key = await town["uma"].key("runs:read")
    listed = (await town["uma"].get("/api-keys")).text
    secrets = [PASSWORD, key, town["uma"].tokens["refresh_token"]]
    stored = b"".join(
        file.read_bytes()
        for file in Path(store_url.removeprefix("sqlite+aiosqlite:///")).parent.glob("api.db*")
    )

    assert key[:10] in listed
    for secret in secrets:
        assert secret not in listed
        assert secret.encode() not in stored


async def test_the_server_that_asks_nobody_has_no_sign_in(client):
    answer = await client.post(f"{V1}/auth/login", json={"email": "a@example.org", "password": PASSWORD})
    me = (await client.get(f"{V1}/auth/me")).json()

    assert (answer.status_code, answer.json()["code"]) == (403, "no_people")
    assert (me["owner"], me["user"]) == ("local", None)
