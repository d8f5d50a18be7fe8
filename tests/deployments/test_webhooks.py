"""Webhooks over real HTTP: signed, tried again, and never into our own network."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest
import sqlalchemy as sa
from pydantic import SecretStr, ValidationError

from contracts.runs import RunOptions, RunStatus
from contracts.webhooks import WebhookStatus
from database.clock import now
from database.queue.leases import claim_runs, finish_run
from database.queue.runs import request_cancel
from database.queue.webhooks import MOST_OF_ONE, webhook_of
from database.tables import WebhookRow, core
from deployments.worker import webhooks
from deployments.worker.webhooks import Webhooks, WebhookSettings, signed_headers
from runtime.outbound import is_public
from tests.fixtures.made_runs import accepted

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HERE = WebhookSettings(webhook_secret=SecretStr(SECRET), webhook_private_targets=True)
HOOKS = core(WebhookRow)


class Target:
    """A server that writes down what it is sent and answers what the test says, once it is open."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answer = "204 No Content"
        self.url = ""
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        pairs = [line.split(": ", 1) for line in head.split("\r\n")[1:] if line]
        headers = {name.lower(): value for name, value in pairs}
        self.got.append((headers, await reader.readexactly(int(headers["content-length"]))))
        await self.open.wait()
        writer.write(
            f"HTTP/1.1 {self.answer}\r\nLocation: {self.url}\r\ncontent-length: 0\r\n"
            "connection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Target]:
    told = Target()
    server = await asyncio.start_server(told, "127.0.0.1", 0)
    told.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with server:
        yield told


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    async with listening() as told:
        yield told


@pytest.fixture
async def slow() -> AsyncIterator[Target]:
    async with listening() as told:
        told.open.clear()
        yield told
        told.open.set()


async def ended(database, url, owner="local"):
    run = await accepted(database, owner=owner, options=RunOptions(webhook_url=url))
    await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    await database.write(finish_run, run.id, 1, RunStatus.SUCCEEDED, {"private": "result"})
    return run


async def delivered(hooks: Webhooks) -> int:
    """Deliver what is due, to the end; return how many messages that were."""
    tries = await hooks.deliver()
    await asyncio.gather(*tries)
    return len(tries)


async def webhook(database, run):
    async with database.read() as session:
        return await webhook_of(session, "local", run.id)


async def make_due(database):
    change = sa.update(HOOKS).where(HOOKS.c.next_try_at.is_not(None)).values(next_try_at=now())
    await database.write(lambda session: session.execute(change))


def test_a_signature_is_that_of_the_specification():
    """The example of standardwebhooks.com: every library of theirs verifies ours."""
    signed = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', SECRET)
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_the_end_of_a_run_is_told_once_and_signed(database, target):
    run = await ended(database, target.url)
    counts = await asyncio.gather(*(delivered(Webhooks(database, HERE)) for _ in range(4)))
    assert sum(counts) == 1
    ((headers, body),) = target.got
    expected = signed_headers(headers["webhook-id"], int(headers["webhook-timestamp"]), body, SECRET)
    assert headers["webhook-signature"] == expected["webhook-signature"]
    told = json.loads(body)
    assert (told["type"], told["data"]["id"]) == ("run.succeeded", str(run.id))
    assert b"private" not in body
    assert b"promises" not in body
    found = await webhook(database, run)
    assert (found.status, [each.status for each in found.deliveries]) == (WebhookStatus.DELIVERED, [204])


async def test_an_end_without_a_worker_is_told_as_well(database, target):
    run = await accepted(database, options=RunOptions(webhook_url=target.url))
    await database.write(request_cancel, "local", run.id)
    await delivered(Webhooks(database, HERE))
    assert json.loads(target.got[0][1])["type"] == "run.cancelled"


async def test_a_slow_receiver_of_one_owner_holds_up_nobody_elses(database, target, slow, monkeypatch):
    """All waited for the slowest of twenty, and one owner's messages could be all of the twenty."""
    monkeypatch.setattr(webhooks, "TIMEOUT_SECONDS", 600)
    for _ in range(MOST_OF_ONE + 2):
        await ended(database, slow.url, owner="slow")
    await ended(database, target.url, owner="quick")
    hooks = Webhooks(database, HERE)
    *hanging, quick = await hooks.deliver()
    await quick
    assert len(target.got) == 1
    await ended(database, target.url, owner="quick")
    (quick,) = await hooks.deliver()
    await quick
    assert len(target.got) == 2
    assert [each.done() for each in hanging] == [False] * MOST_OF_ONE
    slow.open.set()
    await asyncio.gather(*hanging)
    assert await delivered(hooks) == 2, "there are places again for what the slow one's owner has left"
    assert len({headers["webhook-id"] for headers, _ in slow.got}) == len(slow.got) == MOST_OF_ONE + 2


async def test_a_worker_that_stops_leaves_what_hangs_to_the_next_one(database, slow):
    run, hooks = await ended(database, slow.url), Webhooks(database, HERE)
    (hanging,) = await hooks.deliver()
    await hooks.close()
    assert hanging.cancelled()
    found = await webhook(database, run)
    assert (found.status, found.deliveries) == (WebhookStatus.PENDING, [])
    assert found.next_try_at is not None


@pytest.mark.parametrize("answer", ["500 Oops", "302 Found"])
async def test_what_was_not_taken_is_sent_again_under_the_same_id(database, target, answer):
    """A redirect is not followed: it could lead inside."""
    run, hooks = await ended(database, target.url), Webhooks(database, HERE)
    target.answer = answer
    await delivered(hooks)
    assert (await webhook(database, run)).status is WebhookStatus.PENDING
    assert await delivered(hooks) == 0
    target.answer = "200 OK"
    await make_due(database)
    await delivered(hooks)
    assert len({headers["webhook-id"] for headers, _ in target.got}) == 1
    found = await webhook(database, run)
    assert found.status is WebhookStatus.DELIVERED
    assert [each.status for each in found.deliveries] == [int(answer[:3]), 200]


async def test_a_target_that_never_answers_has_failed_in_the_end(database):
    run, hooks = await ended(database, "http://127.0.0.1:9/"), Webhooks(database, HERE)
    while await delivered(hooks):
        await make_due(database)
    found = await webhook(database, run)
    assert (found.status, len(found.deliveries), found.next_try_at) == (WebhookStatus.FAILED, 10, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])
