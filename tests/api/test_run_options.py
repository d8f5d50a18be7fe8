"""How a run is to be run, as triggers and messages say it: when, how urgently, and one per what."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from httpx2 import AsyncClient

from contracts.pipelines import Pool
from database.engine import Database
from database.queue.leases import claim_runs
from database.queue.untold import end_overdue
from runtime.clock import utcnow
from tests.api.worker import begin, succeed

RUNS = "/api/v1/runs"
PROBE = "/api/v1/pipelines/probe/runs"
CHAT_TURN = "/api/v1/pipelines/chat_turn/runs"


async def trigger(client: AsyncClient, **options: Any) -> dict[str, Any]:
    answer = await client.post(PROBE, json={"options": options})
    assert answer.status_code == 202, answer.text
    return answer.json()


async def claimed(store: Database, limit: int = 1, pool: Pool = "interactive") -> list[str]:
    found = await store.write(claim_runs, pool=pool, worker="w", limit=limit, lease_seconds=15)
    return [str(run.id) for run in found]


@pytest.fixture(params=["trigger", "message"])
async def door(request: pytest.FixtureRequest, client: AsyncClient) -> tuple[str, dict[str, Any]]:
    """An address that starts runs, and a body for it without options."""
    if request.param == "trigger":
        return PROBE, {"params": {}}
    chat = (await client.post("/api/v1/chats", json={})).json()["id"]
    return f"/api/v1/chats/{chat}/messages", {"content": "hello"}


async def start(client: AsyncClient, door: tuple[str, dict[str, Any]], **options: Any) -> dict[str, Any]:
    answer = await client.post(door[0], json={**door[1], "options": options})
    assert answer.status_code == 202, answer.text
    return answer.json().get("run", answer.json())


async def test_what_was_asked_for_is_shown_by_the_run(client: AsyncClient, door: tuple[str, dict[str, Any]]):
    later = (utcnow() + timedelta(hours=1)).isoformat()
    run = await start(client, door, priority=2, start_at=later, deadline_seconds=7200)
    shown = (await client.get(f"{RUNS}/{run['id']}")).json()
    assert shown["priority"] == 2
    assert datetime.fromisoformat(shown["start_at"]) == datetime.fromisoformat(later)
    created = datetime.fromisoformat(shown["created_at"])
    assert datetime.fromisoformat(shown["deadline_at"]) == created + timedelta(seconds=7200)


async def test_a_run_for_later_is_accepted_and_left_alone_until_then(
    client: AsyncClient, store: Database, door: tuple[str, dict[str, Any]]
):
    run = await start(client, door, start_at=(utcnow() + timedelta(hours=1)).isoformat())
    assert run["status"] == "accepted"
    assert await claimed(store) == []


async def test_the_most_urgent_run_is_taken_first(client: AsyncClient, store: Database):
    usual, late, urgent = [(await trigger(client, priority=each))["id"] for each in (5, 9, 1)]
    assert [(await claimed(store))[0] for _ in range(3)] == [urgent, usual, late]


async def test_a_run_that_missed_its_deadline_in_the_queue_tells_why(
    client: AsyncClient, store: Database, door: tuple[str, dict[str, Any]]
):
    run = await start(client, door, deadline_at=(utcnow() - timedelta(seconds=1)).isoformat())
    await store.write(end_overdue)
    shown = (await client.get(f"{RUNS}/{run['id']}")).json()
    assert (shown["status"], shown["error"]["code"]) == ("failed", "deadline_exceeded")


async def test_runs_of_one_key_are_taken_one_after_the_other(client: AsyncClient, store: Database):
    first, second = [(await trigger(client, concurrency_key="customer:1"))["id"] for _ in range(2)]
    other = (await trigger(client, concurrency_key="customer:2"))["id"]
    run = await begin(store)
    assert str(run.id) == first
    assert await claimed(store, limit=5) == [other]
    await succeed(store, run)
    assert await claimed(store, limit=5) == [second]


async def test_a_trigger_that_will_not_wait_is_refused_while_its_key_is_taken(
    client: AsyncClient, store: Database
):
    await trigger(client, concurrency_key="k")
    body = {"options": {"concurrency_key": "k", "on_busy": "reject"}}
    refused = await client.post(PROBE, json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "key_busy")
    assert len((await client.get(RUNS)).json()["items"]) == 1
    await succeed(store, await begin(store))
    assert (await client.post(PROBE, json=body)).status_code == 202


async def test_a_repeated_trigger_under_its_idempotency_key_is_not_refused_by_itself(client: AsyncClient):
    """The first request has the concurrency key: the second is the same request."""
    body = {"options": {"concurrency_key": "k", "on_busy": "reject"}}
    first, again = [
        await client.post(PROBE, json=body, headers={"Idempotency-Key": "once"}) for _ in range(2)
    ]
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    other = await client.post(PROBE, json={}, headers={"Idempotency-Key": "once"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


async def test_a_trigger_that_interrupts_is_next(client: AsyncClient, store: Database):
    holder = (await trigger(client, concurrency_key="k"))["id"]
    run = await begin(store)
    in_line = (await trigger(client, concurrency_key="k"))["id"]
    urgent = (await trigger(client, concurrency_key="k", on_busy="interrupt"))["id"]
    status = {each["id"]: each["status"] for each in (await client.get(RUNS)).json()["items"]}
    assert (status[holder], status[in_line], status[urgent]) == ("running", "cancelled", "accepted")
    assert await claimed(store) == []
    await succeed(store, run)
    assert await claimed(store) == [urgent]


async def test_a_turn_of_a_chat_takes_no_key_but_its_own(
    client: AsyncClient, door: tuple[str, dict[str, Any]]
):
    address, body = door
    if address == PROBE:
        address, body = CHAT_TURN, {"params": {"message": "hello"}}
    refused = await client.post(address, json={**body, "options": {"concurrency_key": "k"}})
    assert (refused.status_code, refused.json()["code"]) == (422, "key_not_free")


@pytest.mark.parametrize(
    "options",
    [
        {"priority": 0},
        {"priority": 10},
        {"start_at": "2030-01-01T00:00:00"},
        {"start_at": "soon"},
        {"deadline_seconds": 0},
        {"deadline_seconds": 60, "deadline_at": "2030-01-01T00:00:00Z"},
        {"on_busy": "panic"},
        {"start_at": "2030-01-01T00:00:00Z", "on_busy": "reject"},
        {"concurrency_key": ""},
        {"concurrency_key": "x" * 201},
        {"webhook_url": "file:///etc/passwd"},
        {"unheard_of": 1},
    ],
)
async def test_options_that_make_no_sense_are_refused_with_their_field(
    client: AsyncClient, door: tuple[str, dict[str, Any]], options: dict[str, Any]
):
    refused = await client.post(door[0], json={**door[1], "options": options})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameters")
    assert refused.json()["errors"][0]["field"].startswith("options")
    assert (await client.get(RUNS)).json()["items"] == []
