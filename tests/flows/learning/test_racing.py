"""Racers: told apart, whatever they are, and what each scored is told once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

from contracts.optimization import Bootstrap, Gepa
from contracts.runs import EventKind
from database.engine import Database
from database.journal.calls import commit_call, reserve_call
from database.queue.events import events_of_kind
from database.queue.leases import claim_runs
from database.queue.reaper import reap_workers
from flows.durable.event_log import EventLog
from flows.durable.run import Run, enter_run
from flows.durable.versions import Versions
from flows.learning.caps import Caps
from flows.learning.proving import left_of
from flows.learning.racing import BASE, racers, tell_score
from flows.learning.teaching import Taught
from llm.door import Door
from runtime.errors import MillraceError
from tests.fixtures.made_runs import ANSWER, CALL, accepted

RACE = racers([Bootstrap(), Gepa(), Bootstrap(labeled=2), Bootstrap(labeled=4)])


def test_racers_of_one_name_are_told_apart_by_place_and_name():
    assert [one.name for one in RACE] == ["bootstrap", "gepa", "bootstrap (2)", "bootstrap (3)"]
    assert [one.place for one in RACE] == [1, 2, 3, 4]
    assert RACE[2].told() == {"place": 3, "racer": "bootstrap (2)", "optimizer": "bootstrap"}


async def test_an_attempt_tells_only_the_scores_that_the_one_before_did_not(database: Database):
    await accepted(database)
    async with attempt(database):
        await tell_score(BASE, 0.25, 20, 0, Decimal(0))
        await tell_score(RACE[0], 0.5, 20, 8, Decimal("0.001"))
    await database.write(reap_workers, ["w"])
    async with attempt(database) as again:
        assert again.attempt == 2
        await tell_score(BASE, 0.25, 20, 0, Decimal(0))
        await tell_score(RACE[0], 0.5, 20, 8, Decimal("0.001"))
        # As good, and another one of that name.
        await tell_score(RACE[2], 0.5, 20, 8, Decimal("0.001"))
    assert await told(again) == [(0, "as it was", 0.25), (1, "bootstrap", 0.5), (3, "bootstrap (2)", 0.5)]


async def test_a_score_that_came_out_otherwise_is_told_again(database: Database):
    """The code of a metric has changed between the attempts."""
    await accepted(database)
    async with attempt(database):
        await tell_score(RACE[1], 0.5, 20, 8, Decimal(0))
    await database.write(reap_workers, ["w"])
    async with attempt(database) as again:
        await tell_score(RACE[1], 0.75, 20, 8, Decimal(0))
    assert await told(again) == [(2, "gepa", 0.5), (2, "gepa", 0.75)]


async def test_what_a_cap_kept_from_being_measured_has_no_score(database: Database):
    await accepted(database)
    async with attempt(database) as run:
        await tell_score(BASE, None, 20, 0, Decimal(0))
    assert await told(run) == []


async def test_what_a_failed_racer_took_is_counted_and_what_was_measured_before_a_kill_is_not(
    database: Database,
):
    """It is replayed, and counts then: counted twice, a run that goes on would stop before its cap."""
    await accepted(database)
    async with attempt(database) as run:
        for number, step in enumerate(("improve[2.gepa]", "improve[2.gepa]", "answer[base.1]")):
            call = replace(CALL, step=step, fingerprint=str(number) * 64)
            await database.write(reserve_call, run.id, run.attempt, call)
            await database.write(commit_call, run.id, run.attempt, call, ANSWER, [])
        failed = MillraceError("It failed.", "model_down")
        taught = Taught(state=None, calls=7, usd=Decimal("0.5"), stopped=None)
        left = await left_of(RACE[:2], Caps(usd=Decimal(1), calls=20), [taught, failed])
    assert (left.calls, left.made) == (20, 9)
    assert (left.usd, left.spent) == (Decimal(1), Decimal("0.5") + 2 * ANSWER.cost_usd)


@asynccontextmanager
async def attempt(database: Database) -> AsyncIterator[Run]:
    """Claim the waiting run, and write all that it tells."""
    (claim,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=600)
    log, door = EventLog(database), Door.open()
    run = Run(claim.id, claim.attempt, "local", "optimize", database, door, log, Versions(database))
    enter_run(run)
    yield run
    await log.close()
    await door.close()


async def told(run: Run) -> list[tuple[int, str, float]]:
    """Return place, name and score of what was told."""
    found = [one.data for one in await run.read(events_of_kind, run.id, EventKind.SCORE)]
    return [(one["place"], one["racer"], one["score"]) for one in found]