async def test_an_address_of_our_own_network_is_never_called(database, target, host):
    run = await ended(database, target.url.replace("127.0.0.1", host))
    await delivered(Webhooks(database, WebhookSettings(webhook_secret=SecretStr(SECRET))))
    assert target.got == []
    (delivery,) = (await webhook(database, run)).deliveries
    assert delivery.error == "the address belongs to an inner network"


async def test_nothing_is_sent_unsigned(database, target):
    run = await ended(database, target.url)
    await delivered(Webhooks(database, WebhookSettings(webhook_private_targets=True)))
    assert target.got == []
    assert "WEBHOOK_SECRET" in (await webhook(database, run)).deliveries[0].error


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("fd00::1", False),
        ("64:ff9b:1::1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:7f00:1::", False),
        ("224.0.0.1", False),
        ("fec0::1", False),
        ("::7f00:1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("2001:0:4136:e378:8000:63bf:f5ff:fffe", False),
        ("2001:db8::1", False),
        ("3fff::1", False),
        ("5f00::1", False),
        ("100::1", False),
        ("ff0e::1", False),
        ("fe80::1", False),
        ("192.88.99.1", False),
        ("198.18.0.1", False),
        ("203.0.113.7", False),
        ("240.0.0.1", False),
        ("0.0.0.0", False),
    ],
)
def test_what_is_public(address, public):
    assert is_public(ip_address(address)) is public


async def test_an_address_that_nobody_can_dial_has_its_tries_written_down(database):
    """A port out of range was tried every minute for ever, and its log stayed empty."""
    run = await ended(database, "https://example.com/")
    wrong = sa.update(HOOKS).values(url="http://127.0.0.1:99999/")
    await database.write(lambda session: session.execute(wrong))
    await delivered(Webhooks(database, HERE))
    assert [each.error for each in (await webhook(database, run)).deliveries] == ["ValueError"]


@pytest.mark.parametrize(
    "url",
    ["ftp://x/", "http:///x", "https://user:pass@x/", "https://x/\n", "https://x:99999/", "https://x:0/"],
)
def test_what_is_no_web_address_is_refused(url):
    with pytest.raises(ValidationError):
        RunOptions(webhook_url=url)
