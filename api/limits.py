"""How often callers may call: counted per caller (or key) and class of operation, in memory or in Redis."""

import hashlib
import math
import time
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from typing import Any

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from pydantic import Field, SecretStr, field_validator

from runtime.errors import ConfigurationProblem, TooMany
from runtime.settings import Slice

OFF = "off"
REDIS_SECONDS = 0.25
COMPLAIN_EVERY_SECONDS = 30.0
# What one household or office gets of IPv6; a single address there is nothing to count by.
IPV6_BITS = 64

log = structlog.get_logger(__name__)


class Kind(StrEnum):
    """What is counted, each by its own limit."""

    READ = "read"
    WRITE = "write"
    START = "start"
    REFUSED = "refused"
    LOGIN_ADDRESS = "login_address"
    LOGIN_ACCOUNT = "login_account"


class LimitSettings(Slice):
    """How often callers may call, where they are asked who they are. `off` switches one limit off."""

    rate_limit_store: SecretStr | None = Field(
        None,
        description="`redis://…`: where several replicas count together. Without it each process counts by"
        " itself.",
    )
    rate_limit_read: str = Field("1200/minute", description="Reads of one caller or key.")
    rate_limit_write: str = Field("300/minute", description="Changes of one caller or key.")
    rate_limit_start: str = Field(
        "120/minute", description="Runs and messages that one caller or key starts or steers."
    )
    rate_limit_refused: str = Field("60/minute", description="Bad credentials from one address.")
    rate_limit_login_address: str = Field("30/5 minutes", description="Sign-ins tried from one address.")
    rate_limit_login_account: str = Field(
        "10/15 minutes", description="Sign-ins that fail for one account, whatever the address."
    )
    rate_limit_streams: int = Field(
        20, ge=1, description="Event streams that one caller or key has open at a process."
    )

    @field_validator(*(f"rate_limit_{kind}" for kind in Kind))
    @classmethod
    def _readable(cls, value: str) -> str:
        if value != OFF:
            parse(value)
        return value

    def limit(self, kind: Kind) -> RateLimitItem | None:
        """Return a limit; none when it is off."""
        value: str = getattr(self, f"rate_limit_{kind}")
        return None if value == OFF else parse(value)


class Limits:
    """Counts calls.

    While Redis is away each process counts by itself: the server stays up, and limited.

    Raises:
        ConfigurationProblem: `bad_setting`, RATE_LIMIT_STORE is neither.
    """

    def __init__(self, settings: LimitSettings) -> None:
        self._items = {kind: settings.limit(kind) for kind in Kind}
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._storage: RedisStorage | None = None
        self._shared = self._own
        if settings.rate_limit_store is not None:
            self._storage = _redis(settings.rate_limit_store.get_secret_value())
            self._shared = SlidingWindowCounterRateLimiter(self._storage)
        self._complained_at = -math.inf

    async def take(self, kind: Kind, who: str) -> dict[str, str]:
        """Count a call; return the headers that tell how many are left.

        As draft-ietf-httpapi-ratelimit-headers has them.

        Raises:
            TooMany: `too_many_requests`.
        """
        item = self._items[kind]
        if item is None:
            return {}
        try:
            allowed, left, reset = await _hit(self._shared, item, kind, who)
        except StorageError as error:
            self._complain(error)
            allowed, left, reset = await _hit(self._own, item, kind, who)
        policy = f'"{kind}";q={item.amount};w={item.get_expiry()}'
        headers = {"RateLimit-Policy": policy, "RateLimit": f'"{kind}";r={left};t={reset}'}
        if not allowed:
            raise TooMany(
                f"{item.amount} of these are taken in {item.get_expiry()} s; try again in {reset} s.",
                detail={"headers": {**headers, "Retry-After": str(reset)}},
            )
        return headers

    async def give_back(self, kind: Kind, who: str) -> None:
        """Forget what was counted."""
        if (item := self._items[kind]) is None:
            return
        try:
            await self._shared.clear(item, kind, who)
        except StorageError as error:
            self._complain(error)
        await self._own.clear(item, kind, who)

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._storage is not None:
            # The bridge is typed as of any client; ours is redis-py's.
            bridge: Any = self._storage.bridge
            await bridge.storage.aclose()

    def _complain(self, error: StorageError) -> None:
        now = time.monotonic()
        if now - self._complained_at > COMPLAIN_EVERY_SECONDS:
            self._complained_at = now
            log.warning("rate_limit_store_away", error=type(error.storage_error).__name__)


def network_of(address: str | None) -> str:
    """Return by what an address is counted: itself, or its /64 when it is of IPv6."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        return f"{IPv6Address(int(parsed) >> IPV6_BITS << IPV6_BITS)}/{IPV6_BITS}"
    return str(parsed)


def account_name(email: str) -> str:
    """Return by what an account is counted: no address of a person is kept in the counter."""
    return hashlib.sha256(email.encode()).hexdigest()[:32]


async def _hit(
    limiter: SlidingWindowCounterRateLimiter, item: RateLimitItem, kind: Kind, who: str
) -> tuple[bool, int, int]:
    allowed = await limiter.hit(item, kind, who)
    stats = await limiter.get_window_stats(item, kind, who)
    seconds = max(1, math.ceil(stats.reset_time - time.time()))
    # The count slides: there is room again after a share of the window, and none is promised earlier.
    return allowed, stats.remaining, min(seconds, item.get_expiry())


def _redis(where: str) -> RedisStorage:
    if not where.startswith(("redis://", "rediss://", "redis+unix://")):
        raise ConfigurationProblem("RATE_LIMIT_STORE is no `redis://…`.", "bad_setting")
    return RedisStorage(
        f"async+{where}",
        implementation="redispy",
        wrap_exceptions=True,
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
    )
