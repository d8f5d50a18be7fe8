"""Secrets in HashiCorp Vault: the fields of one secret of a KV engine, version 2.

The HTTP API is https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2; hvac speaks it.
"""

from typing import Any

from runtime.errors import ConfigurationProblem, Unavailable
from runtime.secret_store.settings import SecretSettings

TIMEOUT_SECONDS = 5


class Vault:
    """One secret whose fields are ours. The token is read at each question, so an agent may renew it.

    Raises:
        ConfigurationProblem: `secrets_library_missing`.
    """

    instant = False

    def __init__(self, settings: SecretSettings) -> None:
        try:
            import hvac
        except ImportError:
            raise ConfigurationProblem(
                "SECRETS_BACKEND=vault needs hvac: `pip install -e '.[vault]'` in Millrace's folder",
                code="secrets_library_missing",
            ) from None
        self._hvac: Any = hvac
        self._settings = settings
        self._mount, _, self._path = settings.secrets_vault_path.partition("/")

    def read(self, name: str) -> str | None:
        """Return a field."""
        value = self._fields().get(name)
        return None if value is None else str(value) or None

    def names(self) -> list[str]:
        """Return the names of the fields."""
        return sorted(self._fields())

    def remedy(self, name: str) -> str:
        """Return the command to run."""
        return f"run `vault kv patch -mount={self._mount} {self._path} {name}=...`"

    def _fields(self) -> dict[str, Any]:
        import requests

        settings, errors = self._settings, self._hvac.exceptions
        client = self._hvac.Client(
            url=settings.vault_addr,
            token=self._token(),
            namespace=settings.vault_namespace,
            timeout=TIMEOUT_SECONDS,
        )
        try:
            answer = client.secrets.kv.v2.read_secret_version(
                path=self._path, mount_point=self._mount, raise_on_deleted_version=True
            )
            return dict(answer["data"]["data"] or {})
        except errors.InvalidPath:
            return {}
        except (errors.Forbidden, errors.Unauthorized, errors.InvalidRequest):
            raise ConfigurationProblem(
                f"Vault at {settings.vault_addr} refuses to read {settings.secrets_vault_path}: check the"
                " token (VAULT_TOKEN or VAULT_TOKEN_FILE) and its policy",
                code="secrets_refused",
            ) from None
        except (errors.VaultError, requests.RequestException, KeyError, TypeError, ValueError) as error:
            raise Unavailable(
                f"Vault at {settings.vault_addr} does not answer ({type(error).__name__})",
                code="secrets_unavailable",
            ) from None
        finally:
            client.adapter.close()

    def _token(self) -> str | None:
        if (file := self._settings.vault_token_file) is not None:
            try:
                return file.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigurationProblem(
                    f"VAULT_TOKEN_FILE={file} cannot be read ({type(error).__name__})", code="secrets_refused"
                ) from None
        token = self._settings.vault_token
        return None if token is None else token.get_secret_value()
