"""Secrets in AWS Secrets Manager: one secret per name, behind a prefix, as its text (`SecretString`)."""

from typing import Any

from runtime.errors import ConfigurationProblem, MillraceError, Unavailable

TIMEOUT_SECONDS = 5
_REFUSED = frozenset(
    {
        "AccessDeniedException",
        "DecryptionFailure",
        "ExpiredTokenException",
        "InvalidSignatureException",
        "UnrecognizedClientException",
        "ValidationException",
    }
)


class SecretsManager:
    """The secrets under a prefix. Region and login come from where boto3 looks for them.

    Raises:
        ConfigurationProblem: `secrets_library_missing`; `secrets_refused` when no region is set.
    """

    instant = False

    def __init__(self, prefix: str) -> None:
        try:
            import boto3
            import botocore.config
            import botocore.exceptions
        except ImportError:
            raise ConfigurationProblem(
                "SECRETS_BACKEND=aws needs boto3: `pip install -e '.[aws]'` in Millrace's folder",
                code="secrets_library_missing",
            ) from None
        self._errors: Any = botocore.exceptions
        self._prefix = prefix
        limits = botocore.config.Config(
            connect_timeout=TIMEOUT_SECONDS, read_timeout=TIMEOUT_SECONDS, retries={"max_attempts": 2}
        )
        try:
            self._client = boto3.client("secretsmanager", config=limits)
        except botocore.exceptions.BotoCoreError as error:
            raise self._told(error) from None

    def read(self, name: str) -> str | None:
        """Return a secret's text."""
        try:
            answer = self._client.get_secret_value(SecretId=self._prefix + name)
        except self._client.exceptions.ResourceNotFoundException:
            return None
        except (self._errors.BotoCoreError, self._errors.ClientError) as error:
            raise self._told(error) from None
        return str(answer.get("SecretString") or "") or None

    def names(self) -> list[str]:
        """Return the names under the prefix, without it."""
        only = [{"Key": "name", "Values": [self._prefix]}] if self._prefix else []
        try:
            pages = self._client.get_paginator("list_secrets").paginate(Filters=only)
            found = [each["Name"] for page in pages for each in page["SecretList"]]
        except (self._errors.BotoCoreError, self._errors.ClientError) as error:
            raise self._told(error) from None
        return sorted(name.removeprefix(self._prefix) for name in found if name.startswith(self._prefix))

    def remedy(self, name: str) -> str:
        """Return the command to run."""
        return f"run `aws secretsmanager create-secret --name {self._prefix}{name} --secret-string ...`"

    def _told(self, error: Any) -> MillraceError:
        response = getattr(error, "response", {})
        code = str(response.get("Error", {}).get("Code") or type(error).__name__)
        if code in _REFUSED or code in {"NoRegionError", "NoCredentialsError", "PartialCredentialsError"}:
            return ConfigurationProblem(
                f"AWS Secrets Manager refuses us ({code}): check the region, the login and its policy for"
                f" secrets named {self._prefix}*",
                code="secrets_refused",
            )
        return Unavailable(f"AWS Secrets Manager does not answer ({code})", code="secrets_unavailable")
