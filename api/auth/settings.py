"""How callers prove who they are, and for how long."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from runtime.errors import ConfigurationProblem
from runtime.home import home
from runtime.settings import Slice


class AuthSettings(Slice):
    """Whether the API asks who calls, and how long what it hands out is good."""

    auth: Literal["none", "embedded"] = Field(
        "none",
        description="`embedded`: people sign in with a password that the results database keeps, hashed;"
        " programs send keys. `none`: nobody is asked, so only this machine may call, as the local owner.",
    )
    auth_keys_file: Path | None = Field(
        None,
        description="The keys that sign access tokens; replicas share it. `millrace keys rotate` makes it and"
        " renews it. Default: auth-keys.json in MILLRACE_HOME.",
    )
    auth_access_minutes: int = Field(15, ge=1, le=60, description="How long an access token is good.")
    auth_refresh_days: int = Field(14, ge=1, le=365, description="How long an unused refresh token is good.")
    auth_session_days: int = Field(90, ge=1, le=730, description="After this time people sign in again.")
    auth_cache_seconds: float = Field(
        5,
        ge=0,
        le=60,
        allow_inf_nan=False,
        description="How long an API process relies on what it knew of a caller: the longest time until it"
        " sees a revoked key, a changed role or a sign-out at another replica.",
    )

    appwrite_endpoint: str | None = Field(
        None,
        description="Sign in at this Appwrite server instead, e.g. https://appwrite.example.org/v1: its"
        " labels are roles, its teams projects.",
    )
    appwrite_project: str | None = Field(None, description="The project's id at Appwrite.")
    appwrite_api_key: SecretStr | None = Field(
        None, description="This server's key there, with sessions.write, users.read and users.write."
    )
    appwrite_seconds: float = Field(
        5, gt=0, le=60, allow_inf_nan=False, description="How long one question to Appwrite may take."
    )
    appwrite_threads: int = Field(8, ge=1, le=64, description="Questions to Appwrite at once.")

    github_client_id: str | None = Field(
        None,
        description="The id of an OAuth app at GitHub: people of AUTH=embedded may sign in there.",
    )
    github_client_secret: SecretStr | None = Field(None, description="The OAuth app's secret.")
    github_url: str = Field(
        "https://github.com", description="Where GitHub is; your own GitHub Enterprise Server's address."
    )
    github_api_url: str | None = Field(
        None,
        description="GitHub's API. Default: https://api.github.com, or /api/v3 below another GITHUB_URL.",
    )
    github_callback_url: str | None = Field(
        None,
        description="Where GitHub sends people back to, as the OAuth app has it: this server's"
        " /api/v1/auth/github/callback, or a page of yours on the same site that asks there. Without it"
        " GitHub takes the app's own.",
    )
    github_sign_up: bool = Field(
        False,
        description="Let anybody of GitHub in who has a verified address, as `user`. Else only those who are"
        " known here.",
    )
    github_seconds: float = Field(
        10, gt=0, le=60, allow_inf_nan=False, description="How long one question to GitHub may take."
    )

    @property
    def backend(self) -> Literal["none", "embedded", "appwrite"]:
        """Who knows people."""
        return "appwrite" if self.appwrite_endpoint else self.auth

    def appwrite(self) -> tuple[str, str, str]:
        """Return Appwrite's address, project and key.

        Raises:
            ConfigurationProblem: `bad_setting`, one of them is missing.
        """
        if not (self.appwrite_endpoint and self.appwrite_project and self.appwrite_api_key):
            raise ConfigurationProblem(
                "APPWRITE_ENDPOINT needs APPWRITE_PROJECT and APPWRITE_API_KEY too.", "bad_setting"
            )
        return self.appwrite_endpoint, self.appwrite_project, self.appwrite_api_key.get_secret_value()

    def github(self) -> tuple[str, str] | None:
        """Return the OAuth app's id and secret; none when nobody signs in at GitHub.

        Raises:
            ConfigurationProblem: `bad_setting`, the secret is missing, or people are not ours to sign in.
        """
        if not self.github_client_id:
            return None
        if self.github_client_secret is None:
            raise ConfigurationProblem("GITHUB_CLIENT_ID needs GITHUB_CLIENT_SECRET too.", "bad_setting")
        if self.backend == "none":  # nobody signs in at all, as in the demo
            return None
        if self.backend == "appwrite":
            raise ConfigurationProblem(
                "GITHUB_CLIENT_ID is for AUTH=embedded; Appwrite has its own way to GitHub.", "bad_setting"
            )
        return self.github_client_id, self.github_client_secret.get_secret_value()

    @property
    def asks(self) -> bool:
        """Whether callers must say who they are."""
        return self.backend != "none"

    @property
    def keys_file(self) -> Path:
        """Where the signing keys are."""
        return self.auth_keys_file or home() / "auth-keys.json"
