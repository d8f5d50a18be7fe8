"""`millrace budgets` and `millrace budget`: what may be spent, and on what."""

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

if TYPE_CHECKING:
    from contracts.budgets import Budget

MOST_SHOWN = 200
budget = typer.Typer(help="Set and remove caps on what is spent.", no_args_is_help=True)


def budgets(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show every budget: cap, spent, reserved for calls under way, and left."""
    import asyncio

    from deployments.cli.client import Api, api_url
    from deployments.cli.console import say_json

    async def ask() -> "list[Budget]":
        async with Api(api_url()) as api:
            return await api.budgets(limit=MOST_SHOWN)

    found = asyncio.run(ask())
    if as_json:
        say_json({"items": [each.model_dump(mode="json") for each in found]})
    else:
        _show(found)


@budget.command("set")
def set_(
    scope: Annotated[str, typer.Argument(help="`run`, `chat`, `agent`, `project` or `owner` (you).")],
    words: Annotated[list[str], typer.Argument(metavar="[SUBJECT] CAP", help="An id, and US dollars.")],
    period: Annotated[str, typer.Option(help="`none`, `day`, `week` or `month` (UTC).")] = "none",
) -> None:
    """Cap what is spent on something, or change its cap; runs that wait for money go on.

    Examples:
    - `millrace budget set owner 5 --period day`
    - `millrace budget set run 0199f3c2-6a70-7cc4-9d3e-2b8f3c1d5e6f 0.50`
    """
    import asyncio

    from deployments.cli.client import Api, api_url

    body = _body(scope, words, period)

    async def ask() -> "Budget":
        async with Api(api_url()) as api:
            return await api.set_budget(body)

    _show([asyncio.run(ask())])


@budget.command("remove")
def remove(
    budget_id: Annotated[UUID, typer.Argument(metavar="ID", help="As `millrace budgets` shows it.")],
) -> None:
    """Take a cap away; runs that wait for its money go on."""
    import asyncio

    from deployments.cli.client import Api, api_url

    async def ask() -> None:
        async with Api(api_url()) as api:
            await api.remove_budget(budget_id)

    asyncio.run(ask())


def _body(scope: str, words: list[str], period: str) -> dict[str, Any]:
    from runtime.errors import BadInput

    subject, cap = (words[0], words[1]) if len(words) == 2 else (None, words[-1])  # noqa: PLR2004  an id, a cap
    try:
        usd = Decimal(cap)
    except InvalidOperation:
        usd = Decimal(-1)
    if len(words) > 2 or not usd.is_finite() or usd < 0:  # noqa: PLR2004  as above
        raise BadInput("Give a cap in US dollars, after the id for every scope but `owner`.", code="bad_cap")
    return {"scope": scope, "subject": subject, "period": period, "cap_usd": str(usd)}


def _show(found: "list[Budget]") -> None:
    from rich.table import Table

    from deployments.cli.console import out

    heads = ("budget", "scope", "subject", "period", "cap USD", "spent", "reserved", "left", "resets")
    table = Table(*heads, box=None, pad_edge=False)
    for each in found:
        resets = "" if each.resets_at is None else f"{each.resets_at:%Y-%m-%d %H:%M}"
        sums = (each.cap_usd, each.spent_usd, each.reserved_usd, each.left_usd)
        subject = "you" if each.subject is None else str(each.subject)
        table.add_row(
            *(str(each.id), each.scope, subject, each.period), *(format(usd, "f") for usd in sums), resets
        )
    out().print(table)
