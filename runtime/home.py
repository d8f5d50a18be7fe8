"""Where one machine keeps Millrace's state, and where the project's own files are."""

from pathlib import Path

from pydantic import Field

from runtime.settings import Slice

PROJECT = Path(__file__).resolve().parent.parent


class HomeSettings(Slice):
    """The one folder of local state."""

    millrace_home: Path = Field(Path("~/.millrace"), description="Folder of all local state.")


def home() -> Path:
    """Return the state folder, created for its owner only when missing."""
    folder = HomeSettings().millrace_home.expanduser().resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
