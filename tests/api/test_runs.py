"""Reading runs and calling them off."""

from decimal import Decimal

from httpx2 import AsyncClient

from contracts.runs import Origin
from database.calls import commit_call, reserve_call
from database.engine import Database
from database.runs import accept_run
from runtime.ids import new_id
from tests.api.worker import begin, succeed

RUNS = "/api/v1/runs"
PROBE = "/api/v1/pipelines/probe/runs"


async def trigger(client: AsyncClient, **params: object) -> str:
    return (await client.post(PROBE, json={"params": params})).json()["id"]


async def test_a_run_shows_its_result(client: AsyncClient, store: Database):
    run_id = await trigger(client)
    await succeed(store, await begin(store), {"steps": 3, "calls": 0})

    run = (await client.get(f"{RUNS}/{run_id}")).json()
    assert (run["status"], run["attempt"], run["result"]) == ("succeeded", 1, {"steps": 3, "calls": 0})
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
    call = {"step": "answer", "n": 0, "fingerprint": "f" * 64}
    words = {"text": "private words"}
    await store.write(
        reserve_call, claimed.id, claimed.attempt, **call, kind="model", role="chat", request=words
    )
    await store.write(
        commit_call,
        claimed.id,
        claimed.attempt,
        **call,
        response=words,
        deployment="offline",
        model="offline-1",
        input_tokens=12,
        output_tokens=3,
        cost_usd=Decimal("0.0000012345"),
        latency_ms=1.5,
    )

    answer = await client.get(f"{RUNS}/{run_id}/calls")
    (shown,) = answer.json()["items"]
    assert (shown["status"], shown["input_tokens"], shown["cost_usd"]) == ("succeeded", 12, "0.0000012345")
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
