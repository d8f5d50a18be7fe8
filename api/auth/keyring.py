"""The keys that sign access tokens: a small file that replicas share, renewed without ending any sign-in.

The newest key signs; the ones before it are still believed until the tokens they signed have expired.
"""

import base64
import json
import os
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from runtime.clock import utcnow
from runtime.errors import ConfigurationProblem

SECRET_BYTES = 32
# The group may read, as Kubernetes mounts secrets for a process that is not root; it may bring no keys.
REFUSED_BITS = 0o027
# Longer than any access token lives (AUTH_ACCESS_MINUTES is at most 60).
BELIEVED_AFTER = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Key:
    """One signing key."""

    id: str
    secret: bytes
    made_at: datetime


class Keyring:
    """The keys of a file; a file that was changed is read again by itself."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at = 0
        self._keys: list[Key] = []

    @property
    def signing(self) -> Key:
        """The newest key."""
        return self._current()[-1]

    def find(self, key_id: str) -> Key | None:
        """Return the key of this id while tokens of it may be about."""
        return next((key for key in self._current() if key.id == key_id), None)

    def _current(self) -> list[Key]:
        try:
            changed_at = self._path.stat().st_mtime_ns
        except OSError:
            changed_at = self._read_at
        if changed_at != self._read_at or not self._keys:
            self._keys, self._read_at = read_keys(self._path), changed_at
        return self._keys


def read_keys(path: Path) -> list[Key]:
    """Return the keys of a file, the newest last.

    Raises:
        ConfigurationProblem: `bad_keys_file`, it is missing, readable by others, writable by its group, or
            holds something else.
    """
    remedy = "`millrace keys rotate` makes a good one."
    try:
        open_to = path.stat().st_mode & REFUSED_BITS
        keys = [_key(each) for each in json.loads(path.read_text())["keys"]]
    except OSError:
        raise _bad(f"There are no signing keys at {path}. {remedy}") from None
    except (ValueError, KeyError, TypeError):
        raise _bad(f"{path} is not a file of signing keys. {remedy}") from None
    if open_to:
        raise _bad(
            f"{path} can be read by other users of this machine or changed by its group: chmod 600 it"
            " (640 for a group that may read it; `defaultMode: 0400` of a mounted secret), then rotate them."
        )
    if not keys or any(len(key.secret) < SECRET_BYTES for key in keys):
        raise _bad(f"{path} holds no key of {SECRET_BYTES} bytes. {remedy}")
    return sorted(keys, key=lambda key: key.made_at)


def rotate_keys(path: Path) -> Key:
    """Add a key that signs from now on; drop those whose tokens have all expired. Return the new one.

    Raises:
        ConfigurationProblem: `bad_keys_file`, or `keys_read_only` where no file can be written beside it.
    """
    at = utcnow()
    old = read_keys(path) if path.exists() else []
    # A key was replaced when its successor was made.
    replaced = [newer.made_at for newer in old[1:]] + [at]
    kept = [key for key, until in zip(old, replaced, strict=False) if until > at - BELIEVED_AFTER]
    new = Key(f"{at:%Y%m%d}-{secrets.token_hex(4)}", secrets.token_bytes(SECRET_BYTES), at)
    try:
        _write(path, [*kept, new])
    except OSError as problem:
        raise ConfigurationProblem(
            f"{path.parent} cannot be written ({problem.strerror}). Where the keys are a mounted secret,"
            " rotate a copy of the file and replace the secret with it: docs/auth.md says how.",
            code="keys_read_only",
        ) from None
    return new


def ensure_keys(path: Path) -> None:
    """Make the file when there is none."""
    if not path.exists():
        rotate_keys(path)


def _key(each: dict[str, str]) -> Key:
    return Key(each["id"], base64.b64decode(each["secret"]), datetime.fromisoformat(each["made_at"]))


def _write(path: Path, keys: list[Key]) -> None:
    listed = [
        {"id": key.id, "secret": base64.b64encode(key.secret).decode(), "made_at": key.made_at.isoformat()}
        for key in keys
    ]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Written beside and moved over: a reader finds the old file or the new one.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"keys": listed}, file, indent=1)
    draft.replace(path)


def _bad(message: str) -> ConfigurationProblem:
    return ConfigurationProblem(message, code="bad_keys_file")
