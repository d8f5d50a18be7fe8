"""Signing in with a password that the results database keeps, hashed."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import structlog

from api.auth.known import KnownCallers, Seen
from api.auth.passwords import Passwords
from api.auth.settings import AuthSettings
from api.auth.sign_in import Tokens
from api.auth.tokens import REFRESH_PREFIX, AccessTokens, bad_token, hashed, new_secret
from database.engine import Database, WriteSession
from database.people.audit import Doer, record
from database.people.sessions import Outcome, end_session, known_by_session, open_session, rotate_token
from database.people.users import credentials, note_sign_in, password_hash, set_password
from runtime.clock import utcnow
from runtime.errors import BadInput, NotAuthenticated

log = structlog.get_logger(__name__)


class Embedded:
    """Sign-ins of people whose passwords are ours to keep."""

    keeps_teams = False

    def __init__(
        self,
        database: Database,
        settings: AuthSettings,
        passwords: Passwords,
        tokens: AccessTokens,
        known: KnownCallers,
    ) -> None:
        self._database = database
        self._settings = settings
        self.passwords = passwords
        self._tokens = tokens
        self._known = known

    async def who(self, credential: str) -> Seen:
        """Return who has this access token, while its sign-in lasts.

        Raises:
            NotAuthenticated: `bad_token` or `token_expired`.
        """
        claims = self._tokens.read(credential)
        session_id = claims.session_id
        seen = await self._known.who(str(session_id), lambda: self._asked(session_id))
        if seen.person.user_id != claims.user_id:
            raise bad_token()
        return replace(seen, until=claims.expires_at)

    async def _asked(self, session_id: UUID) -> Seen:
        async with self._database.read() as session:
            person = await known_by_session(session, session_id)
        if person is None:
            raise bad_token()
        return Seen(person, session_id=session_id)

    async def still(self, user_id: UUID) -> None:
        """Return: what keeps a key's maker out is in the row that the key was found with."""

    async def sign_in(self, email: str, password: str, by: Doer) -> Tokens:
        """Begin a sign-in.

        An unknown address, one without a password, a wrong password and a disabled person take the same
        steps and get the same answer.

        Raises:
            NotAuthenticated: `wrong_login`.
            Unavailable: `busy`, or the database does not answer.
        """
        async with self._database.read() as session:
            found = await credentials(session, email)
        stored = None if found is None else found.password_hash
        right = await self.passwords.check(stored, password)
        if not right or found is None or found.disabled or stored is None:
            log.warning("sign_in_refused", address=by.address)
            raise NotAuthenticated("The email address or the password is wrong.", "wrong_login")
        better = await self.passwords.hash(password) if self.passwords.outdated(stored) else None
        return await self.begin(found.user_id, by, better)

    async def begin(self, user_id: UUID, by: Doer, better_hash: str | None = None) -> Tokens:
        """Begin a sign-in of somebody who has proved who they are."""
        refresh, at = new_secret(REFRESH_PREFIX), utcnow()

        async def begun(session: WriteSession) -> UUID:
            session_id = await open_session(
                session,
                user_id,
                hashed(refresh),
                token_until=at + timedelta(days=self._settings.auth_refresh_days),
                until=at + timedelta(days=self._settings.auth_session_days),
            )
            await note_sign_in(session, user_id, better_hash)
            who = Doer(f"user:{user_id}", f"user:{user_id}", by.address, by.request_id)
            await record(session, who, "session.begun", f"session:{session_id}")
            return session_id

        session_id = await self._database.write(begun)
        return Tokens(self._tokens.sign(user_id, session_id), refresh, self._tokens.lifetime)

    async def refresh(self, shown: str, by: Doer) -> Tokens:
        """Take a refresh token in and hand out the next pair.

        Raises:
            NotAuthenticated: `bad_refresh_token`. One that was used before ends its sign-in.
        """
        following = new_secret(REFRESH_PREFIX)
        until = utcnow() + timedelta(days=self._settings.auth_refresh_days)
        rotation = await self._database.write(
            rotate_token, hashed(shown), hashed(following), token_until=until
        )
        user_id, session_id = rotation.user_id, rotation.session_id
        if rotation.outcome is Outcome.REUSED and user_id is not None:
            self._known.forget(user_id)
            log.warning("refresh_token_reused", user_id=str(user_id), address=by.address)
        if rotation.outcome is not Outcome.ROTATED or user_id is None or session_id is None:
            raise NotAuthenticated(
                "The refresh token is not good any more. Sign in again.", "bad_refresh_token"
            )
        return Tokens(self._tokens.sign(user_id, session_id), following, self._tokens.lifetime)

    async def sign_out(self, credential: str, seen: Seen) -> None:  # noqa: ARG002  the row tells
        """End a sign-in: here at once, at other replicas within AUTH_CACHE_SECONDS."""
        if seen.session_id is not None:
            await self._database.write(end_session, seen.session_id, "signed_out")
        self._known.forget(seen.person.user_id)

    async def change_password(
        self, user_id: UUID, session_id: UUID | None, old: str, new: str, by: Doer
    ) -> None:
        """Give a person another password; their other sign-ins end.

        Raises:
            BadInput: `wrong_password`, the old one is not theirs.
        """
        async with self._database.read() as session:
            stored = await password_hash(session, user_id)
        if not await self.passwords.check(stored, old):
            raise BadInput("The current password is not this one.", "wrong_password")
        made = await self.passwords.hash(new)
        await self._database.write(set_password, by, user_id, made, keep=session_id)
        self._known.forget(user_id)

    async def close(self) -> None:
        """End the threads that check passwords."""
        self.passwords.close()
