"""The base of every settings slice: environment first, then `.env`, then kept secrets, then the default."""

from typing import Any, get_args
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from runtime.errors import ConfigurationProblem
from runtime.masking import remember


class Slice(BaseSettings):
    """A few settings beside the code that they configure, read once at the composition root.

    A field's name in upper case is its environment variable: `database_url` is `DATABASE_URL`. The value of
    a `SecretStr` may also be kept under that name where `SECRETS_BACKEND` says.

    Raises:
        ConfigurationProblem: `bad_setting`, naming each variable and what it takes, never its value.
        Unavailable: `secrets_unavailable`.
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
        for name in self.model_fields_set - values.keys():
            if isinstance(value := getattr(self, name), SecretStr):
                _take_out(value.get_secret_value())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  pydantic calls it so
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where values are looked for, in this order."""
        return init_settings, env_settings, dotenv_settings, KeptSecrets(settings_cls)


class KeptSecrets(PydanticBaseSettingsSource):
    """The values of secret fields, from the secret store; only what was not found before is asked for."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return nothing: the store is opened once for all fields, in `__call__`."""
        del field
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the secret fields that the store has."""
        from runtime.secret_store.settings import SecretSettings
        from runtime.secret_store.store import open_secrets

        wanted = [name for name, field in self.settings_cls.model_fields.items() if _is_secret(field)]
        missing = [name for name in wanted if name not in self.current_state]
        # The store's own login cannot be in the store.
        if not missing or issubclass(self.settings_cls, SecretSettings):
            return {}
        settings = SecretSettings()
        if settings.secrets_backend == "env":
            return {}
        store = open_secrets(settings)
        found = {name: store.get_now(name.upper()) for name in missing}
        return {name: value for name, value in found.items() if value is not None}


def _is_secret(field: FieldInfo) -> bool:
    return field.annotation is SecretStr or SecretStr in get_args(field.annotation)


def _take_out(value: str) -> None:
    """Take a secret setting out of all that is written; of an address, its password."""
    if "://" not in value:
        remember(value)
        return
    try:
        password = urlsplit(value).password
    except ValueError:
        password = value
    if password:
        remember(password)
        remember(unquote(password))


def _told(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    lines = (f"{'.'.join(map(str, each['loc'])).upper()}: {each['msg']}." for each in problems)
    return f"{' '.join(lines)} Change it in the environment or in `.env`."
