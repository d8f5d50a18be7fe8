"""`millrace approvals`, `approve` and `reject`: what runs ask, and the answers."""

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

if TYPE_CHECKING:
    from contracts.approvals import Approval


class Fate(StrEnum):
    """What became of a call that was cut off."""

    HAPPENED = "happened"
    REPEAT = "repeat"


Asked = Annotated[
    UUID, typer.Argument(metavar="ID", help="The approval's id; `millrace approvals` lists them.")
]
Comment = Annotated[str | None, typer.Option("--comment", "-m", help="Why; people and the run see it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def approvals(
    every: Annotated[bool, typer.Option("--all", help="Those that were decided, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what waits for a person's decision.

    Examples:
    - `millrace approvals`
    - `millrace approvals --all --json`
    """
    import asyncio

    from rich.table import Table

    from deployments.cli.client import Api, api_url
    from deployments.cli.console import out, say, say_json

    async def ask() -> list[dict[str, Any]]:
        async with Api(api_url()) as api:
            return await (api.approvals() if every else api.approvals(status="pending"))

    found = asyncio.run(ask())
    if as_json:
        say_json({"items": found})
        return
    if not found:
        say("Nothing waits for a decision.")
        return
    table = Table("approval", "status", "asked", "expires", "question", box=None, pad_edge=False)
    for each in found:
        times = [(each[name] or "")[:19].replace("T", " ") for name in ("created_at", "expires_at")]
        table.add_row(each["id"], each["status"], *times, each["title"])
    out().print(table)


def approve(
    approval: Asked,
    fate: Annotated[
        Fate | None,
        typer.Option("--call", help="For a call that was cut off: it `happened`, or `repeat` it."),
    ] = None,
    result: Annotated[str | None, typer.Option(help="With `--call happened`: what it gave, as JSON.")] = None,
    comment: Comment = None,
    as_json: AsJson = False,
) -> None:
    """Approve what a run asks, as it stands now; or say what became of a call that was cut off.

    Examples:
    - `millrace approve 0199f3c2-6a70-7cc4-9d3e-2b8f3c1d5e6f --comment "checked"`
    - `millrace approve 0199f3c2-6a70-7cc4-9d3e-2b8f3c1d5e6f --call happened --result '{"invoice": 7}'`
    - `millrace approve 0199f3c2-6a70-7cc4-9d3e-2b8f3c1d5e6f --call repeat`
    """
    from runtime.errors import BadInput

    try:
        given = None if result is None else json.loads(result)
    except ValueError:
        raise BadInput("The result is not JSON.", code="bad_result") from None
    _decide(approval, fate.value if fate else "approve", comment, given, as_json=as_json)


def reject(approval: Asked, comment: Comment = None, as_json: AsJson = False) -> None:
    """Reject what a run asks; of a call that was cut off: give it up.

    Examples:
    - `millrace reject 0199f3c2-6a70-7cc4-9d3e-2b8f3c1d5e6f --comment "too early"`
    """
    _decide(approval, "reject", comment, None, as_json=as_json)


def _decide(approval_id: UUID, decision: str, comment: str | None, result: Any, *, as_json: bool) -> None:
    import asyncio

    from contracts.approvals import Asking, Decision
    from deployments.cli.client import Api, api_url
    from deployments.cli.console import err, out, say, say_json

    async def answer() -> "Approval":
        async with Api(api_url()) as api:
            asked = await api.approval(approval_id)
            say(f"{asked.title}\n{json.dumps(asked.what, indent=2, ensure_ascii=False)}", err())
            given_up = decision == Decision.REJECT and asked.asking is Asking.TOOL_CALL
            return await api.decide(asked, Decision.GIVE_UP if given_up else decision, comment, result)

    decided = asyncio.run(answer())
    if as_json:
        say_json(decided.model_dump(mode="json"))
    else:
        say(f"{decided.status}; run {decided.run_id} goes on", out())
