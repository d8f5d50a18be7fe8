"""`millrace demo`: the main job once, through the real doors, and what it cost."""

from pathlib import Path
from typing import Annotated, Any

import typer

QUESTION = "Which decisions are enforced, and by which tests?"


def demo(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILES", help="Documents to analyse; by default this project's own."),
    ] = None,
    question: Annotated[str, typer.Option(help="What the analysis should answer.")] = QUESTION,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
) -> None:
    """Do everything once: two chat turns as they are written, one analysis of documents, and the bill.

    It uses the stack that `millrace up` runs, or starts one of its own on any free ports, with its state in a
    temporary folder, and ends it again. Its own keeps to that folder: it ignores `DATABASE_URL` and
    `PREFECT_API_URL`. Without a configured provider the `offline` model answers: in
    process, for free, and a good deal simpler than a real one.

    Examples:
    - `millrace demo`
    - `millrace demo offer.pdf terms.md --question "What does it cost us?"`
    - `millrace demo --json`
    """
    import asyncio
    import time

    from deployments.cli.any_stack import some_stack
    from deployments.cli.console import err, out, say, say_json
    from deployments.cli.showing import show_everything
    from deployments.stack.signals import end_on_signals
    from runtime.errors import BadInput

    documents = files or own_documents()
    if missing := [str(path) for path in documents if not path.is_file()]:
        raise BadInput(f"There is no file {', '.join(missing)}.", code="no_such_file")
    # With --json stdout is for the program that reads it, so that a person still sees something.
    people = err() if as_json else out()

    async def show() -> dict[str, Any]:
        end_on_signals()
        began = time.monotonic()
        async with some_stack(err()) as urls:
            ready = round(time.monotonic() - began, 1)
            return {"ready_seconds": ready, **await show_everything(urls, documents, question, people)}

    try:
        shown = asyncio.run(show())
    except asyncio.CancelledError:
        say("Stopped.", err())
        raise typer.Exit(1) from None
    if as_json:
        say_json(shown)


def own_documents() -> list[Path]:
    """Return this project's README and documentation."""
    from runtime.home import PROJECT

    documents = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
    return [document for document in documents if document.is_file()]
