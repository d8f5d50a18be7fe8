"""What every end of a run sets off, whoever ended it: a worker, a person, the reaper or the clock."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.runs import RunError, RunStatus
from database.clock import now
from database.engine import WriteSession
from database.queue.family import cancel_children, wake_parents
from database.queue.slots import free_keys
from database.queue.webhooks import queue_webhooks
from database.queue.withdrawals import withdraw
from database.spending.reservations import give_back_all
from database.tables import RunRow, core
from runtime.clock import utcnow

_RUNS = core(RunRow)
# What every change does that ends a wait.
NOT_WAITING: dict[str, Any] = {"waiting": None, "waits_on": None, "wake_at": None}

Follower = Callable[[WriteSession, Sequence[UUID]], Awaitable[None]]

# In this order. Each gets the ids of runs whose rows already say how they ended, and writes in the same
# transaction. A run can end more than once: it may be retried by hand.
FOLLOWERS: tuple[Follower, ...] = (
    free_keys,
    give_back_all,
    withdraw,
    wake_parents,
    cancel_children,
    queue_webhooks,
)


async def see_off(session: WriteSession, run_ids: Sequence[UUID]) -> None:
    """Do what follows when runs have ended, in the transaction that ends them.

    `events.insert_states` calls it for each terminal state, so no end can go past it.
    """
    for follow in FOLLOWERS:
        await follow(session, run_ids)


def ended(status: RunStatus, error: RunError | None = None) -> dict[str, Any]:
    """Return the columns of a run's end; `events.append_state` must follow.

    Prefect has not heard of it yet: the worker that tells it by itself takes `untold_at` back.
    """
    return {
        "status": status,
        "error": None if error is None else error.model_dump(mode="json"),
        "untold_at": sa.case((_RUNS.c.flow_run_id.is_not(None), now())),
        "finished_at": utcnow(),
        "lease_owner": None,
        "lease_until": None,
        "available_at": None,
        "key_place": None,
        "last_seq": _RUNS.c.last_seq + 1,
        **NOT_WAITING,
    }
