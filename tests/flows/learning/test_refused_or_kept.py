"""What cannot end well is refused before any call; what a cap ends keeps what was measured up to there."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from contracts.budgets import BudgetPeriod, BudgetScope
from contracts.calls import CallAnswer, CallRequest
from contracts.evaluation import EvaluationParams
from contracts.examples import ExampleOrigin, NewExample, Split
from contracts.optimization import BootstrapRandomSearch, Labeled, Mipro, OptimizeParams
from database.engine import Database
from database.journal.calls import commit_call, list_calls, reserve_call
from database.learning.evaluations import get_evaluation, list_results
from database.learning.examples import Lineage, import_examples, put_example
from database.queue.leases import claim_runs
from database.queue.parking import park_run
from database.spending.caps import set_cap
from flows.durable.parking import Parked
from flows.durable.run import Run, enter_run
from flows.evaluation import evaluation
from flows.optimize import optimize
from llm.quiet_litellm import NOISE
from runtime.errors import BadInput
from tests.fixtures.made_runs import accepted, claimed
from tests.fixtures.model_server import ModelServer
from tests.fixtures.optimizing import PROVIDERS
from tests.fixtures.pipelines_in_process import engine_of, running
from tests.fixtures.prefect_server import PrefectServer
from tests.fixtures.shipped_examples import NAME, shipped

pytestmark = [
    # Prefect closes the sockets of its event client late, in a thread of its own.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.timeout(300),
    *(pytest.mark.filterwarnings(f"ignore:{message}") for message in NOISE),
]


def raising(expected: dict[str, Any], given: dict[str, Any]) -> float:
    """A metric that cannot deal with one of the examples."""
    return float(expected["label"] == given["label"]) / (expected["label"] != "praise")


@pytest.fixture
async def run(database: Database, tmp_path: Path) -> AsyncIterator[Run]:
    """A claimed run whose model is paid, over HTTP; the program has its shipped examples."""
    server = ModelServer().start()
    async with running(database, tmp_path, PROVIDERS % server.url) as found:
        yield found
    server.stop()


async def given(run: Run, *splits: Split, most: int = 60) -> None:
    found = [
        NewExample(inputs=one.inputs, expected=one.expected)
        for split in splits
        for one in shipped(split, most)
    ]
    await run.database.write(import_examples, "local", NAME, found)


async def refused(run: Run, server: PrefectServer, **params: Any) -> BadInput:
    """Start an optimization that must not come to a single call."""
    asked = OptimizeParams(**{"program": NAME, "optimizers": [Labeled()], **params})
    with engine_of(server), pytest.raises(BadInput) as caught:
        await optimize(asked)
    assert (await run.read(list_calls, "local", run.id)).items == []
    return caught.value


async def test_an_example_that_lacks_a_field_is_named(run: Run, prefect_server: PrefectServer) -> None:
    """It was stored for code that took other fields."""
    await given(run, *Split)
    lineage = Lineage(ExampleOrigin.IMPORT)
    old = NewExample(inputs={"text": "My parcel is late"}, expected={"label": "shipping"})
    stored, _ = await run.database.write(put_example, "local", NAME, old, lineage)
    error = await refused(run, prefect_server)
    assert error.code == "bad_examples"
    assert f"{stored.id}: the input message is missing" in error.message


@pytest.mark.parametrize(
    ("program", "inputs", "told"),
    [
        (NAME, {"message": {"a": 1}}, "The input message is none that support.sort takes"),
        (
            "chat.direct",
            {"message": "x", "history": [{"content": "hi"}]},
            "chat.direct takes: 0.author: Field",
        ),
        ("chat.direct", {"message": "x", "history": [{"author": "me", "content": "hi"}]}, "0.author: Input"),
        ("analysis.report", {"question": "x", "notes": "text"}, "The input notes is none"),
    ],
    ids=["message", "no author", "unknown author", "notes"],
)
async def test_an_example_of_another_type_is_named(
    run: Run, prefect_server: PrefectServer, program: str, inputs: dict[str, Any], told: str
) -> None:
    """Else those that fit would be paid for, and it would count as a wrong answer."""
    await given(run, *Split)
    expected = {"label": "shipping"} if program == NAME else {"answer": "x"}
    if program == "analysis.report":
        expected = {"report": {"answer": "x"}}
    odd = NewExample(inputs=inputs, expected=expected)
    stored, _ = await run.database.write(put_example, "local", program, odd, Lineage(ExampleOrigin.IMPORT))
    error = await refused(run, prefect_server, program=program)
    assert error.code == "bad_examples"
    assert f"{stored.id}: The input" in error.message
    assert told in error.message


async def test_a_cap_below_what_is_surely_needed_is_refused_before_all_prices_are_known(
    run: Run, prefect_server: PrefectServer
) -> None:
    """No call was ever made of the role `reflector`, which proposes instructions."""
    await given(run, *Split)
    before = await claimed(run.database)
    call = CallRequest("sort#1", 0, "f" * 64, "model", "analyst", {})
    await run.database.write(reserve_call, before.id, 1, call)
    answer = CallAnswer({}, "d", "m", 1, 1, Decimal("0.01"), 125.0)
    await run.database.write(commit_call, before.id, 1, call, answer, [])
    error = await refused(run, prefect_server, optimizers=[Mipro()], cap_usd=Decimal("0.5"))
    assert (error.code, "needs cap_usd of" in error.message) == ("budget_below_estimate", True)


async def test_a_metric_that_raises_on_any_example_is_told(
    run: Run, prefect_server: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await given(run, *Split)
    monkeypatch.setenv("METRICS_FROM", "tests.flows")
    monkeypatch.setattr("flows.learning.metrics.import_module", lambda _name: raising_module())
    error = await refused(run, prefect_server, metric="tests.flows:raising")
    assert error.code == "metric_failed"
    assert "failed with ZeroDivisionError" in error.message


def raising_module() -> Any:
    """Tests are imported under other names than their paths say."""
    import sys

    return sys.modules[__name__]


@pytest.mark.parametrize(
    ("splits", "most", "told"),
    [
        ((Split.TRAIN, Split.TEST), 60, "0 examples to use in the split `validation`"),
        (tuple(Split), 1, "1 examples to use in the split `train`"),
        ((), 0, "0 examples to use in the split `train`"),
    ],
    ids=["an empty split", "three examples", "none"],
)
async def test_too_few_examples_are_told_by_their_split(
    run: Run, prefect_server: PrefectServer, splits: tuple[Split, ...], most: int, told: str
) -> None:
    await given(run, *splits, most=most)
    error = await refused(run, prefect_server)
    assert (error.code, told in error.message) == ("too_few_examples", True)


async def test_a_deployment_that_is_not_there_is_refused(run: Run, prefect_server: PrefectServer) -> None:
    await given(run, *Split)
    error = await refused(run, prefect_server, deployment="gone")
    assert (error.code, "there are loop, offline" in error.message) == ("unknown_deployment", True)


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


async def test_a_whole_optimization_goes_on_where_its_budget_parked_it(
    run: Run, prefect_server: PrefectServer
) -> None:
    """From the first example to the proof: the same program for the rest of the money, and no call again."""
    await given(run, *Split, most=8)
    choice = BootstrapRandomSearch(candidates=2, bootstrapped=2, labeled=4)
    asked = OptimizeParams(program=NAME, optimizers=[choice], gate=False, at_once=4)
    with engine_of(prefect_server):
        whole = await optimize(asked)
        made = (await run.read(list_calls, "local", run.id, limit=200)).items
        spent = sum((call.cost_usd or Decimal(0) for call in made), Decimal(0))
        await accepted(run.database)
        first = await next_run(run)
        capped = {"scope": BudgetScope.RUN, "subject": first.id, "period": BudgetPeriod.NONE}
        await run.database.write(set_cap, "local", **capped, cap_usd=spent / 2)
        with pytest.raises(Parked) as parked:
            await optimize(asked)
        await first.events.drain(first.id)
        await run.database.write(park_run, first.id, 1, parked.value.waiting, parked.value.until)
        before = (await run.read(list_calls, "local", first.id, limit=200)).items
        finished = {call.id for call in before if call.status == "succeeded"}
        assert 0 < len(finished) < len(made)
        await run.database.write(set_cap, "local", **capped, cap_usd=spent * 2)
        second = await next_run(run)
        assert (second.id, second.attempt) == (first.id, 2)
        found = await optimize(asked)
    # The same content is the same version.
    assert (found.version_id, found.comparison) == (whole.version_id, whole.comparison)
    calls = (await run.read(list_calls, "local", first.id, limit=200)).items
    assert len(calls) == len(made)
    assert sum(call.tries - 1 for call in calls) == 0
    assert {call.id for call in calls if call.replays} == finished
    await first.events.close()
    await second.events.close()


async def test_an_evaluation_keeps_what_was_measured_when_its_cap_was_reached(
    run: Run, prefect_server: PrefectServer
) -> None:
    await given(run, *Split)
    with engine_of(prefect_server):
        result = await evaluation(
            EvaluationParams(program=NAME, split=Split.TRAIN, cap_usd=Decimal("0.004"), at_once=1)
        )
    calls = (await run.read(list_calls, "local", run.id, limit=200)).items
    (score,) = result.scores
    assert (result.stopped, score.failures) == ("usd", 0)
    assert 2 < score.examples == len(calls) < 60
    assert sum((call.cost_usd or 0 for call in calls), Decimal(0)) <= Decimal("0.004")
    kept = await run.read(list_results, "local", result.evaluation_id, limit=200)
    assert len(kept.items) == score.examples
    assert (await run.read(get_evaluation, "local", result.evaluation_id)).result == result
