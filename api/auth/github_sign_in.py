"""Signing in at GitHub, for people whose passwords are ours to keep or who have none."""

from uuid import UUID

from api.auth.beginnings import Beginning, Beginnings
from api.auth.embedded import Embedded
from api.auth.github import GitHub
from api.auth.sign_in import Tokens
from database.engine import Database
from database.people.audit import Doer
from database.people.identities import enter, link
from runtime.errors import NotAllowed, Unavailable

DENIED = "access_denied"


class GitHubSignIn:
    """Begins a sign-in or a link at GitHub, and ends it here.

    Args:
        database: where people are.
        directory: begins sign-ins.
        github: who is asked.
        beginnings: tie what was begun to its browser.
        sign_up: make accounts for people whom nobody knows here.
    """

    def __init__(
        self,
        database: Database,
        directory: Embedded,
        github: GitHub,
        beginnings: Beginnings,
        *,
        sign_up: bool,
    ) -> None:
        self._database, self._directory = database, directory
        self._github, self._beginnings = github, beginnings
        self._sign_up = sign_up

    def begin(self, user_id: UUID | None = None, session_id: UUID | None = None) -> tuple[Beginning, str]:
        """Return what was begun, and where the browser goes now."""
        begun = self._beginnings.begin(user_id, session_id)
        return begun, self._github.authorize_url(begun.state, begun.challenge)

    async def end(
        self, cookie: str | None, state: str, code: str | None, error: str | None, by: Doer
    ) -> Tokens | None:
        """Return the tokens of who has signed in; none when an identity was linked instead.

        Raises:
            BadInput: `bad_state`.
            NotAuthenticated: `bad_sign_in_code` or `bad_token`.
            NotAllowed: `sign_in_denied`, `email_not_verified`, `not_invited` or `account_disabled`.
            Conflict: `link_needed` or `identity_taken`.
            Unavailable: `identity_unavailable`.
        """
        begun = self._beginnings.ended(cookie, state)
        if error == DENIED:
            raise NotAllowed("You did not let this server know who you are.", "sign_in_denied")
        if error is not None or code is None:
            raise Unavailable(
                "GitHub did not say who you are: its OAuth app is not set up for this.",
                "identity_unavailable",
            )
        person = await self._github.person(code, begun.verifier)
        if begun.user_id is not None and begun.session_id is not None:
            who = Doer(f"user:{begun.user_id}", f"user:{begun.user_id}", by.address, by.request_id)
            await self._database.write(link, who, begun.user_id, begun.session_id, person)
            return None
        stranger = Doer(f"github:{person.subject}", "", by.address, by.request_id)
        user_id = await self._database.write(enter, stranger, person, sign_up=self._sign_up)
        return await self._directory.begin(user_id, by)

    async def close(self) -> None:
        """Close the connections."""
        await self._github.close()
