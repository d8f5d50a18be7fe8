"""HTTP connections to model servers, kept open between calls: the transport under DSPy's client.

DSPy's own transport sends a request again when a kept connection fails under it; a call must be one request
(docs/adr/0027). aiohttp, which LiteLLM uses as well, never repeats a POST.
"""

import io
import ssl
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING
from urllib.request import getproxies, proxy_bypass

import aiohttp
import certifi
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dspy._vendor.lm15.transports import AsyncTransportResponse, TransportRequest

# Shorter than servers keep them (uvicorn: 5 s). One that is closed just as a request goes out costs a try.
KEPT_SECONDS = 4.0
# From here on aiohttp wants a body that it can send in pieces.
_LARGE = 2**20


class Connections:
    """The connections of one event loop, opened when they are first needed.

    How many there are at once is what `llm_concurrency` lets through, and how long a call may take its
    caller's to say. Proxies are taken from the environment.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def stream(self, request: "TransportRequest") -> "AsyncIterator[AsyncTransportResponse]":
        """Send a request, and hand out its response while it comes.

        Raises:
            dspy.lm15.TransportError: the connection failed, before the answer or inside it.
            dspy.lm15.ConfigurationError: no request can be made of it.
        """
        from dspy._vendor.lm15.transports import AsyncTransportResponse

        answer = await self._sent(request)

        async def release(_read: bool) -> None:
            answer.release()  # closes the connection where something of the answer is left

        try:
            yield AsyncTransportResponse(
                status=answer.status,
                reason=answer.reason or "",
                headers=list(answer.headers.items()),
                http_version="HTTP/1.1",
                chunks=answer.content.iter_any(),
                release=release,
            )
        except (aiohttp.ClientError, OSError) as error:
            raise _failure(error) from None
        finally:
            answer.release()

    async def _sent(self, request: "TransportRequest") -> aiohttp.ClientResponse:
        """Return the response to a request once its head is there."""
        from dspy.lm15 import ConfigurationError

        body = request.body if len(request.body) < _LARGE else io.BytesIO(request.body)
        proxy, login = _proxy(request.url)
        secure = request.url.startswith("https:")
        try:
            return await self._opened().request(
                request.method,
                request.url,
                data=body,
                headers=[*request.headers, *({} if secure else login).items()],
                ssl=_authorities() if secure else True,
                proxy=proxy,
                proxy_headers=login if secure else None,
            )
        except (ValueError, TypeError):  # an address or a key that no request can carry
            raise ConfigurationError("the request cannot be sent") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _failure(error) from None

    async def close(self) -> None:
        """Close them all."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_SECONDS),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _failure(error: Exception) -> Exception:
    from dspy.lm15 import TransportError

    return error if isinstance(error, TimeoutError) else TransportError(type(error).__name__)


@cache
def _proxy(url: str) -> tuple[URL | None, dict[str, str]]:
    """Return the proxy that the environment names for an address, and the header with the login to it.

    aiohttp's own `trust_env` reads `.netrc` as well, and takes what stands there for a second key.
    """
    at = URL(url)
    proxies = getproxies()
    found = proxies.get(at.scheme) or proxies.get("all")
    if not found or proxy_bypass(at.host or ""):
        return None, {}
    proxy = URL(found if "://" in found else f"http://{found}")
    if proxy.user is None:
        return proxy, {}
    login = aiohttp.encode_basic_auth(proxy.user, proxy.password or "")
    return proxy.with_user(None), {"Proxy-Authorization": login}


@cache
def _authorities() -> ssl.SSLContext:
    """Return the system's authorities and, for systems that have none, certifi's; 50 ms to read."""
    found = ssl.create_default_context()
    found.load_verify_locations(certifi.where())
    return found
