"""Flags that several commands have which start a run."""

from typing import Annotated

import typer

IdempotencyKey = Annotated[
    str | None,
    typer.Option("--idempotency-key", help="The same key and parameters start the run once only."),
]
BudgetUsd = Annotated[
    str | None,
    typer.Option(
        "--budget", metavar="USD", help="What it may spend, in US dollars; then it waits for a raise."
    ),
]
AgentId = Annotated[
    str | None,
    typer.Option(
        "--agent", metavar="ID", help="The agent that answers a turn of a chat; its budgets count the run."
    ),
]
ConcurrencyKey = Annotated[
    str | None, typer.Option(help="Of all runs with this key one is under way at a time.")
]
OnBusy = Annotated[
    str | None, typer.Option(help="When the key is taken: `enqueue` (wait), `reject` or `interrupt`.")
]
Priority = Annotated[int | None, typer.Option(min=1, max=9, help="1 is taken first; 5 is usual.")]
StartAt = Annotated[
    str | None, typer.Option(metavar="TIME", help="Not before: 2026-01-05T09:30, or seconds from now.")
]
Deadline = Annotated[
    str | None, typer.Option(metavar="TIME", help="Fail unless it has ended by then; as --start-at.")
]
WebhookUrl = Annotated[
    str | None,
    typer.Option("--webhook", metavar="URL", help="Is told by a signed POST when the run has ended."),
]
