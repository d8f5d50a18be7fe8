"""From the credential of a request to who calls."""

from api.auth.known import KnownCallers, Seen
from api.auth.sign_in import Directory
from api.auth.tokens import KEY_PREFIX, bad_token, hashed
from database.engine import Database
from database.people.keys import USE_NOTED_EVERY, known_by_key, note_use
from runtime.clock import utcnow


class Guard:
    """Finds out who is behind an access token or an API key.

    Args:
        database: where people, their sign-ins and keys are.
        directory: knows access tokens.
        known: what was found out lately.
    """

    def __init__(self, database: Database, directory: Directory, known: KnownCallers) -> None:
        self._database = database
        self._directory = directory
        self.known = known

    async def who(self, credential: str) -> Seen:
        """Return who is behind a credential.

        Raises:
            NotAuthenticated: `bad_token` or `token_expired`.
            Unavailable: the database does not answer, so nobody can tell.
        """
        if credential.startswith(KEY_PREFIX):
            return await self._by_key(hashed(credential))
        return await self._directory.who(credential)

    async def _by_key(self, name: str) -> Seen:
        seen = await self.known.who(name, lambda: self._asked(name))
        if seen.until is not None and seen.until <= utcnow():
            raise bad_token()
        return seen

    async def _asked(self, name: str) -> Seen:
        async with self._database.read() as session:
            found = await known_by_key(session, name)
        if found is None:
            raise bad_token()
        key, maker = found
        await self._directory.still(maker.user_id)
        if key.used_at is None or key.used_at < utcnow() - USE_NOTED_EVERY:
            await self._database.write(note_use, key.id)
        return Seen(maker, key=key, until=key.expires_at)
