"""What became of a run and what it cost, over HTTP."""

from dataclasses import replace

from httpx2 import AsyncClient

from contracts.runs import Origin
from database.engine import Database
from database.journal.calls import commit_call, reserve_call
from database.queue.runs import accept_run
from runtime.ids import new_id
from tests.api.worker import begin, succeed
from tests.fixtures.made_runs import ANSWER, CALL

RUNS = "/api/v1/runs"


async def test_a_receipt_tells_attempts_calls_and_money(client: AsyncClient, store: Database):
    run_id = (await client.post("/api/v1/pipelines/probe/runs", json={"params": {}})).json()["id"]
    claimed = await begin(store)
    words = {"text": "private words"}
    call, answer = replace(CALL, request=words), replace(ANSWER, response=words)
    await store.write(reserve_call, claimed.id, claimed.attempt, call)
    await store.write(commit_call, claimed.id, claimed.attempt, call, answer)
    await store.write(reserve_call, claimed.id, claimed.attempt, call)
    await succeed(store, claimed, {"steps": 3, "calls": 1})

    answer = await client.get(f"{RUNS}/{run_id}/receipt")
    shown = answer.json()
    assert (shown["run_id"], shown["status"]) == (run_id, "succeeded")
    assert [(each["number"], each["ended"]) for each in shown["attempts"]] == [(1, "succeeded")]
    assert (shown["calls"]["answered"], shown["calls"]["replayed"]) == (1, 1)
    assert (shown["money"]["spent_usd"], shown["money"]["saved_usd"]) == ("0.0000123456", "0.0000123456")
    assert shown["money"]["lost_at_most_usd"] == "0"
    assert "private" not in answer.text


async def test_a_run_that_has_not_begun_has_an_empty_receipt(client: AsyncClient):
    run_id = (await client.post("/api/v1/pipelines/probe/runs", json={"params": {}})).json()["id"]

    shown = (await client.get(f"{RUNS}/{run_id}/receipt")).json()
    assert (shown["attempts"], shown["calls"]["sent"], shown["money"]["spent_usd"]) == ([], 0, "0")


async def test_somebody_elses_receipt_does_not_exist(client: AsyncClient, store: Database):
    foreign, _ = await store.write(
        accept_run, pipeline="probe", pool="interactive", params={}, owner="someone", origin=Origin.API
    )
    for run_id in (foreign.id, new_id()):
        answer = await client.get(f"{RUNS}/{run_id}/receipt")
        assert (answer.status_code, answer.json()["code"]) == (404, "run_not_found")
