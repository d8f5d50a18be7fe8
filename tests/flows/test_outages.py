"""A provider that is away: short absences are slept through, long ones are waited for, endless ones fail."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from contracts.runs import WaitKind
from database.engine import Database
from database.journal.calls import commit_call, reserve_call
from database.tables import RunRow, core
from flows.durable.event_log import EventLog
from flows.durable.outages import JITTER, wait_out
from flows.durable.parking import Parked
from flows.durable.run import Run
from flows.durable.versions import Versions
from llm.errors import ModelMisconfigured, ModelRateLimited, ModelUnavailable, StreamCut
from runtime.clock import utcnow
from runtime.errors import MillraceError, Unavailable
from tests.fixtures.made_runs import ANSWER, CALL, claimed

RUNS = core(RunRow)


@pytest.fixture
async def run(database: Database) -> AsyncIterator[Run]:
    claim = await claimed(database)
    running = Run(
        claim.id, 1, "local", "analysis", database, object(), EventLog(database), Versions(database)
    )
    yield running
    await running.events.close()


def away(retry_after: float | None = None) -> ModelUnavailable:
    told = {} if retry_after is None else {"retry_after": retry_after}
    return ModelUnavailable("deployment `a`: the model's server failed", detail={"deployment": "a", **told})


async def parked_for(run: Run, error: MillraceError, *, last_try: bool = True) -> float:
    """Return for how many seconds the run waits."""
    asked_at = utcnow()
    with pytest.raises(Parked) as signal:
        await wait_out(run, error, last_try=last_try)
    run.parked = None
    assert (signal.value.waiting.kind, signal.value.waiting.about) == (WaitKind.PROVIDER, "a")
    assert signal.value.waiting.reason == error.message
    return (signal.value.waiting.wake_at - asked_at).total_seconds()


async def stalled(run: Run, seconds: float) -> None:
    """Let the provider be away for so long already."""
    since = (
        sa.update(RUNS).where(RUNS.c.id == run.id).values(stalled_since=utcnow() - timedelta(seconds=seconds))
    )
    await run.database.write(lambda session: session.execute(since))


@pytest.mark.parametrize(
    "error",
    [
        ModelMisconfigured("the key was not accepted", code="model_auth"),
        StreamCut("the stream broke off"),
        Unavailable("a step's own trouble"),
        MillraceError("a bug"),
    ],
)
async def test_what_is_no_absence_fails_as_it_did(run: Run, error: MillraceError) -> None:
    assert await wait_out(run, error, last_try=True) is error
    assert run.parked is None


async def test_a_short_rest_is_slept_through_in_the_step(run: Run) -> None:
    error = away(retry_after=5)
    assert await wait_out(run, error, last_try=False) is error
    assert run.parked is None


async def test_a_long_rest_that_the_provider_asks_for_holds_no_worker(run: Run) -> None:
    error = ModelRateLimited("too often", detail={"deployment": "a", "retry_after": 60.0})
    assert 60 <= await parked_for(run, error, last_try=False) <= 60 * (1 + JITTER) + 5


async def test_after_the_steps_last_try_the_waits_grow_up_to_a_quarter_of_an_hour(run: Run) -> None:
    assert 30 <= await parked_for(run, away()) <= 30 * (1 + JITTER) + 5
    await stalled(run, 200)
    assert 200 <= await parked_for(run, away()) <= 200 * (1 + JITTER) + 10
    await stalled(run, 7200)
    assert 900 <= await parked_for(run, away()) <= 900 * (1 + JITTER) + 5


async def test_an_answer_in_between_begins_the_waits_anew(run: Run) -> None:
    await stalled(run, 7200)
    await run.database.write(reserve_call, run.id, 1, CALL)
    await run.database.write(commit_call, run.id, 1, CALL, ANSWER)
    assert await parked_for(run, away()) <= 30 * (1 + JITTER) + 5


async def test_a_provider_that_stays_away_fails_the_run_at_once_in_the_end(run: Run) -> None:
    await stalled(run, 86400)
    given_up = await wait_out(run, away(retry_after=30), last_try=False)
    assert (given_up.code, given_up.retryable) == ("model_unavailable", False)


async def test_where_a_person_sits_and_waits_patience_is_short(run: Run) -> None:
    run.pipeline = "chat_turn"
    await stalled(run, 100)
    assert not (await wait_out(run, away(), last_try=True)).retryable
