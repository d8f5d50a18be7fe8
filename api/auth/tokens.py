"""Access tokens (JWT, RFC 9068 in spirit) and the random secrets that are stored by their hash."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt

from api.auth.keyring import Keyring
from runtime.clock import utcnow
from runtime.errors import NotAuthenticated

ALGORITHM = "HS256"
ISSUER = "millrace"
AUDIENCE = "millrace-api"
# Clocks of replicas differ by less.
LEEWAY = timedelta(seconds=10)
REQUIRED = ["exp", "iat", "iss", "aud", "sub", "sid"]
REFRESH_PREFIX = "mlrt_"
KEY_PREFIX = "mlr_"
PREFIX_SHOWN = 10
MAX_TOKEN_CHARS = 4096


@dataclass(frozen=True, slots=True)
class Claims:
    """What a good access token says."""

    user_id: UUID
    session_id: UUID
    expires_at: datetime


class AccessTokens:
    """Signs and reads access tokens.

    Args:
        keyring: whose newest key signs.
        lifetime: how long a token is good.
    """

    def __init__(self, keyring: Keyring, lifetime: timedelta) -> None:
        self._keyring = keyring
        self.lifetime = lifetime

    def sign(self, user_id: UUID, session_id: UUID) -> str:
        """Return a token for a person's sign-in."""
        at, key = utcnow(), self._keyring.signing
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "iat": at,
            "exp": at + self.lifetime,
        }
        return jwt.encode(claims, key.secret, ALGORITHM, headers={"kid": key.id, "typ": "at+jwt"})

    def read(self, token: str) -> Claims:
        """Return what a token says; that its sign-in still lasts is for the caller to ask.

        Raises:
            NotAuthenticated: `token_expired`, or `bad_token` for everything that we did not sign.
        """
        if len(token) > MAX_TOKEN_CHARS:
            raise bad_token()
        try:
            header = jwt.get_unverified_header(token)
            key = self._keyring.find(str(header.get("kid")))
            if key is None or header.get("typ") != "at+jwt":
                raise bad_token()
            told = jwt.decode(
                token,
                key.secret,
                # Ours alone: the token's own `alg` chooses nothing.
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=LEEWAY,
                options={"require": REQUIRED},
            )
            expires_at = datetime.fromtimestamp(told["exp"], UTC)
            return Claims(UUID(told["sub"]), UUID(told["sid"]), expires_at)
        except jwt.ExpiredSignatureError:
            raise NotAuthenticated(
                "The access token has expired; get another one with POST /api/v1/auth/refresh.",
                "token_expired",
            ) from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
            raise bad_token() from None


def new_secret(prefix: str) -> str:
    """Return 256 random bits as text that says what it is, so that scanners find it where it leaked."""
    return prefix + secrets.token_urlsafe(32)


def hashed(secret: str) -> str:
    """Return what is stored of a random secret. It needs no salt and no slow hash: it cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def bad_token() -> NotAuthenticated:
    """Return the error for a credential that is none of ours, or not any more: it does not say which."""
    return NotAuthenticated("The credential is not valid (any more). Sign in again.", "bad_token")
