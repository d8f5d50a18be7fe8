"""The secrets of one process: asked by name at each use, remembered for a while, never written anywhere."""

import asyncio
import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from runtime.errors import BadInput, Unavailable
from runtime.masking import remember
from runtime.secret_store.places import Environment, Folder, Place
from runtime.secret_store.settings import SecretSettings

# A name is also a file's name, a field of Vault and a part of an AWS name.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")
# How long a backend that does not answer, or that knows no such name, is not asked again.
PAUSE_SECONDS = 5.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Read:
    """A value as it was read, with the monotonic times of that and of the next question."""

    value: str | None
    at: float
    ask_again: float


class SecretStore:
    """Answers for names. Safe to use from several threads; a value is asked for once at a time.

    Args:
        place: where secrets are kept.
        settings: for how long a value is used.
        clock: monotonic seconds.
    """

    def __init__(
        self, place: Place, settings: SecretSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._place = place
        self._ttl = settings.secrets_ttl_seconds
        self._grace = settings.secrets_grace_seconds
        self._clock = clock
        self._read: dict[str, _Read] = {}
        self._asking = threading.Lock()

    async def get(self, name: str) -> str | None:
        """Return a secret without blocking the event loop; none when there is none of that name.

        Raises:
            BadInput: `bad_secret_name`.
            Unavailable: `secrets_unavailable`, and no value is known that may still be used.
            ConfigurationProblem: the backend refuses us.
        """
        if (known := self._fresh(name)) is not None:
            return known.value
        if self._place.instant:
            return self.get_now(name)
        return await asyncio.to_thread(self.get_now, name)

    def get_now(self, name: str) -> str | None:
        """Return a secret; blocks while the backend is asked. Otherwise as `get`."""
        if not NAME.fullmatch(name):
            raise BadInput(
                "a secret's name has letters, digits, `_`, `.` and `-`, and begins with a letter",
                code="bad_secret_name",
            )
        with self._asking:
            known = self._fresh(name)
            return known.value if known is not None else self._ask(name)

    def forget(self, name: str) -> None:
        """Ask for this secret again at its next use: somebody did not accept it."""
        self._read.pop(name, None)

    def remedy(self, name: str) -> str:
        """Return what a person does to give this name a value."""
        return self._place.remedy(name)

    def names(self) -> list[str]:
        """Return the names that the backend keeps, never a value; blocks while it is asked."""
        return self._place.names()

    def _fresh(self, name: str) -> _Read | None:
        known = self._read.get(name)
        return known if known is not None and self._clock() < known.ask_again else None

    def _ask(self, name: str) -> str | None:
        now, before = self._clock(), self._read.get(name)
        try:
            value = self._place.read(name)
        except Unavailable as error:
            if before is None or before.value is None or now - before.at > self._ttl + self._grace:
                raise
            _log.warning("the last value of the secret %s is used: %s", name, error.message)
            before.ask_again = now + PAUSE_SECONDS
            return before.value
        if value is not None:
            remember(value)
        wait = self._ttl if value is not None else min(self._ttl, PAUSE_SECONDS)
        self._read[name] = _Read(value, now, now + wait)
        return value


def open_secrets(settings: SecretSettings | None = None) -> SecretStore:
    """Return the store that the settings name. It asks its backend at the first use, not here.

    Raises:
        ConfigurationProblem: the backend's library is missing, or it is not set up.
    """
    settings = settings or SecretSettings()
    return SecretStore(_place(settings), settings)


def _place(settings: SecretSettings) -> Place:
    match settings.secrets_backend:
        case "env":
            return Environment()
        case "file":
            return Folder(settings.secrets_dir)
        case "vault":
            from runtime.secret_store.vault import Vault

            return Vault(settings)
        case "aws":
            from runtime.secret_store.aws import SecretsManager

            return SecretsManager(settings.secrets_aws_prefix)
