"""`millrace cache`: what kept answers saved, and which of them were wrong."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from contracts.cache import CacheStatistics


def cache(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show what the cache holds of your answers, and what it did for each role in the last 30 days.

    `shadow` is what the semantic cache would have answered; `millrace run cache_review` lets the judge look
    at it.
    """
    import asyncio

    from contracts.cache import CacheStatistics
    from deployments.cli.client import Api, api_url
    from deployments.cli.console import say_json

    async def ask() -> "CacheStatistics":
        async with Api(api_url()) as api:
            return CacheStatistics.model_validate(await api.get("/cache"))

    found = asyncio.run(ask())
    if as_json:
        say_json(found.model_dump(mode="json"))
    else:
        _show(found)


def _show(found: "CacheStatistics") -> None:
    from rich.table import Table

    from deployments.cli.console import out, say

    say(
        f"{found.entries} answers, {found.questions} of them for other questions too,"
        f" {found.bytes / 1024 / 1024:.1f} MB; {found.evicted} removed for want of room (everybody's)"
    )
    table = Table(
        *("role", "exact", "semantic", "asked", "hit rate", "saved USD", "saved s"),
        *("shadow", "guarded", "judged", "disagreed", "wrong"),
        box=None,
        pad_edge=False,
    )
    for one in found.roles:
        rate = "" if one.hit_rate is None else f"{one.hit_rate:.0%}"
        disagreed = (
            f"{one.disagreed}" if one.disagreement is None else f"{one.disagreed} ({one.disagreement:.0%})"
        )
        table.add_row(
            *(one.role, str(one.exact), str(one.semantic), str(one.misses), rate),
            *(f"{one.saved_usd:f}", f"{one.saved_seconds:.1f}"),
            *(
                str(one.shadow),
                str(one.guarded),
                f"{one.reviewed} (+{one.pending})",
                disagreed,
                str(one.wrong),
            ),
        )
    out().print(table)
