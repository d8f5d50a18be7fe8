"""Evaluations: begun once, kept per owner, read page by page; and what they will take."""

from decimal import Decimal

import pytest

from contracts.calls import CallAnswer, CallRequest
from contracts.evaluation import EvaluationParams, EvaluationResult, ExampleResult
from contracts.examples import NewExample, Split
from contracts.runs import RunError
from database.gateway.estimates import estimated
from database.journal.calls import commit_call, reserve_call
from database.learning.evaluations import (
    begin_evaluation,
    end_evaluation,
    get_evaluation,
    keep_results,
    list_evaluations,
    list_results,
    step_costs,
    taken_by,
)
from database.learning.examples import import_examples
from runtime.errors import BadInput, NotFound
from runtime.ids import new_id
from tests.fixtures.made_programs import NAME, register
from tests.fixtures.made_runs import claimed

PARAMS = EvaluationParams(program=NAME)


async def read(database, query, *args, **kwargs):
    async with database.read() as session:
        return await query(session, *args, **kwargs)


async def begun(database, owner="local"):
    evaluation_id, version = new_id(), new_id()
    values = {"evaluation_id": evaluation_id, "run_id": new_id(), "params": PARAMS, "versions": [version]}
    await database.write(begin_evaluation, owner, **values)
    await database.write(begin_evaluation, owner, **values)
    return evaluation_id, version


def result(version, score, error=None):
    why = RunError(code=error, message="no") if error else None
    return ExampleResult(
        example_id=new_id(),
        version_id=version,
        score=score,
        answer=None if error else {"label": "x"},
        error=why,
        cost_usd=Decimal("0.1"),
        latency_ms=1.5,
    )


async def test_results_are_listed_worst_first_page_by_page(database):
    evaluation_id, version = await begun(database)
    results = [result(version, score / 10) for score in range(9)] + [result(version, 0, "model_refused")]
    await database.write(keep_results, evaluation_id, results)
    await database.write(keep_results, evaluation_id, results)
    first = await read(database, list_results, "local", evaluation_id, limit=4)
    rest = await read(database, list_results, "local", evaluation_id, limit=20, cursor=first.next_cursor)
    found = first.items + rest.items
    assert [one.score for one in found] == sorted(one.score for one in results)
    assert {one.example_id for one in found} == {one.example_id for one in results}
    (failed,) = (await read(database, list_results, "local", evaluation_id, failed=True)).items
    assert (failed.error.code, failed.answer, failed.cost_usd) == ("model_refused", None, Decimal("0.1"))
    with pytest.raises(BadInput):
        await read(database, list_results, "local", evaluation_id, cursor="rubbish")


async def test_an_evaluation_is_its_owners(database):
    evaluation_id, _ = await begun(database, "eve")
    for query in (get_evaluation, list_results):
        with pytest.raises(NotFound):
            await read(database, query, "local", evaluation_id)
    assert (await read(database, list_evaluations, "local")).items == []
    assert len((await read(database, list_evaluations, "eve", program=NAME)).items) == 1


async def test_an_evaluation_ends_with_its_result(database):
    evaluation_id, _ = await begun(database)
    before = await read(database, get_evaluation, "local", evaluation_id)
    assert (before.result, before.finished_at) == (None, None)
    came = EvaluationResult(
        evaluation_id=evaluation_id, program=NAME, split=Split.TEST, metric="exact", scores=[], models=[]
    )
    await database.write(end_evaluation, evaluation_id, came)
    after = await read(database, get_evaluation, "local", evaluation_id)
    assert after.result == came
    assert after.finished_at is not None


async def test_an_estimate_takes_what_such_calls_took_lately(database):
    await register(database)
    lines = [NewExample(inputs={"message": f"message {n}"}, expected={"label": "billing"}) for n in range(40)]
    await database.write(import_examples, "local", NAME, lines)
    params = EvaluationParams(program=NAME, split=Split.TRAIN, at_once=2, most=10)
    blind = await read(database, estimated, "local", params)
    assert (blind.examples, blind.calls, blind.usd, blind.seconds) == (10, 10, None, None)
    run = await claimed(database)
    call = CallRequest("answer#1", 0, "f" * 64, "model", "analyst", {})
    await database.write(reserve_call, run.id, 1, call)
    answer = CallAnswer({}, "d", "m", 1, 1, Decimal("0.02"), 500.0)
    await database.write(commit_call, run.id, 1, call, answer, [])
    known = await read(database, estimated, "local", params)
    assert (known.usd, known.seconds) == (Decimal("0.2"), 2.5)
    assert await read(database, step_costs, run.id) == {"answer#1": (Decimal("0.02"), 500.0)}
    assert await read(database, taken_by, run.id, "answer#1") == (1, Decimal("0.02"))
    assert await read(database, taken_by, run.id, "answer#2") == (0, Decimal(0))
    assert (await read(database, estimated, "eve", params)).examples == 0
