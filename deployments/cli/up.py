"""`millrace up`: the whole local stack until Ctrl-C."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from deployments.stack.plan import Plan
    from deployments.stack.report import Report


def up(
    free_ports: Annotated[
        bool, typer.Option("--free-ports", help="Take any free ports instead of the usual ones.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every log line.")] = False,
) -> None:
    """Start everything on this machine: Prefect's server, the database's schema, the API and two workers.

    It waits until all of it is ready, prints the addresses, and ends all of it on Ctrl-C. A process that dies
    is started again. State and logs live in one folder (`MILLRACE_HOME`, by default `~/.millrace`) and
    survive a restart.

    Other servers take part by setting: `DATABASE_URL=mysql+aiomysql://…` for MariaDB, `PREFECT_API_URL=…`
    for a Prefect server that runs elsewhere.

    Examples:
    - `millrace up`
    - `API_PORT=9000 millrace up --verbose`
    - `DATABASE_URL=mysql+aiomysql://me:secret@db/millrace millrace up`
    """
    import asyncio

    from deployments.cli.console import err, say
    from deployments.stack.report import report_to

    report = report_to(err())
    try:
        asyncio.run(_until_ended(report, free_ports=free_ports, verbose=verbose))
    except asyncio.CancelledError:
        say("Stopped.", err())
    finally:
        report.settle()


async def _until_ended(report: "Report", *, free_ports: bool, verbose: bool) -> None:
    import asyncio

    from deployments.cli.console import say
    from deployments.stack.plan import make_plan
    from deployments.stack.signals import end_on_signals
    from deployments.stack.up import stack_up

    end_on_signals()
    plan = await make_plan(free_ports=free_ports)
    async with stack_up(plan, report, verbose=verbose):
        report.settle()
        for line in addresses(plan):
            say(line)
        await asyncio.Event().wait()


def addresses(plan: "Plan") -> list[str]:
    """Return where everything is, in lines for people."""
    return [
        "",
        "Millrace is up.",
        f"  API          {plan.api_url}  (documentation: {plan.api_url}/docs)",
        f"  Prefect      {plan.prefect_ui_url}",
        f"  state, logs  {plan.folder}",
        "",
        'Try: millrace run chat_turn --param message="What can you do?" --follow',
        f"Prefect's own commands: export PREFECT_API_URL={plan.prefect_api_url}",
        "Ctrl-C ends all of it.",
    ]
