"""`python -m tests.chaos.unfenced_worker --pool interactive`: a worker whose fence was taken away.

A mutation for the chaos driver, which must notice. Each seam that is replaced must exist, so that a change
of the fence does not turn the mutation into a worker that is well.
"""

from typing import Any

import sqlalchemy as sa


def take_the_fence_away() -> None:
    """Let every write of an attempt through, whoever has the run by now, and never stop such an attempt."""
    import database.journal.ledger
    import database.queue.events
    import database.queue.leases

    replaced = (
        (database.queue.leases, "hold_run", _held_anyway),
        (database.queue.leases, "_change", _changed_anyway),
        (database.queue.events, "_holds", lambda *_: True),
        (database.journal.ledger, "_fence", _any_attempt),
        (database.journal.ledger, "_leased", sa.true),
        (database.journal.ledger, "_tried_by", _tried_by_any),
    )
    for module, name, instead in replaced:
        getattr(module, name)
        setattr(module, name, instead)


def let_lost_attempts_live() -> None:
    """Leave an attempt alone that lost its lease."""
    from deployments.worker.executions import Executions

    stop = Executions.stop

    def unless_fenced(self: Executions, run_id: Any, reason: Any) -> None:
        if reason != "fenced":
            stop(self, run_id, reason)

    Executions.stop = unless_fenced  # type: ignore[method-assign]


def _any_attempt(run_id: Any, attempt: Any) -> Any:
    from database.journal.ledger import RUNS

    # Named all the same: a parameter that no statement has is an error.
    return sa.and_(RUNS.c.id == run_id, attempt.is_not(None))


def _tried_by_any(_calls: Any, attempt: Any) -> Any:
    return attempt.is_not(None)


async def _held_anyway(_session: Any, _run_id: Any, _attempt: int) -> None:
    return


async def _changed_anyway(session: Any, run_id: Any, _held: int, /, **values: Any) -> None:
    from database.queue.leases import _RUNS

    await session.execute(sa.update(_RUNS).where(_RUNS.c.id == run_id).values(**values))


if __name__ == "__main__":
    from deployments.prefect_environment import apply_prefect_environment
    from deployments.worker.__main__ import main

    apply_prefect_environment()
    take_the_fence_away()
    let_lost_attempts_live()
    main()
