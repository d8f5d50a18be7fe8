"""Who somebody is at GitHub: its web application flow for OAuth apps, with PKCE.

After https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps and
…/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors: the token address answers its
errors with 200 and a field `error`. GitHub's token is used for two questions and then forgotten.
"""

from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import structlog

from contracts.people import EMAIL_CHARS, NAME_CHARS
from database.people.directory import Foreign
from runtime.errors import MillraceError, NotAllowed, NotAuthenticated, Unavailable

PROVIDER = "github"
SCOPE = "read:user user:email"
PUBLIC = "https://github.com"
API_VERSION = "2022-11-28"
# What a person or a stale page can bring about; all others are of our registration there.
THEIRS = frozenset({"bad_verification_code"})
MOST_BYTES = 1024 * 1024

log = structlog.get_logger(__name__)


class GitHub:
    """GitHub, or a GitHub Enterprise Server, as an OAuth app of ours sees it.

    Args:
        client_id: of the app.
        client_secret: of the app.
        url: where people sign in.
        api_url: its API; by default that of `url`.
        callback_url: where people are sent back to; none: as the app says.
        seconds: how long one question may take.
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        *,
        url: str = PUBLIC,
        api_url: str | None = None,
        callback_url: str | None = None,
        seconds: float = 10,
    ) -> None:
        self._client_id, self._secret = client_id, client_secret
        self._url = url.rstrip("/")
        self._api_url = (api_url or _api_of(self._url)).rstrip("/")
        self._callback = {"redirect_uri": callback_url} if callback_url else {}
        self._http = httpx.AsyncClient(
            timeout=seconds,
            trust_env=False,
            follow_redirects=False,
            # GitHub refuses requests that do not say who sends them.
            headers={"User-Agent": "millrace", "Accept": "application/json"},
        )

    def authorize_url(self, state: str, challenge: str) -> str:
        """Return where somebody is asked whether we may know who they are."""
        asked = {
            "client_id": self._client_id,
            "scope": SCOPE,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **self._callback,
        }
        return f"{self._url}/login/oauth/authorize?{urlencode(asked)}"

    async def person(self, code: str, verifier: str) -> Foreign:
        """Return who came back with this code.

        Raises:
            NotAuthenticated: `bad_sign_in_code`, it was used, is too old, or is another browser's.
            NotAllowed: `email_not_verified`, they have no verified primary address.
            Unavailable: `identity_unavailable`, GitHub does not answer, or refuses this server.
        """
        token = await self._token(code, verifier)
        user = await self._asked("GET", f"{self._api_url}/user", token)
        emails = await self._asked("GET", f"{self._api_url}/user/emails", token)
        try:
            subject, login = str(int(user["id"])), str(user["login"])
            primary = [
                each["email"] for each in emails if each["primary"] is True and each["verified"] is True
            ]
        except (KeyError, TypeError, ValueError):
            raise _away("answers what nobody can read") from None
        if len(primary) != 1 or not isinstance(primary[0], str) or len(primary[0]) > EMAIL_CHARS:
            raise NotAllowed("Your primary address is not verified at GitHub.", "email_not_verified")
        return Foreign(
            provider=PROVIDER,
            # The number: a login may be given up and taken by somebody else.
            subject=subject,
            email=primary[0].strip().lower(),
            email_verified=True,
            name=login[:NAME_CHARS],
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _token(self, code: str, verifier: str) -> str:
        sent = {
            "client_id": self._client_id,
            "client_secret": self._secret,
            "code": code,
            "code_verifier": verifier,
            **self._callback,
        }
        told = await self._asked("POST", f"{self._url}/login/oauth/access_token", data=sent)
        if not isinstance(told, dict):
            raise _away("answers what nobody can read")
        if error := told.get("error"):
            raise _refusal(str(error))
        if not isinstance(token := told.get("access_token"), str):
            raise _away("answers what nobody can read")
        return token

    async def _asked(self, method: str, url: str, token: str | None = None, **sent: Any) -> Any:
        """Return the JSON of an answer.

        Raises:
            Unavailable: `identity_unavailable`.
        """
        headers = {}
        if token is not None:
            headers = {
                "Authorization": f"Bearer {token}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": API_VERSION,
            }
        try:
            answer = await self._http.request(method, url, headers=headers, **sent)
            # 404 is how it refuses credentials of an app that it does not know.
            if answer.status_code != httpx.codes.OK or len(answer.content) > MOST_BYTES:
                log.warning("github_refused", path=urlsplit(url).path, status=answer.status_code)
                raise _away(f"answers {answer.status_code}")
            return answer.json()
        except (httpx.HTTPError, httpx.InvalidURL):
            # Its text may hold the address with what is in it.
            raise _away("does not answer") from None
        except ValueError:
            raise _away("answers what nobody can read") from None


def _refusal(error: str) -> MillraceError:
    if error in THEIRS:
        return NotAuthenticated("GitHub does not take this code (any more). Begin again.", "bad_sign_in_code")
    if error == "unverified_user_email":
        return NotAllowed("Your primary address is not verified at GitHub.", "email_not_verified")
    # Ours to mend: to call it a bad sign-in would send everybody searching.
    log.error("github_refuses_us", error=error[:64])
    return _away("refuses this server's OAuth app; its log says why")


def _away(how: str) -> Unavailable:
    return Unavailable(f"Nobody can tell now who you are: GitHub {how}.", "identity_unavailable")


def _api_of(url: str) -> str:
    return "https://api.github.com" if url == PUBLIC else f"{url}/api/v3"
