"""A program goes to another model: the run waits for its optimization, and pays nothing twice after it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from contracts.evaluation import EvaluationParams
from contracts.examples import NewExample, Split
from contracts.optimization import Labeled, OptimizeParams
from contracts.programs import VersionOrigin
from contracts.recompile import LaneName, RecompileParams
from contracts.runs import RunStatus
from database.engine import Database
from database.journal.calls import list_calls
from database.learning.evaluations import compared_lately, results_of
from database.learning.examples import import_examples
from database.learning.programs import NewVersion, add_version, get_version, version_by_id
from database.learning.recommendations import recommendations_of
from database.queue.leases import claim_runs
from database.queue.parking import park_run
from database.queue.runs import get_run, list_runs
from flows.durable.parking import Parked
from flows.durable.run import Run, enter_run
from flows.evaluation import evaluation
from flows.optimize import optimize
from flows.recompile import recompile
from llm.quiet_litellm import NOISE
from runtime.clock import utcnow
from runtime.errors import BadInput
from tests.fixtures.made_runs import accepted
from tests.fixtures.model_server import ModelServer
from tests.fixtures.pipelines_in_process import engine_of, running
from tests.fixtures.prefect_server import PrefectServer
from tests.fixtures.shipped_examples import NAME, shipped

pytestmark = [
    # Prefect closes the sockets of its event client late, in a thread of its own.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.timeout(300),
    *(pytest.mark.filterwarnings(f"ignore:{message}") for message in NOISE),
]
PROVIDERS = """
providers:
  new:
    kind: openai_compatible
    model: new
    base_url: "%s"
    max_tokens: 300
    cost: {input_per_million: 1, output_per_million: 2}
routing: {default: [offline]}
policies: {timeout_seconds: 60, allowed_fails: 1000}
"""
PARAMS = RecompileParams(program=NAME, deployment="new", optimizers=[Labeled(demos=12)])


@pytest.fixture
async def run(database: Database, tmp_path: Path) -> AsyncIterator[Run]:
    """A claimed run where the offline model answers, and the same one is for sale over HTTP."""
    server = ModelServer().start()
    async with running(database, tmp_path, PROVIDERS % server.url) as found:
        examples = [
            NewExample(inputs=one.inputs, expected=one.expected)
            for split in Split
            for one in shipped(split, 60)
        ]
        await database.write(import_examples, "local", NAME, examples)
        yield found
    server.stop()


async def test_a_cap_that_the_old_model_alone_would_pass_is_refused_before_any_call(
    run: Run, prefect_server: PrefectServer
) -> None:
    """Today's model is dear and the new one free: the lane of the old one is what the cap is about."""
    with engine_of(prefect_server):
        known = await evaluation(EvaluationParams(program=NAME, deployment="new", most=2))
        active = await run.read(get_version, "local", NAME, known.scores[0].version)
        dear = NewVersion(active.state, active.signature, VersionOrigin.IMPORT, deployment="new")
        version, _ = await run.database.write(add_version, "local", NAME, dear)
        change = {"version": version.version, "deployment": "offline", "cap_usd": Decimal("0.0001")}
        asked = PARAMS.model_copy(update=change)
        await accepted(run.database)
        refused = await next_run(run)
        with pytest.raises(BadInput) as caught:
            await recompile(asked)
        assert caught.value.code == "budget_below_estimate"
        assert (await run.read(list_calls, "local", refused.id, limit=200)).items == []
        # One that is gone is asked nothing, so nothing stands against the same cap.
        await accepted(run.database)
        await next_run(run)
        with pytest.raises(Parked):
            await recompile(asked.model_copy(update={"gone": True}))


async def next_run(before: Run) -> Run:
    """Claim whatever waits, as another worker would."""
    (claim,) = await before.database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=600)
    # One log for all of them, which is closed with the first.
    run = Run(
        *(claim.id, claim.attempt, claim.owner, claim.pipeline, before.database, before.door, before.events),
        before.versions,
    )
    enter_run(run)
    return run


async def test_both_models_stand_on_the_frontier_and_the_gate_takes_the_proof_up(
    run: Run, prefect_server: PrefectServer
) -> None:
    with engine_of(prefect_server):
        with pytest.raises(Parked) as parked:
            await recompile(PARAMS)
        await run.events.drain(run.id)
        await run.database.write(park_run, run.id, 1, parked.value.waiting)
        child = await next_run(run)
        asked = (await run.read(get_run, "local", child.id)).params
        await optimize(OptimizeParams.model_validate(asked))
        again = await next_run(child)
        assert (again.id, again.attempt) == (run.id, 2)
        result = await recompile(PARAMS)
    old, moved, new = result.points
    assert [one.lane for one in result.points] == list(LaneName)
    assert [one.deployment for one in result.points] == ["", "new", "new"]
    # The same model for money: as good there, and better with demos.
    assert old.quality == moved.quality
    assert old.cost_usd == 0 < (moved.cost_usd or 0) < (new.cost_usd or 0)
    assert [one.optimal for one in result.points] == [True, False, True]
    assert new.against_old is not None
    assert new.against_old.difference.value > 0.1
    calls = (await run.read(list_calls, "local", run.id, limit=200)).items
    # Only the old lane is this run's own; the second attempt is answered by the ledger.
    assert {call.deployment for call in calls} == {"offline"}
    assert len(calls) == len(result.cases)
    assert all((call.tries, call.replays) == (1, 1) for call in calls)
    assert (result.best, result.version) == (LaneName.CANDIDATE, new.version)
    version = await run.read(version_by_id, "local", result.version_id)
    assert (version.deployment, version.status, version.origin_run_id) == ("new", "candidate", child.id)
    active = await run.read(get_version, "local", NAME, result.base_version)
    known = await run.read(
        compared_lately, "local", version.id, active.id, "exact", utcnow() - timedelta(days=1)
    )
    assert known is not None
    assert known.id == result.evaluation_id
    assert len(await run.read(results_of, known.id, active.id)) == len(result.cases)
    gates = (await run.read(list_runs, "local", pipeline="gate")).items
    assert [one.id for one in gates] == [result.gate_run_id]
    assert gates[0].status is RunStatus.ACCEPTED
    assert await run.read(recommendations_of, "local", version.id) == []
