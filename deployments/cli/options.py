"""How a run is to be run, from the command line's words."""

from datetime import datetime, timedelta
from typing import Any

from runtime.clock import utcnow
from runtime.errors import BadInput


def run_options(
    *,
    concurrency_key: str | None,
    on_busy: str | None,
    priority: int | None,
    start_at: str | None,
    deadline: str | None,
    budget_usd: str | None,
    agent_id: str | None,
    webhook_url: str | None,
) -> dict[str, Any]:
    """Return `RunOptions` as JSON; what was not given is left out.

    Raises:
        BadInput: `bad_time`.
    """
    given = {
        "concurrency_key": concurrency_key,
        "on_busy": on_busy,
        "priority": priority,
        "start_at": start_at and moment(start_at),
        "deadline_at": deadline and moment(deadline),
        "budget_usd": budget_usd,
        "agent_id": agent_id,
        "webhook_url": webhook_url,
    }
    return {name: value for name, value in given.items() if value is not None}


def moment(text: str) -> str:
    """Return a time in ISO 8601: of such a time (local unless it has a zone), or of seconds from now.

    Raises:
        BadInput: `bad_time`.
    """
    try:
        return (utcnow() + timedelta(seconds=float(text))).isoformat()
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError):
        raise BadInput(
            f"{text!r} is no time: give seconds from now (90) or a time (2026-01-05T09:30).", code="bad_time"
        ) from None
