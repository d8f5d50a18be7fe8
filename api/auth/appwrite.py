"""The `appwrite` SDK made fit for a server: bounded threads, timeouts, a pool, no cookies, silence.

The SDK calls `requests` without a timeout and a new connection each time, and prints what the server warns
of. What we ask it for is JSON alone, so its one method that sends is ours here.
"""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar

import requests
from appwrite.client import Client
from appwrite.exception import AppwriteException
from appwrite.services.account import Account
from appwrite.services.users import Users
from requests.adapters import HTTPAdapter

from runtime.errors import NotAuthenticated, Unavailable

T = TypeVar("T")
MOST_WAITING_PER_THREAD = 8
TOO_MANY_REQUESTS = 429
UNAUTHORIZED = 401
SERVER_ERROR = 500
# The same words as to a guest, whom a dead session makes of somebody.
OUR_KEY_REFUSED = frozenset({"general_unauthorized_scope", "user_unauthorized", "general_access_forbidden"})


class Appwrite:
    """The Appwrite server, asked in threads.

    Args:
        endpoint: such as `https://appwrite.example.org/v1`.
        project: its id there.
        api_key: with the scopes `sessions.write`, `users.read` and `users.write`.
        seconds: how long one question may take.
        threads: how many questions are asked at once.
    """

    def __init__(self, endpoint: str, project: str, api_key: str, *, seconds: float, threads: int) -> None:
        self._endpoint, self._project, self._key = endpoint.rstrip("/"), project, api_key
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="appwrite")
        self._most_waiting = threads * MOST_WAITING_PER_THREAD
        self._waiting = 0
        self._http = requests.Session()
        self._http.trust_env = False
        # The login's cookie would be sent with the next person's request.
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=threads))

    # Exactly one credential each: Appwrite refuses a key beside a token, and a session beside a token.
    def account_by_token(self, token: str) -> Account:
        """Return the account service of who has this JWT."""
        return Account(self._client().set_jwt(token))

    def account_by_session(self, secret: str) -> Account:
        """Return the account service of whose session this is."""
        return Account(self._client().set_session(secret))

    def account_by_key(self) -> Account:
        """Return the account service of this server; only so Appwrite tells a session's secret."""
        return Account(self._client().set_key(self._key))

    def users(self) -> Users:
        """Return what this server may do with people."""
        return Users(self._client().set_key(self._key))

    async def ask(self, question: Callable[[], T], *, with_our_key: bool = True) -> T:
        """Ask in a thread.

        Without `with_our_key` the question carries the caller's own credential: a refusal is theirs.

        Raises:
            NotAuthenticated: `bad_token`, Appwrite does not know or does not let in who asks.
            Unavailable: `identity_unavailable`, it does not answer, or cannot now.
        """
        if self._waiting >= self._most_waiting:
            raise Unavailable("Too many are asking Appwrite at once.", "busy")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, question)
        except AppwriteException as error:
            raise _translated(error, with_our_key) from None
        except (ValueError, TypeError, KeyError):
            # Another protocol version, or a proxy's page.
            raise _away("answers what its SDK cannot read") from None
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End threads and connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._http.close()

    def _client(self) -> Client:
        client = _Client(self._http, self._seconds)
        client.set_endpoint(self._endpoint)
        return client.set_project(self._project)


class _Client(Client):  # type: ignore[misc]
    def __init__(self, http: requests.Session, seconds: float) -> None:
        super().__init__()
        self._http, self._seconds = http, seconds

    def call(
        self,
        method: str,
        path: str = "",
        headers: dict[str, str] | None = None,
        params: dict[str, Any] | None = None,
        response_type: str = "json",  # noqa: ARG002  the SDK's signature
    ) -> Any:
        """Send one request and return its JSON."""
        body = None if method == "get" else json.dumps(params or {})
        try:
            answer = self._http.request(
                method,
                self._endpoint + path,
                params=self.flatten(params or {}) if method == "get" else None,
                data=body,
                headers={**self._global_headers, **(headers or {})},
                timeout=self._seconds,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            # As the SDK tells it: code 0. Its text may hold the address with what is in it.
            raise AppwriteException(type(error).__name__) from None
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        told = answer.json() if is_json and answer.content else {}
        if not answer.ok or answer.is_redirect:
            raise AppwriteException(told.get("message", ""), answer.status_code, told.get("type"))
        return told


def _translated(error: AppwriteException, with_our_key: bool) -> NotAuthenticated | Unavailable:
    code = error.code or 0
    if with_our_key and error.type in OUR_KEY_REFUSED:
        # Our own key, not the caller: to call that a bad password would send everybody searching.
        return _away("refuses our APPWRITE_API_KEY")
    if UNAUTHORIZED <= code < SERVER_ERROR and code != TOO_MANY_REQUESTS:
        return NotAuthenticated("The credential is not valid (any more). Sign in again.", "bad_token")
    return _away(f"answers {code}" if code else "does not answer")


def _away(how: str) -> Unavailable:
    return Unavailable(f"Nobody can tell now who calls: Appwrite {how}.", "identity_unavailable")
