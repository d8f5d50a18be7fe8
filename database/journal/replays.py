"""How an attempt fits to what earlier ones recorded, read from the ledger.

Each row of it knows the attempt that first asked for it and the last one that did. A call is found by its
meaning alone, so a step that asks for something else gets no old answer: its new call stands beside a
finished one that nobody asked for any more.
"""

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

import sqlalchemy as sa

from contracts.replays import Replay
from contracts.runs import CallStatus
from database.engine import ReadSession
from database.journal.ledger import CALLS
from database.statements import AnyRow

Place = tuple[str, int, str]

MOST_STEPS = 20
FITTING = ("step", "status", "attempt", "first_attempt", "asked_attempt")


async def recorded_places(session: ReadSession, run_id: UUID) -> list[Place]:
    """Return step, number and fingerprint of every call that a run's attempts so far have asked for."""
    query = sa.select(CALLS.c.step, CALLS.c.n, CALLS.c.fingerprint).where(CALLS.c.run_id == run_id)
    return [(row.step, row.n, row.fingerprint) for row in await session.execute(query.order_by(CALLS.c.id))]


async def replay_of(session: ReadSession, run_id: UUID, attempt: int, *, to_the_end: bool) -> Replay:
    """Return how an attempt fits to those before it.

    Args:
        session: to read with.
        run_id: the run, which its caller may see.
        attempt: the last one.
        to_the_end: it succeeded. Of one that did not, calls may be missing that it had no time to ask for;
            they count only where new ones took their place.
    """
    query = sa.select(*(CALLS.c[name] for name in FITTING)).where(CALLS.c.run_id == run_id)
    return fit((await session.execute(query)).all(), attempt, to_the_end=to_the_end)


def fit(rows: Iterable[AnyRow], attempt: int, *, to_the_end: bool) -> Replay:
    """Return the same of rows with the columns `FITTING`."""
    replayed = 0
    made: dict[str, list[int]] = defaultdict(list)
    unasked: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        name = step_name(row.step)
        made[name].append(row.first_attempt)
        if row.status != CallStatus.SUCCEEDED:
            continue
        if row.asked_attempt < attempt:
            unasked[name].append(row.asked_attempt)
        elif row.attempt < attempt:
            replayed += 1
    changed, left = {}, {}
    for name, last_asked in unasked.items():
        newer = sum(first > min(last_asked) for first in made[name])
        changed[name] = min(newer, len(last_asked))
        left[name] = len(last_asked) if to_the_end else changed[name]
    return Replay(
        replayed=replayed,
        changed=sum(changed.values()),
        left_behind=sum(left.values()),
        steps=sorted(name for name, count in left.items() if count)[:MOST_STEPS],
    )


def step_name(step: str) -> str:
    """Return a step without its number: which use of it is which may differ from attempt to attempt."""
    name, mark, number = step.rpartition("#")
    return name if mark and number.isdecimal() else step
