"""Where secrets can be kept. Each place is asked by name, blocks, and keeps nothing in memory."""

import os
from pathlib import Path
from typing import Protocol

from dotenv import dotenv_values

from runtime.errors import ConfigurationProblem


class Place(Protocol):
    """A place that keeps secrets.

    Its errors are `Unavailable` (`secrets_unavailable`) when it does not answer, and `ConfigurationProblem`
    (`secrets_refused`, `secrets_library_missing`) when a person must change something.
    """

    # Whether asking takes no network: then it is done on the event loop.
    instant: bool

    def read(self, name: str) -> str | None:
        """Return a secret; none when there is none of that name."""

    def names(self) -> list[str]:
        """Return the names of all secrets kept here, as far as they can be told from anything else."""

    def remedy(self, name: str) -> str:
        """Return what a person does to put a secret here."""


class Environment:
    """Environment variables, then `.env` in the working folder. An empty one is none."""

    instant = True

    def read(self, name: str) -> str | None:
        """Return a variable."""
        return os.environ.get(name) or dotenv_values(".env").get(name) or None

    def names(self) -> list[str]:
        """Return nothing: most variables are no secrets, and nobody can tell which are."""
        return []

    def remedy(self, name: str) -> str:
        """Return where it can be set."""
        return f"export {name}, put it into .env"


class Folder:
    """One file per secret, as Docker and Kubernetes mount them; white space around the value is dropped."""

    instant = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> str | None:
        """Return a file's text."""
        try:
            return (self._folder / name).read_text(encoding="utf-8").strip() or None
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationProblem(
                f"the secret file {self._folder / name} cannot be read ({type(error).__name__});"
                " check its owner and mode",
                code="secrets_refused",
            ) from None

    def names(self) -> list[str]:
        """Return the names of the files."""
        if not self._folder.is_dir():
            return []
        return sorted(each.name for each in self._folder.iterdir() if each.is_file() and each.name[0] != ".")

    def remedy(self, name: str) -> str:
        """Return the file to write."""
        return f"write it into the file {self._folder / name}"
