"""Where secrets are kept, and for how long a value that was read is used."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from runtime.settings import Slice


class SecretSettings(Slice):
    """The settings of the secret store."""

    secrets_backend: Literal["env", "file", "vault", "aws"] = Field(
        "env",
        description="Where secrets are kept: environment and `.env`, a folder of files (Docker, Kubernetes),"
        " HashiCorp Vault (KV version 2) or AWS Secrets Manager.",
    )
    secrets_ttl_seconds: float = Field(
        300, ge=0, description="A value that was read is used for so long; then a rotated one is seen."
    )
    secrets_grace_seconds: float = Field(
        3600,
        ge=0,
        description="When the backend does not answer, the last value is used for so much longer.",
    )
    secrets_dir: Path = Field(
        Path("/run/secrets"), description="Backend `file`: a folder with one file per secret, named as it is."
    )
    secrets_vault_path: str = Field(
        "secret/millrace",
        pattern=r"^[\w.-]+(/[\w.-]+)+$",
        description="Backend `vault`: the engine's mount and the path of the one secret that has all names as"
        " its fields.",
    )
    vault_addr: str = Field(
        "http://127.0.0.1:8200", pattern=r"^https?://[^\s@]+$", description="Backend `vault`: its address."
    )
    vault_token: SecretStr | None = Field(None, description="Backend `vault`: the token.")
    vault_token_file: Path | None = Field(
        None,
        description="Backend `vault`: a file with the token, read at each use (Vault Agent renews it).",
    )
    vault_namespace: str | None = Field(None, description="Backend `vault`: the namespace, if it has any.")
    secrets_aws_prefix: str = Field(
        "millrace/",
        pattern=r"^[\w/+=.@-]*$",
        description="Backend `aws`: stands before each name. Region and login are found as boto3 does.",
    )
