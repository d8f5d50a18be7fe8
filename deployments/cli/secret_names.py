"""`millrace secrets`: which secrets are wanted and which are there, by name only."""

from dataclasses import asdict, dataclass
from typing import Annotated

import typer


@dataclass(frozen=True, slots=True)
class Known:
    """A secret's name, who wants it, and whether it has a value."""

    name: str
    wanted_by: list[str]
    present: bool


def secrets(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the names of all secrets: those that the configuration wants, and those that are kept.

    A value is never shown. The exit code is 1 when a wanted one is missing.

    Example: `SECRETS_BACKEND=file SECRETS_DIR=/run/secrets millrace secrets`
    """
    from deployments.cli.console import out, say, say_json
    from runtime.secret_store.settings import SecretSettings

    backend = SecretSettings().secrets_backend
    found = _known()
    if as_json:
        say_json({"backend": backend, "secrets": [asdict(each) for each in found]})
    else:
        from rich.table import Table

        say(f"Kept in: {backend} (SECRETS_BACKEND)")
        table = Table("name", "there", "wanted by", box=None, pad_edge=False)
        for each in found:
            table.add_row(
                each.name, "yes" if each.present else "MISSING", ", ".join(each.wanted_by) or "nobody"
            )
        out().print(table)
    if any(each.wanted_by and not each.present for each in found):
        raise typer.Exit(1)


def _known() -> list[Known]:
    from llm.providers_file import keys_wanted
    from llm.settings import LlmSettings
    from runtime.secret_store.store import open_secrets

    store = open_secrets()
    wanted = keys_wanted(LlmSettings().providers_file)
    names = sorted({*wanted, *store.names()})
    return [Known(name, wanted.get(name, []), store.get_now(name) is not None) for name in names]
