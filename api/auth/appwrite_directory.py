"""Signing in at an Appwrite server. What it says of a person counts; our rows follow it.

Labels (set by its administrators only) are roles, confirmed team memberships are projects; preferences, which
people write themselves, are never looked at.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt

from api.auth.appwrite import Appwrite
from api.auth.known import KnownCallers, Seen
from api.auth.sign_in import Tokens
from api.auth.tokens import bad_token, hashed
from contracts.people import Role
from database.engine import Database
from database.people.audit import Doer
from database.people.directory import Foreign, make_known, subject_of
from runtime.errors import NotAllowed, NotAuthenticated

PROVIDER = "appwrite"
TOKEN_SECONDS = 900
OWNER = "owner"


class AppwriteDirectory:
    """People of an Appwrite server."""

    keeps_teams = True

    def __init__(self, database: Database, appwrite: Appwrite, known: KnownCallers) -> None:
        self._database = database
        self._appwrite = appwrite
        self._known = known

    async def who(self, credential: str) -> Seen:
        """Return who has this JWT of Appwrite's; asked there about once every AUTH_CACHE_SECONDS.

        Its signature is Appwrite's business: the key is nobody else's, and only Appwrite knows whether the
        session lasts.

        Raises:
            NotAuthenticated: `bad_token`, also for somebody who is blocked there.
            NotAllowed: `email_not_verified` or `account_disabled`.
            Unavailable: `identity_unavailable`.
        """
        return await self._known.who(hashed(credential), lambda: self._asked(credential))

    async def _asked(self, credential: str) -> Seen:
        account = self._appwrite.account_by_token(credential)
        user = await self._appwrite.ask(account.get, with_our_key=False)
        return Seen(await self._settled(user), until=_claims(credential)[1])

    async def still(self, user_id: UUID) -> None:
        """Make sure that a key's maker may still sign in at Appwrite.

        Raises:
            NotAuthenticated: `bad_token`.
            Unavailable: `identity_unavailable`.
        """
        async with self._database.read() as session:
            subject = await subject_of(session, PROVIDER, user_id)
        if subject is not None:
            users = self._appwrite.users()
            await self._settled(await self._appwrite.ask(lambda: users.get(subject)))

    async def sign_in(self, email: str, password: str, by: Doer) -> Tokens:  # noqa: ARG002
        """Begin a session there.

        Raises:
            NotAuthenticated: `wrong_login`.
            Unavailable: `identity_unavailable`.
        """
        account = self._appwrite.account_by_key()
        try:
            session = await self._appwrite.ask(lambda: account.create_email_password_session(email, password))
        except NotAuthenticated:
            raise NotAuthenticated("The email address or the password is wrong.", "wrong_login") from None
        return await self._token(session.userid, session.id, session.secret)

    async def refresh(self, shown: str, by: Doer) -> Tokens:  # noqa: ARG002
        """Return the next access token of a session; its secret stays the refresh token while it lasts.

        Raises:
            NotAuthenticated: `bad_refresh_token`.
            Unavailable: `identity_unavailable`.
        """
        account = self._appwrite.account_by_session(shown)
        try:
            session = await self._appwrite.ask(lambda: account.get_session("current"), with_our_key=False)
            return await self._token(session.userid, session.id, shown)
        except NotAuthenticated:
            told = "The refresh token is not good any more. Sign in again."
            raise NotAuthenticated(told, "bad_refresh_token") from None

    async def sign_out(self, credential: str, seen: Seen) -> None:
        """End the session of a JWT."""
        (subject, session_id), _ = _claims(credential)
        users = self._appwrite.users()
        await self._appwrite.ask(lambda: users.delete_session(subject, session_id))
        self._known.forget(seen.person.user_id)

    async def change_password(self, *_: Any) -> None:
        """Refuse: passwords are Appwrite's.

        Raises:
            NotAllowed: `managed_elsewhere`.
        """
        raise NotAllowed("Passwords are changed in Appwrite.", "managed_elsewhere")

    async def close(self) -> None:
        """End threads and connections."""
        self._appwrite.close()

    async def _token(self, subject: str, session_id: str, secret: str) -> Tokens:
        users = self._appwrite.users()
        made = await self._appwrite.ask(lambda: users.create_jwt(subject, session_id, TOKEN_SECONDS))
        return Tokens(made.jwt, secret, timedelta(seconds=TOKEN_SECONDS))

    async def _settled(self, user: Any) -> Any:
        if not user.status:
            raise bad_token()
        users = self._appwrite.users()
        joined = await self._appwrite.ask(lambda: users.list_memberships(user.id))
        person = Foreign(
            provider=PROVIDER,
            subject=user.id,
            email=(user.email or f"{user.id}@appwrite.invalid").lower(),
            email_verified=bool(user.emailverification),
            name=user.name[:200],
            role=_role(user.labels, Role.USER),
            teams={
                each.teamid: (each.teamname[:200], _team_role(each.roles))
                for each in joined.memberships
                if each.confirm
            },
        )
        by = Doer(f"appwrite:{user.id}"[:64], "local")
        return await self._database.write(make_known, by, person)


def _role(words: list[str], otherwise: Role) -> Role:
    """Return the highest role among labels or a team's roles; `viewer` counts only when no other is there."""
    found = [role for role in Role if role.value in words]
    return found[-1] if found else otherwise


def _team_role(words: list[str]) -> Role:
    return Role.ADMIN if OWNER in words else _role(words, Role.USER)


def _claims(token: str) -> tuple[tuple[str, str], datetime | None]:
    """Return user, session and expiry of a JWT that Appwrite has found good."""
    try:
        told = jwt.decode(token, options={"verify_signature": False})
        until = datetime.fromtimestamp(told["exp"], UTC) if "exp" in told else None
        return (str(told["userId"]), str(told["sessionId"])), until
    except (jwt.PyJWTError, KeyError, ValueError, TypeError, OverflowError):
        raise bad_token() from None
