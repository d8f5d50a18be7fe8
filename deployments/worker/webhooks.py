"""Deliver webhooks: signed as standardwebhooks.com says, each try written down."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import httpcore
import structlog
from pydantic import Field, SecretStr

from contracts.webhooks import Delivery
from database.engine import Database
from database.queue.webhooks import MOST_AT_ONCE, Due, claim_webhooks, has_due_webhooks, note_delivery
from runtime.clock import utcnow
from runtime.errors import BadInput, ConfigurationProblem
from runtime.outbound import Outbound
from runtime.settings import Slice

TIMEOUT_SECONDS = 15.0
# Longer than any try: a worker that dies while it delivers leaves the message to the next one.
LEASE_SECONDS = 60.0
PREFIX = "whsec_"

log = structlog.get_logger()


class WebhookSettings(Slice):
    """How workers tell other servers that a run has ended."""

    webhook_secret: SecretStr | None = Field(
        None,
        description="Signs every webhook: `whsec_` and base64 of 24 to 64 random bytes. Nothing is sent"
        " without it.",
    )
    webhook_private_targets: bool = Field(
        False, description="Also call addresses of this machine and of inner networks. For development only."
    )


class Webhooks:
    """Takes due messages out of the outbox and delivers them, many at once."""

    def __init__(self, database: Database, settings: WebhookSettings | None = None) -> None:
        settings = settings or WebhookSettings()
        self._database = database
        self._secret = settings.webhook_secret
        self._outbound = Outbound(allow_private=settings.webhook_private_targets)
        self._under_way: dict[asyncio.Task[None], str] = {}

    @cached_property
    def _pool(self) -> httpcore.AsyncConnectionPool:
        """Made with the first message: the TLS context of the process takes longer to make than one to send.

        Connections are not kept: a receiver may close one just when the next message is written to it.
        """
        return httpcore.AsyncConnectionPool(
            ssl_context=httpcore.default_ssl_context(),
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=self._outbound,
        )

    async def deliver(self) -> list[asyncio.Task[None]]:
        """Begin to deliver what is due, as far as there are places, and return the tries.

        Whoever looks again need not wait for them: a receiver that hangs holds one place for 15 s.
        """
        if len(self._under_way) >= MOST_AT_ONCE:
            return []
        async with self._database.read() as session:
            if not await has_due_webhooks(session):
                return []
        due = await self._database.write(claim_webhooks, LEASE_SECONDS, list(self._under_way.values()))
        tries = {asyncio.create_task(self._try(each), name=f"webhook-{each.id}"): each.owner for each in due}
        self._under_way |= tries
        for each in tries:
            each.add_done_callback(self._ended)
        return list(tries)

    async def close(self) -> None:
        """Stop the tries that are under way; their messages are due again when their leases end."""
        for each in (tries := list(self._under_way)):
            each.cancel()
        # Nothing of the pool outlives its tries: it keeps no connection.
        await asyncio.gather(*tries, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("how a webhook went was not written: it is sent again", error=type(error).__name__)

    async def _try(self, due: Due) -> None:
        at, began = utcnow(), time.perf_counter()
        status, error = None, None
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                status = await self._post(due)
        except (BadInput, ConfigurationProblem) as refused:
            error = refused.message
        except TimeoutError:
            error = f"no answer within {TIMEOUT_SECONDS:g} s"
        except Exception as broken:  # noqa: BLE001  whatever it is, it is one of the tries
            error = type(broken).__name__
        good = status is not None and 200 <= status < 300  # noqa: PLR2004  HTTP's range of success
        delivery = Delivery(
            at=at, ms=round((time.perf_counter() - began) * 1000, 1), status=status, error=error
        )
        await self._database.write(note_delivery, due, delivery, good=good)
        log.info("webhook", run_id=str(due.run_id), status=status, error=error, tries=len(due.deliveries) + 1)

    async def _post(self, due: Due) -> int:
        """Send a message and return the status of the answer, whose body nobody reads."""
        if self._secret is None:
            raise ConfigurationProblem("WEBHOOK_SECRET is not set: unsigned messages are not sent")
        body = json.dumps(due.body, separators=(",", ":")).encode()
        headers = signed_headers(f"msg_{due.id.hex}", int(time.time()), body, self._secret.get_secret_value())
        async with self._pool.stream("POST", due.url, headers=_raw(headers), content=body) as answer:
            return answer.status


def signed_headers(message_id: str, at: int, body: bytes, secret: str) -> dict[str, str]:
    """Return the headers of a message by the Standard Webhooks specification (HMAC-SHA256, `v1`).

    Args:
        message_id: the same in every try.
        at: Unix time of this try, in seconds.
        body: exactly what is sent.
        secret: `whsec_` and base64; any other text is taken as its bytes.

    Raises:
        ConfigurationProblem: `bad_webhook_secret`.
    """
    content = f"{message_id}.{at}.".encode() + body
    signature = base64.b64encode(hmac.new(_key(secret), content, hashlib.sha256).digest()).decode()
    return {
        "content-type": "application/json",
        "user-agent": "millrace",
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{signature}",
    }


def _key(secret: str) -> bytes:
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ConfigurationProblem("WEBHOOK_SECRET is no base64 after whsec_", "bad_webhook_secret") from None


def _raw(headers: Mapping[str, str]) -> list[Any]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
