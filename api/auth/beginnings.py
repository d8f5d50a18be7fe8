"""A sign-in elsewhere that was begun and not ended: tied to a browser by a signed cookie, for ten minutes.

What the address carries is the hash of what the cookie holds, and PKCE's secret (RFC 7636) is made from it
with our key: nothing is stored, and neither the address nor the cookie alone is of use to anybody.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import jwt

from api.auth.keyring import Keyring
from api.auth.tokens import ALGORITHM, ISSUER
from runtime.clock import utcnow
from runtime.errors import BadInput

AUDIENCE = "millrace-sign-in"
TYPE = "sign-in+jwt"
LASTS = timedelta(minutes=10)
MOST_CHARS = 2048


@dataclass(frozen=True, slots=True)
class Beginning:
    """A sign-in that was begun in a browser.

    `state` goes through the other server's address, `cookie` stays in the browser, `verifier` with us.
    `user_id` and `session_id` say who wants to link, none when somebody signs in.
    """

    state: str
    cookie: str
    verifier: str
    user_id: UUID | None = None
    session_id: UUID | None = None

    @property
    def challenge(self) -> str:
        """PKCE's `code_challenge` by S256."""
        return _short(hashlib.sha256(self.verifier.encode()).digest())


class Beginnings:
    """Signs and reads beginnings.

    Args:
        keyring: the keys that access tokens are signed with.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def begin(self, user_id: UUID | None = None, session_id: UUID | None = None) -> Beginning:
        """Return a new one, for somebody who signs in or for a signed-in person who links."""
        key, at, nonce = self._keyring.signing, utcnow(), secrets.token_urlsafe(32)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": at,
            "exp": at + LASTS,
            "nonce": nonce,
            "sub": str(user_id or ""),
            "sid": str(session_id or ""),
        }
        cookie = jwt.encode(claims, key.secret, ALGORITHM, headers={"kid": key.id, "typ": TYPE})
        return _beginning(cookie, nonce, key.secret, user_id, session_id)

    def ended(self, cookie: str | None, state: str) -> Beginning:
        """Return what was begun in this browser.

        Raises:
            BadInput: `bad_state`, nothing was, something else was, or it was too long ago.
        """
        try:
            begun = self._read(cookie or "")
        except (jwt.PyJWTError, KeyError, ValueError, TypeError, OverflowError):
            raise _bad_state() from None
        if not hmac.compare_digest(begun.state.encode(), state.encode()):
            raise _bad_state()
        return begun

    def _read(self, cookie: str) -> Beginning:
        if len(cookie) > MOST_CHARS:
            raise ValueError("too long")
        header = jwt.get_unverified_header(cookie)
        key = self._keyring.find(str(header.get("kid")))
        if key is None or header.get("typ") != TYPE:
            raise ValueError("not ours")
        told = jwt.decode(
            cookie,
            key.secret,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
        user_id, session_id = (UUID(told[name]) if told[name] else None for name in ("sub", "sid"))
        return _beginning(cookie, told["nonce"], key.secret, user_id, session_id)


def _beginning(
    cookie: str, nonce: str, secret: bytes, user_id: UUID | None, session_id: UUID | None
) -> Beginning:
    verifier = hmac.new(secret, f"pkce:{nonce}".encode(), hashlib.sha256).digest()
    state = hashlib.sha256(f"state:{nonce}".encode()).digest()
    return Beginning(_short(state), cookie, _short(verifier), user_id, session_id)


def _short(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _bad_state() -> BadInput:
    return BadInput(
        "This sign-in was not begun in this browser, or too long ago. Begin at /api/v1/auth/github.",
        "bad_state",
    )
