"""Evaluations and plots over HTTP."""

from xml.etree import ElementTree as ET

from contracts.examples import NewExample
from contracts.runs import EventKind, RunStatus
from database.learning.examples import import_examples
from database.queue.events import append_events
from database.queue.leases import claim_runs, finish_run
from runtime.clock import utcnow
from runtime.ids import new_id
from tests.fixtures.made_programs import NAME, register
from tests.fixtures.made_runs import accepted


async def test_an_estimate_is_made_before_anything_starts(client, store):
    await register(store)
    found = await client.post("/api/v1/evaluations/estimate", json={"program": NAME})
    assert (found.status_code, found.json()["examples"]) == (200, 0)
    unknown = await client.post("/api/v1/evaluations/estimate", json={"program": "no.such"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_program")
    bad = await client.post("/api/v1/evaluations/estimate", json={"program": NAME, "metric": "rm -rf"})
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "metric")


async def test_an_optimization_is_estimated_before_anything_starts(client, store):
    await register(store)
    few = await client.post("/api/v1/optimizations/estimate", json={"program": NAME})
    assert (few.status_code, few.json()["code"]) == (422, "too_few_examples")
    texts = ["refund", "parcel", "invoice", "password", "address", "delay"]
    made = [{"message": f"{one} {other}"} for one in texts for other in texts]
    examples = [NewExample(inputs=inputs, expected={"label": "billing"}) for inputs in made]
    await store.write(import_examples, "local", NAME, examples)
    asked = {"program": NAME, "optimizers": [{"name": "labeled"}, {"name": "gepa", "metric_calls": 50}]}
    found = (await client.post("/api/v1/optimizations/estimate", json=asked)).json()
    counts = found["examples"]
    labeled, gepa, measuring = found["parts"]
    assert (labeled["calls"], gepa["calls"]) == (0, 50 + counts["validation"] + 5)
    assert measuring["calls"] == 3 * counts["validation"] + 2 * counts["test"]
    assert found["calls"] == gepa["calls"] + measuring["calls"]
    assert found["needed_calls"] == 2 * gepa["calls"] + measuring["calls"]
    # The program's role has made no call that would tell a price or a time.
    assert (found["usd"], found["seconds"]) == (None, None)


async def test_the_frontier_of_a_recompile_is_drawn(client, store):
    run = await accepted(store, pipeline="recompile", params={"program": "<b>"})
    (claim,) = await store.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=60)
    quality = {"value": 0.8, "low": 0.7, "high": 0.9}
    points = [
        {
            "lane": lane,
            "version": 1,
            "deployment": f"<{lane}>",
            "quality": quality,
            "cost_usd": cost,
            "latency_ms": 1.0,
            "failures": 0,
            "optimal": cost is not None,
        }
        for lane, cost in (("old", "0.002"), ("moved", "0.001"), ("candidate", None))
    ]
    result = {
        "program": NAME,
        "deployment": "new",
        "metric": "exact",
        "base_version": 1,
        "points": points,
        "cases": [],
        "best": "moved",
        "version": 2,
        "version_id": str(new_id()),
        "optimize_run_id": str(new_id()),
        "models": [],
    }
    await store.write(finish_run, claim.id, claim.attempt, RunStatus.SUCCEEDED, result)
    answer = await client.get(f"/api/v1/runs/{run.id}/plot")
    assert ET.fromstring(answer.text).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314  our own plot
    assert (answer.text.count("<circle"), answer.text.count("<polyline")) == (3, 1)
    assert "&lt;moved&gt;): 80%, 1 USD" in answer.text
    assert "unknown cost" in answer.text


async def test_an_unknown_evaluation_is_not_found(client):
    for path in ("", "/results"):
        answer = await client.get(f"/api/v1/evaluations/{new_id()}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "evaluation_not_found")
    assert (await client.get("/api/v1/evaluations")).json()["items"] == []


async def test_optimizers_are_checked_when_they_are_asked_for(client):
    """Before a run exists, let alone money is spent."""
    for wrong in (
        [],
        [{"name": "magic"}],
        [{"name": "labeled", "demos": 0}],
        [{"name": "gepa", "breadth": 2}],
        [{"demos": 3}],
    ):
        body = {"params": {"program": NAME, "optimizers": wrong}}
        refused = await client.post("/api/v1/pipelines/optimize/runs", json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameters"), wrong


async def test_trials_are_drawn_and_names_are_escaped(client, store):
    run = await accepted(store, pipeline="optimize", params={"program": "<script>alert(1)</script>"})
    empty = await client.get(f"/api/v1/runs/{run.id}/plot")
    assert "No trial has ended yet" in empty.text
    trials = [
        (
            EventKind.TRIAL,
            {
                "optimizer": f"o{n % 2}",
                "trial": n,
                "score": n / 10,
                "best": n / 10,
                "calls": n * 10,
                "usd": "0",
            },
            utcnow(),
        )
        for n in range(6)
    ]
    await store.write(append_events, run.id, None, trials)
    drawn = await client.get(f"/api/v1/runs/{run.id}/plot")
    root = ET.fromstring(drawn.text)  # noqa: S314  our own plot
    assert len(root.findall("{http://www.w3.org/2000/svg}circle")) == 6
    assert "<script" not in drawn.text
    assert drawn.headers["content-security-policy"].startswith("default-src 'none'")
