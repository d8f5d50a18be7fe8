"""`millrace api`, `millrace worker`, `millrace migrate`: one process each, as `millrace up` starts them."""

from enum import StrEnum
from typing import Annotated

import typer

from deployments.cli.console import say, say_json


class PoolName(StrEnum):
    """The two pools (a test compares them with contracts.pipelines.Pool)."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


def api(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on (API_HOST).", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen on (API_PORT); 0 takes a free one.", show_default="8400"),
    ] = None,
) -> None:
    """Serve the HTTP API. It needs the results database; Prefect and workers may come later.

    Example: `API_PORT=9000 millrace api`
    """
    import os
    from importlib import import_module

    if host is not None:
        os.environ["API_HOST"] = host
    if port is not None:
        os.environ["API_PORT"] = str(port)
    # By name: the API and its starter are siblings, neither knows the other's code.
    import_module("api.serve").serve()


def worker(
    pool: Annotated[PoolName, typer.Option(help="Whose runs: `interactive` (a person waits) or `batch`.")],
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Runs at once (WORKER_CONCURRENCY).", show_default="100"),
    ] = None,
) -> None:
    """Run a warm worker: many runs at once in one process that has everything imported.

    SIGTERM or Ctrl-C lets runs finish for a while; what does not goes back to the queue.

    Example: `millrace worker --pool batch --limit 8`
    """
    from deployments.worker.__main__ import run_worker

    run_worker(pool.value, limit)


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 when it is not the newest.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Bring the results database (DATABASE_URL) to the newest schema. Doing it again changes nothing.

    Example: `DATABASE_URL=mysql+aiomysql://me:secret@db/millrace millrace migrate`
    """
    from database import migrate as migrations
    from database.settings import DatabaseSettings
    from runtime.log import configure_logging

    configure_logging("migrate")
    url = DatabaseSettings().database_url.get_secret_value()
    if check:
        differences = migrations.check(url)
        if as_json:
            say_json(
                {"current": not differences, "revision": migrations.current(url), "differences": differences}
            )
        else:
            say("\n".join(differences) or "The results database has the newest schema.")
        raise typer.Exit(1 if differences else 0)
    done = migrations.upgrade(url)
    if as_json:
        say_json({"before": done.before, "after": done.after})
    elif done.before == done.after:
        say(f"The results database has the newest schema already ({done.after}).")
    else:
        say(f"The results database went from {done.before or 'empty'} to {done.after}.")
