"""What the API needs to know people by, put together once for a process."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from api.auth.embedded import Embedded
from api.auth.guard import Guard
from api.auth.keyring import Keyring, ensure_keys
from api.auth.known import KnownCallers
from api.auth.passwords import Passwords
from api.auth.settings import AuthSettings
from api.auth.sign_in import Directory
from api.auth.tokens import AccessTokens
from api.limits import Limits, LimitSettings
from api.streams import Streams
from database.engine import Database

if TYPE_CHECKING:
    from api.auth.github_sign_in import GitHubSignIn


@dataclass(frozen=True, slots=True)
class People:
    """Who is behind a credential, how people sign in, and how often callers may call."""

    guard: Guard
    directory: Directory
    passwords: Passwords
    limits: Limits
    streams: Streams
    # None: nobody signs in there.
    github: "GitHubSignIn | None" = None

    async def close(self) -> None:
        """End threads and connections."""
        if self.github is not None:
            await self.github.close()
        await self.guard.known.close()
        self.passwords.close()
        await self.directory.close()
        await self.limits.close()


def open_people(
    settings: AuthSettings, database: Database, limits: LimitSettings | None = None
) -> People | None:
    """Return what knows people; none when nobody is asked who they are.

    Raises:
        ConfigurationProblem: `bad_keys_file`, or `bad_setting` of a limit or of Appwrite.
    """
    settings.github()
    if not settings.asks:
        return None
    counted, known, passwords = (
        limits or LimitSettings(),
        KnownCallers(settings.auth_cache_seconds),
        Passwords(),
    )
    directory = _directory(settings, database, known, passwords)
    return People(
        guard=Guard(database, directory, known),
        directory=directory,
        passwords=passwords,
        limits=Limits(counted),
        streams=Streams(counted.rate_limit_streams),
        github=_github(settings, database, directory),
    )


def _directory(
    settings: AuthSettings, database: Database, known: KnownCallers, passwords: Passwords
) -> Directory:
    if settings.backend == "appwrite":
        # Late: only this backend needs the SDK and `requests`.
        from api.auth.appwrite import Appwrite
        from api.auth.appwrite_directory import AppwriteDirectory

        endpoint, project, key = settings.appwrite()
        appwrite = Appwrite(
            endpoint, project, key, seconds=settings.appwrite_seconds, threads=settings.appwrite_threads
        )
        return AppwriteDirectory(database, appwrite, known)
    ensure_keys(settings.keys_file)
    tokens = AccessTokens(Keyring(settings.keys_file), timedelta(minutes=settings.auth_access_minutes))
    return Embedded(database, settings, passwords, tokens, known)


def _github(settings: AuthSettings, database: Database, directory: Directory) -> "GitHubSignIn | None":
    app = settings.github()
    if app is None or not isinstance(directory, Embedded):
        return None
    # Late: only who offers this needs an HTTP client.
    from api.auth.beginnings import Beginnings
    from api.auth.github import GitHub
    from api.auth.github_sign_in import GitHubSignIn

    github = GitHub(
        *app,
        url=settings.github_url,
        api_url=settings.github_api_url,
        callback_url=settings.github_callback_url,
        seconds=settings.github_seconds,
    )
    return GitHubSignIn(
        database,
        directory,
        github,
        Beginnings(Keyring(settings.keys_file)),
        sign_up=settings.github_sign_up,
    )
