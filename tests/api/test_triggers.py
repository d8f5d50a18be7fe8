"""Triggers: one committed row, a Location, and the result when it comes in time."""

import asyncio

import pytest
from httpx2 import AsyncClient

from contracts.probe import ProbeParams
from contracts.runs import Run
from database.engine import Database
from database.queue.runs import get_run, list_runs
from tests.api.worker import begin, fail, succeed

PROBE = "/api/v1/pipelines/probe/runs"
ANALYSIS = "/api/v1/pipelines/analysis/runs"


async def all_runs(store: Database) -> list[Run]:
    async with store.read() as session:
        listed = (await list_runs(session, "local")).items
        return [await get_run(session, "local", run.id) for run in listed]


async def test_catalogue_tells_what_each_pipeline_takes(client: AsyncClient):
    """A caller can build a form or a client from the answer alone."""
    answer = await client.get("/api/v1/pipelines")

    described = {item["name"]: item for item in answer.json()["items"]}
    learning = {
        *("arena", "cache_review", "classify", "cross_pollinate"),
        *("evaluation", "gate", "optimize", "recompile"),
    }
    assert {"chat_turn", "analysis", "completion", "probe", *learning} == set(described)
    assert {"question", "sources"} == set(described["analysis"]["params_schema"]["required"])
    assert "report" in described["analysis"]["result_schema"]["properties"]


async def test_trigger_commits_a_row_and_answers_202(client: AsyncClient, store: Database):
    """The row is the hand-over: no worker and no Prefect has to be there."""
    answer = await client.post(PROBE, json={"params": {"steps": 5}})

    (run,) = await all_runs(store)
    assert answer.status_code == 202
    assert f"/api/v1/runs/{run.id}" == answer.headers["Location"]
    assert (answer.json()["status"], run.params["steps"]) == ("accepted", 5)
    assert "Idempotent-Replayed" not in answer.headers


async def test_parameters_are_stored_with_every_default_written_out(client: AsyncClient, store: Database):
    """So that a later version with other defaults does not change what was asked for."""
    await client.post(PROBE, json={})

    (run,) = await all_runs(store)
    assert run.params == ProbeParams().model_dump(mode="json")


async def test_waiting_answers_with_the_result_when_it_comes_in_time(client: AsyncClient, store: Database):
    asked = asyncio.create_task(client.post(PROBE, json={}, params={"wait": 10}))
    await succeed(store, await begin(store))

    answer = await asked
    assert (
        answer.status_code,
        answer.json()["status"],
        answer.json()["result"],
    ) == (200, "succeeded", {"steps": 3})


async def test_waiting_for_a_run_that_fails_answers_200_with_its_error(client: AsyncClient, store: Database):
    """The question was answered; that the run failed is the answer."""
    asked = asyncio.create_task(client.post(PROBE, json={}, params={"wait": 10}))
    await fail(store, await begin(store))

    answer = await asked
    assert (answer.status_code, answer.json()["status"]) == (200, "failed")
    assert answer.json()["error"]["code"] == "model_unavailable"


async def test_waiting_too_short_answers_202_with_the_run_as_it_is(client: AsyncClient):
    answer = await client.post(PROBE, json={}, params={"wait": 0.05})

    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")


async def test_same_key_and_body_answer_with_the_same_run(client: AsyncClient, store: Database):
    """A client that lost the answer may simply ask again."""
    first = await client.post(PROBE, json={"params": {}}, headers={"Idempotency-Key": "k-1"})
    again = await client.post(PROBE, json={"params": {"steps": 3}}, headers={"Idempotency-Key": "k-1"})

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(await all_runs(store)) == 1


async def test_same_key_answers_200_once_the_run_has_ended(client: AsyncClient, store: Database):
    await client.post(PROBE, json={}, headers={"Idempotency-Key": "k-1"})
    await succeed(store, await begin(store))

    again = await client.post(PROBE, json={}, headers={"Idempotency-Key": "k-1"})
    assert (again.status_code, again.json()["result"]) == (200, {"steps": 3})


@pytest.mark.parametrize("path", [PROBE, "/api/v1/pipelines/chat_turn/runs"])
async def test_same_key_for_another_request_is_refused(client: AsyncClient, store: Database, path: str):
    """Another body as well as another pipeline: silence would hand out the wrong result."""
    await client.post(PROBE, json={"params": {"steps": 1}}, headers={"Idempotency-Key": "k-1"})
    other = {"params": {"message": "hi"}} if "chat" in path else {"params": {"steps": 2}}

    answer = await client.post(path, json=other, headers={"Idempotency-Key": "k-1"})
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")
    assert len(await all_runs(store)) == 1


@pytest.mark.parametrize("key", ["", "k" * 256, "two words", "schlüssel", "a\tb"])
async def test_a_key_that_no_database_column_should_hold_is_refused(client: AsyncClient, key: str):
    answer = await client.post(PROBE, json={}, headers={"Idempotency-Key": key.encode("latin-1")})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Idempotency-Key")


async def test_unknown_pipeline_is_404_and_names_the_known_ones(client: AsyncClient):
    answer = await client.post("/api/v1/pipelines/nosuch/runs", json={})

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_pipeline")
    assert "analysis" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"sources": [{"kind": "text", "text": "x"}]}, "params.question"),
        ({"question": "?", "sources": []}, "params.sources"),
        ({"question": "?", "sources": [{"kind": "text", "text": ""}]}, "params.sources.0.text"),
        ({"question": "?", "sources": [{"kind": "file"}]}, "params.sources.0.file_id"),
        ({"question": "?", "sources": [{"kind": "ftp", "text": "x"}]}, "params.sources.0"),
        ({"question": "?", "sources": [{"kind": "text", "text": "x"}], "focus": 1}, "params.focus"),
    ],
)
async def test_bad_parameters_are_422_naming_the_field(
    client: AsyncClient, store: Database, params: dict[str, object], field: str
):
    """A misspelt name as well: an option that is silently ignored is the worst answer."""
    answer = await client.post(ANALYSIS, json={"params": params})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameters")
    assert [field] == [error["field"] for error in answer.json()["errors"]]
    assert not await all_runs(store)


@pytest.mark.parametrize("letter", ["a", "ä", "🙂"])
async def test_parameters_that_prefect_would_refuse_are_413_with_the_way_out(
    client: AsyncClient, store: Database, letter: str
):
    """Prefect counts JSON escaped to ASCII, so 420 KB may be 420,000 letters or 35,000 emoji."""
    length = 420_000 // {"a": 1, "ä": 6, "🙂": 12}[letter]
    texts = [letter * min(length - start, 100_000) for start in range(0, length, 100_000)]
    sources = [{"kind": "text", "text": text} for text in texts]

    answer = await client.post(ANALYSIS, json={"params": {"question": "?", "sources": sources}})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert "/api/v1/files" in answer.json()["detail"]
    assert not await all_runs(store)


@pytest.mark.parametrize("wait", ["-1", "nan", "inf", "1e999", "soon", "9" * 500])
async def test_a_wait_that_is_no_time_is_refused(client: AsyncClient, wait: str):
    answer = await client.post(PROBE, json={}, params={"wait": wait})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "wait")
