"""What every backend of identities can do: `embedded` keeps passwords, `appwrite` asks another server."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from api.auth.known import Seen
from database.people.audit import Doer


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a sign-in gives: a token for requests, and one to get the next of them with."""

    access_token: str
    refresh_token: str
    lifetime: timedelta


class Directory(Protocol):
    """Knows people and their sign-ins.

    All of it raises NotAuthenticated for what is not good, and Unavailable when nobody can tell.
    `keeps_teams`: it says who is in the projects that are its teams.
    """

    keeps_teams: bool

    async def who(self, credential: str) -> Seen:
        """Return who has this access token."""

    async def still(self, user_id: UUID) -> None:
        """Return when a person whose key calls may still sign in; raise when not."""

    async def sign_in(self, email: str, password: str, by: Doer) -> Tokens:
        """Begin a sign-in."""

    async def refresh(self, shown: str, by: Doer) -> Tokens:
        """Return the next tokens for a refresh token."""

    async def sign_out(self, credential: str, seen: Seen) -> None:
        """End the sign-in of an access token."""

    async def change_password(
        self, user_id: UUID, session_id: UUID | None, old: str, new: str, by: Doer
    ) -> None:
        """Give a person another password; their other sign-ins end."""

    async def close(self) -> None:
        """Let go of what was opened."""
