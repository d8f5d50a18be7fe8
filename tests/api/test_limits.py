"""How often callers may call: per caller, per key, per address, and shared between replicas."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

import api.limits
from api.limits import Kind, Limits, LimitSettings, account_name, network_of
from api.settings import ApiSettings
from contracts.people import Role
from runtime.errors import ConfigurationProblem, TooMany
from tests.api.people import V1, Town, asking


@pytest.fixture
async def strict(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Town]:
    """A server whose limits are reached quickly, and do not begin anew while a test runs."""
    for name, value in (("READ", "5"), ("REFUSED", "3"), ("LOGIN_ADDRESS", "6"), ("LOGIN_ACCOUNT", "2")):
        monkeypatch.setenv(f"RATE_LIMIT_{name}", f"{value}/day")
    async with asking(store_url, tmp_path) as town:
        await town.settle("uma", Role.USER)
        await town.settle("otto", Role.USER)
        yield town


async def test_every_answer_tells_how_many_are_left(strict: Town):
    first, second = [await strict["uma"].get("/auth/me") for _ in range(2)]

    assert first.headers["ratelimit-policy"] == '"read";q=5;w=86400'
    assert first.headers["ratelimit"].startswith('"read";r=4;t=')
    assert second.headers["ratelimit"].startswith('"read";r=3;t=')


async def test_who_calls_too_often_is_told_when_there_is_room_and_others_are_not_hindered(strict: Town):
    key = await strict["uma"].key("runs:read")
    for _ in range(5):
        assert (await strict["uma"].get("/runs")).status_code == 200
    refused = await strict["uma"].get("/runs")

    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert refused.headers["ratelimit"].startswith('"read";r=0;')
    assert (await strict["otto"].get("/runs")).status_code == 200
    assert (await strict.with_credential(key, "GET", "/runs")).status_code == 200
    assert (await strict["uma"].post("/pipelines/probe/runs", {"params": {}})).status_code == 202


async def test_guessing_credentials_ends_and_does_not_keep_good_ones_out(strict: Town):
    codes = [(await strict.with_credential(f"mlr_guess{n}", "GET", "/runs")).status_code for n in range(5)]

    assert codes == [401, 401, 401, 429, 429]
    assert (await strict["uma"].get("/runs")).status_code == 200


async def test_an_account_is_tried_a_few_times_whatever_the_address(strict: Town):
    codes = [(await strict.login("uma@example.org", "wrong horse battery")).status_code for _ in range(3)]

    assert codes == [401, 401, 429]
    assert (await strict.login("otto@example.org")).status_code == 200


async def test_signing_in_well_is_not_counted_against_the_account(strict: Town):
    assert [(await strict.login("uma@example.org")).status_code for _ in range(4)] == [200] * 4


async def test_an_address_tries_a_few_accounts_only(strict: Town):
    codes = [(await strict.login(f"guess{n}@example.org")).status_code for n in range(7)]

    assert codes == [401] * 6 + [429]


async def test_tries_at_the_same_time_find_no_more_room(strict: Town):
    """Counted after the check of the password, forty at once would all have been let through."""
    answers = await asyncio.gather(*(strict.login("uma@example.org", f"wrong horse {n}") for n in range(6)))

    assert sorted(each.status_code for each in answers) == [401, 401, 429, 429, 429, 429]


async def test_a_limit_can_be_off():
    limits = Limits(LimitSettings(rate_limit_read="off"))

    assert await limits.take(Kind.READ, "x") == {}
    await limits.give_back(Kind.READ, "x")


@pytest.mark.parametrize("wrong", [{"rate_limit_read": "many"}, {"rate_limit_store": SecretStr("http://x")}])
def test_a_limit_that_cannot_be_read_is_said_at_the_start(wrong: dict):
    with pytest.raises(ConfigurationProblem) as refusal:
        Limits(LimitSettings(**wrong))
    assert refusal.value.code == "bad_setting"


def test_an_address_of_ipv6_counts_by_its_network():
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:2") == "2001:db8::/64"
    assert network_of("192.0.2.1") == "192.0.2.1"
    assert network_of(None) == network_of("x") == "unknown"
    assert "ada" not in account_name("ada@example.org")


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Redis server of this test's own."""
    program = shutil.which("redis-server")
    if program is None:
        reason = "no redis-server on this machine (apt-get install redis-server)"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.02)
    yield f"redis://127.0.0.1:{port}/0", started
    started.kill()
    started.wait()


async def test_replicas_count_together_and_go_on_alone_when_redis_dies(
    redis_url: tuple[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
):
    """A counter that is away must neither take the server down nor leave it without limits."""
    # A busy machine is not an absent Redis.
    monkeypatch.setattr(api.limits, "REDIS_SECONDS", 60)
    url, redis = redis_url
    settings = LimitSettings(rate_limit_store=SecretStr(url), rate_limit_read="3/day")
    here, there = Limits(settings), Limits(settings)
    for each in (here, there, here):
        await each.take(Kind.READ, "uma")
    with pytest.raises(TooMany):
        await there.take(Kind.READ, "uma")

    redis.kill()
    redis.wait()
    for _ in range(3):
        await there.take(Kind.READ, "uma")
    with pytest.raises(TooMany):
        await there.take(Kind.READ, "uma")
    for each in (here, there):
        await each.close()


async def test_a_page_of_another_site_may_not_call_and_a_listed_one_may(
    town: Town, store_url: str, tmp_path: Path
):
    asked = {"Origin": "https://app.example.org", "Access-Control-Request-Method": "GET"}
    closed = await town.client.options(f"{V1}/runs", headers=asked)
    assert "access-control-allow-origin" not in closed.headers

    settings = ApiSettings(api_cors_origins="https://app.example.org")
    async with asking(store_url, tmp_path, settings) as opened:
        told = await opened.client.options(f"{V1}/runs", headers=asked)
        other = await opened.client.options(f"{V1}/runs", headers={**asked, "Origin": "https://evil.example"})
        answer = await opened.client.get(f"{V1}/runs", headers={"Origin": asked["Origin"]})
    assert told.headers["access-control-allow-origin"] == "https://app.example.org"
    assert "access-control-allow-origin" not in other.headers
    assert "access-control-allow-credentials" not in told.headers
    assert answer.status_code == 401
