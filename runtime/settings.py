"""The base of every settings slice: environment first, then `.env`, then the default."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class Slice(BaseSettings):
    """A few settings beside the code that they configure, read once at the composition root.

    A field's name in upper case is its environment variable: `database_url` is `DATABASE_URL`.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True
    )
