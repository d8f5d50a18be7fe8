"""Reading runs and calling them off."""

from dataclasses import replace

from httpx2 import AsyncClient

from contracts.runs import Origin, Waiting, WaitKind
from database.engine import Database
from database.journal.calls import commit_call, reserve_call
from database.queue.parking import park_run
from database.queue.runs import accept_run
from runtime.ids import new_id
from tests.api.worker import begin, succeed
from tests.fixtures.made_runs import ANSWER, CALL

RUNS = "/api/v1/runs"
PROBE = "/api/v1/pipelines/probe/runs"


async def trigger(client: AsyncClient, **params: object) -> str:
    return (await client.post(PROBE, json={"params": params})).json()["id"]


async def test_a_run_shows_its_result(client: AsyncClient, store: Database):
    run_id = await trigger(client)
    await succeed(store, await begin(store), {"steps": 3, "calls": 0})

    run = (await client.get(f"{RUNS}/{run_id}")).json()
    assert (run["status"], run["attempt"], run["max_attempts"]) == ("succeeded", 1, 3)
    assert run["result"] == {"steps": 3, "calls": 0}
    assert run["started_at"] <= run["finished_at"]


async def test_runs_are_listed_newest_first_page_by_page(client: AsyncClient):
    """What was triggered while a caller pages does not shift the pages."""
    triggered = [await trigger(client) for _ in range(5)]
    first = (await client.get(RUNS, params={"limit": 2})).json()
    await trigger(client)
    second = (await client.get(RUNS, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    third = (await client.get(RUNS, params={"limit": 2, "cursor": second["next_cursor"]})).json()

    listed = [run["id"] for page in (first, second, third) for run in page["items"]]
    assert list(reversed(triggered)) == listed
    assert third["next_cursor"] is None


async def test_a_list_leaves_parameters_and_results_out(client: AsyncClient):
    """200 runs of 400 KB each are not a list."""
    await trigger(client)

    (line,) = (await client.get(RUNS)).json()["items"]
    assert {"params", "result"}.isdisjoint(line)


async def test_runs_are_listed_by_status_and_pipeline(client: AsyncClient, store: Database):
    done = await trigger(client)
    await succeed(store, await begin(store))
    await client.post("/api/v1/pipelines/chat_turn/runs", json={"params": {"message": "hi"}})

    async def listed(**query: str) -> list[str]:
        return [run["id"] for run in (await client.get(RUNS, params=query)).json()["items"]]

    assert [done] == await listed(status="succeeded")
    assert [done] == await listed(pipeline="probe")
    assert await listed(pipeline="probe", status="accepted") == []


async def test_the_run_of_somebody_else_does_not_exist(client: AsyncClient, store: Database):
    """Ownership is a where clause in every read, and in a cancel."""
    foreign, _ = await store.write(
        accept_run, pipeline="probe", pool="interactive", params={}, owner="other", origin=Origin.API
    )
    address = f"{RUNS}/{foreign.id}"
    answers = [await client.get(address + part) for part in ("", "/events", "/calls")]
    answers.append(await client.post(address + "/cancel"))

    assert [answer.json()["code"] for answer in answers] == ["run_not_found"] * 4
    assert (await client.get(RUNS)).json()["items"] == []


async def test_calls_show_tokens_and_cost_but_no_words(client: AsyncClient, store: Database):
    run_id = await trigger(client)
    claimed = await begin(store)
    words = {"text": "private words"}
    call, answer = replace(CALL, request=words), replace(ANSWER, response=words)
    await store.write(reserve_call, claimed.id, claimed.attempt, call)
    await store.write(commit_call, claimed.id, claimed.attempt, call, answer)

    answer = await client.get(f"{RUNS}/{run_id}/calls")
    (shown,) = answer.json()["items"]
    assert (shown["status"], shown["input_tokens"], shown["cost_usd"]) == ("succeeded", 11, "0.0000123456")
    assert "private" not in answer.text


async def test_a_run_that_no_worker_has_is_cancelled_at_once(client: AsyncClient):
    run_id = await trigger(client)

    answer = await client.post(f"{RUNS}/{run_id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")


async def test_a_run_under_way_is_asked_to_stop(client: AsyncClient, store: Database):
    """Its worker sees the request and ends it; asking twice is asking once."""
    run_id = await trigger(client)
    await begin(store)
    answers = [await client.post(f"{RUNS}/{run_id}/cancel") for _ in range(2)]

    assert [(each.status_code, each.json()["status"]) for each in answers] == [(202, "running")] * 2


async def test_a_run_that_has_ended_cannot_be_cancelled(client: AsyncClient, store: Database):
    run_id = await trigger(client)
    await succeed(store, await begin(store))

    answer = await client.post(f"{RUNS}/{run_id}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "run_finished")


async def test_an_id_that_never_was_is_404_everywhere(client: AsyncClient):
    address = f"{RUNS}/{new_id()}"

    assert {404} == {(await client.get(address + part)).status_code for part in ("", "/events", "/calls")}


async def test_a_waiting_run_says_what_for_and_goes_on_when_asked(client: AsyncClient, store: Database):
    run_id = await trigger(client)
    claimed = await begin(store)
    early = await client.post(f"{RUNS}/{run_id}/resume")
    assert (early.status_code, early.json()["code"]) == (409, "not_waiting")

    await store.write(park_run, claimed.id, claimed.attempt, Waiting(kind=WaitKind.PERSON, reason="Anna"))
    run = (await client.get(f"{RUNS}/{run_id}")).json()
    assert (run["status"], run["waiting"]["reason"]) == ("waiting", "Anna")
    (line,) = (await client.get(RUNS, params={"status": "waiting"})).json()["items"]
    assert line["waiting"]["kind"] == "person"

    resumed = await client.post(f"{RUNS}/{run_id}/resume")
    assert (resumed.status_code, resumed.json()["status"]) == (202, "queued")
    assert resumed.json()["waiting"] is None


async def test_a_run_of_nobody_cannot_be_resumed(client: AsyncClient):
    answer = await client.post(f"{RUNS}/{new_id()}/resume")
    assert (answer.status_code, answer.json()["code"]) == (404, "run_not_found")
