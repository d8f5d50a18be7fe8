"""The base of every settings slice: environment first, then `.env`, then the default."""

from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime.errors import ConfigurationProblem


class Slice(BaseSettings):
    """A few settings beside the code that they configure, read once at the composition root.

    A field's name in upper case is its environment variable: `database_url` is `DATABASE_URL`.

    Raises:
        ConfigurationProblem: `bad_setting`, naming each variable and what it takes, never its value.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            # `from None`: pydantic's own text shows the value, which may be a secret.
            raise ConfigurationProblem(_told(error), code="bad_setting") from None


def _told(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    lines = (f"{'.'.join(map(str, each['loc'])).upper()}: {each['msg']}." for each in problems)
    return f"{' '.join(lines)} Change it in the environment or in `.env`."
