"""`millrace resume`: let a waiting run go on."""

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

if TYPE_CHECKING:
    from contracts.runs import Run


def resume(
    run: Annotated[UUID, typer.Argument(help="The id of a run that waits.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, the run.")] = False,
) -> None:
    """Let a waiting run look again; it waits on when what it waits for has not come.

    Examples:
    - `millrace resume 0199f3c2-6a70-7cc4-9d3e-2b8f3c1d5e6f`
    """
    import asyncio

    from deployments.cli.client import Api, api_url
    from deployments.cli.console import out, say, say_json

    async def ask() -> "Run":
        async with Api(api_url()) as api:
            return await api.resume(run)

    resumed = asyncio.run(ask())
    if as_json:
        say_json(resumed.model_dump(mode="json"))
    else:
        say(f"run {resumed.id} {resumed.status}", out())
