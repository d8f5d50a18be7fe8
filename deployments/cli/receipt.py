"""`millrace receipt`: what became of a run and what it cost."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

if TYPE_CHECKING:
    from contracts.approvals import ApprovalSummary
    from contracts.receipts import Attempt, Receipt


def receipt(
    run: Annotated[UUID, typer.Argument(help="A run's id.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show a run's attempts, what it paid, what replays saved, and what may have been lost in flight.

    Examples:
    - `millrace receipt 0199f3c2-6a70-7cc4-9d3e-2b8f3c1d5e6f`
    - `millrace receipt 0199f3c2-6a70-7cc4-9d3e-2b8f3c1d5e6f --json`
    """
    import asyncio

    from deployments.cli.client import Api, api_url
    from deployments.cli.console import say_json

    async def ask() -> "Receipt":
        async with Api(api_url()) as api:
            return await api.receipt(run)

    found = asyncio.run(ask())
    if as_json:
        say_json(found.model_dump(mode="json"))
    else:
        _show(found)


def _show(found: "Receipt") -> None:
    from rich.table import Table

    from deployments.cli.console import out, say

    say(f"Receipt of run {found.run_id} ({found.pipeline}): {found.status}")
    attempts = Table("attempt", "worker", "taken at (UTC)", "seconds", "ended", box=None, pad_edge=False)
    for each in found.attempts:
        attempts.add_row(str(each.number), each.worker or "", *_times(each), _ending(each))
    out().print(attempts)
    sums = Table("", "", box=None, pad_edge=False, show_header=False)
    for name, value in lines(found):
        sums.add_row(name, value)
    out().print(sums)
    for approval in found.approvals:
        say(_decided(approval))


def lines(found: "Receipt") -> Iterator[tuple[str, str]]:
    """Yield the sums of a receipt, each with its name; what did not happen is left out."""
    calls, money = found.calls, found.money
    yield "calls answered", f"{calls.answered} ({calls.sent} sent)"
    yield "money spent", _usd(money.spent_usd)
    if money.unpriced:
        yield "answers of unknown cost", f"{money.unpriced}, not in these sums"
    if found.children:
        yield "runs that it started", f"{len(found.children)}, which have cost {_usd(money.children_usd)}"
    if calls.replayed:
        yield "replayed from the ledger", f"{calls.replayed} calls"
        yield "saved by replay", f"{_usd(money.saved_usd)}, {found.seconds_saved:.1f} s"
    if calls.copied:
        yield "of them copied from the forked run", f"{calls.copied} answers"
    if calls.lost:
        at_most = money.lost_at_most_usd
        most = "nobody knows their cost" if at_most is None else f"at most {_usd(at_most)} more"
        yield "lost in flight", f"{calls.lost} calls, {most}"
    if calls.in_flight:
        yield "under way now", f"{calls.in_flight} calls"
    if money.reserved_usd:
        yield "set aside under budgets", _usd(money.reserved_usd)
    if calls.failed:
        yield "ended without an answer", f"{calls.failed} calls"
    if calls.changed or calls.left_behind:
        steps = ", ".join(found.changed_steps)
        yield (
            "changed between attempts",
            f"{calls.changed} made anew, {calls.left_behind} left behind: {steps}",
        )


def _times(attempt: "Attempt") -> tuple[str, str]:
    taken = f"{attempt.claimed_at:%Y-%m-%d %H:%M:%S}"
    return taken, "" if attempt.ended_at is None else f"{_seconds(attempt.claimed_at, attempt.ended_at):.1f}"


def _seconds(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds()


def _ending(attempt: "Attempt") -> str:
    if attempt.ended is None:
        return "under way"
    words = attempt.ended.value.replace("_", " ")
    return f"{words}: {attempt.waited_for}" if attempt.waited_for else words


def _decided(approval: "ApprovalSummary") -> str:
    by = "" if approval.decided_by is None else f" by {approval.decided_by}"
    at = "" if approval.decided_at is None else f" at {approval.decided_at:%Y-%m-%d %H:%M:%S}"
    comment = f" ({approval.comment})" if approval.comment else ""
    return f"{approval.title}: {approval.status.value.replace('_', ' ')}{by}{at}{comment}"


def _usd(amount: Decimal) -> str:
    return f"{amount:f} USD"
