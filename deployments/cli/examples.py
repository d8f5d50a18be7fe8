"""`millrace examples`: what programs learn from and are measured with."""

from pathlib import Path
from typing import Annotated

import typer

from deployments.cli.programs import AsJson, Name, asked

examples = typer.Typer(no_args_is_help=True, help="Examples that programs learn from and are measured with.")

SHIPPED = {"support.sort": "modules/examples/support_messages.jsonl"}


@examples.command("import")
def import_(
    name: Name,
    file: Annotated[
        Path | None,
        typer.Argument(
            exists=True, dir_okay=False, help="JSONL, or CSV by its ending; none takes the shipped ones."
        ),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Store examples from a file; a line that cannot be used refuses all of them.

    - `millrace examples import support.sort` takes those that are shipped with it.
    - `millrace examples import support.sort tickets.csv`
    """
    from deployments.cli.console import say, say_json
    from runtime.errors import BadInput
    from runtime.home import PROJECT

    if file is None:
        if name not in SHIPPED:
            raise BadInput(f"No examples are shipped for {name}; name a file.", code="no_shipped_examples")
        file = PROJECT / SHIPPED[name]
    sent = {
        "format": "csv" if file.suffix.lower() == ".csv" else "jsonl",
        "content": file.read_text(encoding="utf-8-sig"),
    }
    done = asked(lambda api: api.post(f"/programs/{name}/examples", sent))
    if as_json:
        say_json(done)
        return
    splits = ", ".join(f"{count} {split}" for split, count in done["splits"].items())
    say(f"{done['added']} added, {done['known']} known: {splits}")


@examples.command()
def counts(name: Name, *, as_json: AsJson = False) -> None:
    """Count the examples by split, and tell which say almost the same in two of them."""
    from deployments.cli.console import say, say_json

    found = asked(lambda api: api.get(f"/programs/{name}/examples/counts"))
    if as_json:
        say_json(found)
        return
    say(", ".join(f"{found[split]} {split}" for split in ("train", "validation", "test")))
    for one in found["near_duplicates"]:
        say(
            f"{one['example_id']} ({one['split']}) is {one['similarity']:.0%} like"
            f" {one['like']} ({one['like_split']}) and is left out"
        )


@examples.command("list")
def list_examples(
    name: Name, split: Annotated[str | None, typer.Option(help="train, validation or test.")] = None
) -> None:
    """Print the newest examples, one JSON object a line."""
    from deployments.cli.console import say_json

    query = {"split": split} if split else {}
    for each in asked(lambda api: api.get(f"/programs/{name}/examples", limit=200, **query))["items"]:
        say_json(each)
