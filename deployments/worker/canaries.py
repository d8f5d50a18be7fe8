"""Canaries are looked at from time to time, and promoted or rolled back when their results say so."""

import asyncio

import structlog

from contracts.canaries import Decision, Look
from contracts.canary_judgement import judge
from database.engine import Database
from database.learning.canaries import Due, due_canaries, last_look, take_look
from database.learning.watching import answers_of, conclude, opinions_of
from runtime.clock import utcnow

log = structlog.get_logger()

# A canary of an hour is looked at every 72 s, one of a week every five minutes.
SHARE_OF_AGE = 1 / 50
LONGEST_SECONDS = 300.0


async def watch_canaries(database: Database, seconds: float) -> None:
    """Look at each canary whose turn it is; of several workers one looks.

    Args:
        database: where the results are.
        seconds: how long a young canary is left alone between two looks.
    """
    async with database.read() as session:
        several = await due_canaries(session)
    for due in several:
        age = (utcnow() - due.started_at).total_seconds()
        pause = max(seconds, min(age * SHARE_OF_AGE, LONGEST_SECONDS))
        if not await database.write(take_look, due, pause):
            continue
        look = await looked(database, due)
        done = await database.write(conclude, due, look) if look else None
        if done and done.decision is not Decision.WAIT:
            log.info("a canary has ended", program=due.program, decision=done.decision, why=done.why)


async def looked(database: Database, due: Due) -> Look | None:
    """Return what the results of a canary say now; none when it is what the last look said."""
    async with database.read() as session:
        answers, opinions = await answers_of(session, due), await opinions_of(session, due)
        last = await last_look(session, due.id)
    # Arithmetic for seconds, when there are thousands of results.
    look = await asyncio.to_thread(judge, due.policy, answers, opinions, utcnow() - due.started_at)
    known = last and last.model_copy(update={"number": 0, "at": None})
    return None if look == known else look
