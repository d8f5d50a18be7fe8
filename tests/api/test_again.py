"""Ended runs once more over HTTP: retried, forked, and what the webhook about an end came to."""

from typing import Any

import pytest
import sqlalchemy as sa
from httpx2 import AsyncClient

from contracts.calls import CallRequest
from contracts.runs import EventKind, Origin
from contracts.webhooks import Delivery
from database.clock import now
from database.engine import Database
from database.journal.calls import commit_call, reserve_call
from database.queue.events import append_events
from database.queue.leases import Claimed
from database.queue.runs import accept_run, request_cancel
from database.queue.webhooks import PAUSES, claim_webhooks, note_delivery
from database.tables import WebhookRow, core
from runtime.clock import utcnow
from runtime.ids import new_id
from tests.api.worker import begin, fail, succeed
from tests.fixtures.made_programs import add, register
from tests.fixtures.made_runs import ANSWER

RUNS = "/api/v1/runs"
PROBE = "/api/v1/pipelines/probe/runs"
CLASSIFY = "/api/v1/pipelines/classify/runs"
HOOK = "https://example.com/hook"
HOOKS = core(WebhookRow)


async def trigger(client: AsyncClient, address: str = PROBE, **body: Any) -> str:
    answer = await client.post(address, json=body)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


async def step(store: Database, run: Claimed, name: str) -> None:
    """Play a step that asks a model once."""
    begun = [(EventKind.STEP, {"step": name, "status": "started", "tries": 1}, utcnow())]
    await store.write(append_events, run.id, run.attempt, begun)
    call = CallRequest(step=name, n=0, fingerprint="a" * 64, kind="model", role="chat", request={})
    await store.write(reserve_call, run.id, run.attempt, call)
    await store.write(commit_call, run.id, run.attempt, call, ANSWER)


async def ended_probe(client: AsyncClient, store: Database, *steps: str) -> str:
    run_id = await trigger(client, params={"steps": 2})
    run = await begin(store)
    for name in steps:
        await step(store, run, name)
    await succeed(store, run)
    return run_id


async def code_of(client: AsyncClient, path: str, body: Any = None) -> tuple[int, str]:
    answer = await client.post(path, json=body)
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


async def test_a_failed_run_is_put_back_under_its_own_id(client: AsyncClient, store: Database):
    run_id = await trigger(client)
    await fail(store, await begin(store))
    again = await client.post(f"{RUNS}/{run_id}/retry")
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (202, run_id, "queued")
    assert (again.json()["error"], again.json()["finished_at"]) == (None, None)
    assert str((await begin(store)).id) == run_id


async def test_only_an_ended_run_that_did_not_succeed_is_retried(client: AsyncClient, store: Database):
    run_id = await trigger(client)
    assert await code_of(client, f"{RUNS}/{run_id}/retry") == (409, "run_not_ended")
    await succeed(store, await begin(store))
    assert await code_of(client, f"{RUNS}/{run_id}/retry") == (409, "run_succeeded")


async def test_a_run_that_is_cancelled_and_retried_can_be_cancelled_again(client: AsyncClient):
    run_id = await trigger(client)
    for _ in range(2):
        cancelled = await client.post(f"{RUNS}/{run_id}/cancel")
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
        assert await code_of(client, f"{RUNS}/{run_id}/cancel") == (409, "run_finished")
        assert (await client.post(f"{RUNS}/{run_id}/retry")).json()["status"] == "queued"


async def test_a_run_is_retried_once_by_two_requests(client: AsyncClient, store: Database):
    run_id = await trigger(client)
    await fail(store, await begin(store))
    assert (await client.post(f"{RUNS}/{run_id}/retry")).status_code == 202
    assert await code_of(client, f"{RUNS}/{run_id}/retry") == (409, "run_not_ended")


async def test_what_belongs_to_somebody_else_is_not_retried_forked_or_told_of(
    client: AsyncClient, store: Database
):
    foreign, _ = await store.write(
        accept_run, pipeline="probe", pool="interactive", params={}, owner="other", origin=Origin.API
    )
    await store.write(request_cancel, "other", foreign.id)
    for run_id in (foreign.id, new_id()):
        for path in ("cancel", "retry", "fork"):
            body = {} if path == "fork" else None
            assert await code_of(client, f"{RUNS}/{run_id}/{path}", body) == (404, "run_not_found")
        missing = await client.get(f"{RUNS}/{run_id}/webhook")
        assert (missing.status_code, missing.json()["code"]) == (404, "run_not_found")


async def test_a_fork_takes_over_parameters_and_answers_but_no_options(client: AsyncClient, store: Database):
    asked = {"params": {"steps": 2, "text": "hello"}, "options": {"priority": 1, "deadline_seconds": 900}}
    run_id = await trigger(client, **asked)
    run = await begin(store)
    await step(store, run, "nothing[1]")
    await succeed(store, run)

    changes = {"params": {"steps": 3}, "options": {"concurrency_key": "k"}}
    fork = await client.post(f"{RUNS}/{run_id}/fork", json=changes)
    made = fork.json()
    assert (fork.status_code, fork.headers["location"]) == (202, f"{RUNS}/{made['id']}")
    assert (made["forked_from"], made["priority"], made["deadline_at"]) == (run_id, 5, None)
    assert made["concurrency_key"] == "k"
    assert (made["params"]["steps"], made["params"]["text"]) == (3, "hello")
    (copied,) = (await client.get(f"{RUNS}/{made['id']}/calls")).json()["items"]
    (paid,) = (await client.get(f"{RUNS}/{run_id}/calls")).json()["items"]
    assert (copied["copied_from"], float(copied["cost_usd"])) == (paid["id"], 0)


@pytest.mark.parametrize("name", ["nothing[2]", "nothing"])
async def test_a_fork_from_a_step_copies_only_what_came_before_it(
    client: AsyncClient, store: Database, name: str
):
    run_id = await ended_probe(client, store, "nothing[1]", "nothing[2]", "nothing[3]")
    fork = (await client.post(f"{RUNS}/{run_id}/fork", json={"from_step": name})).json()
    copied = (await client.get(f"{RUNS}/{fork['id']}/calls")).json()["items"]
    assert [call["step"] for call in copied] == (["nothing[1]"] if "[" in name else [])


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"from_step": "no_such_step"}, (422, "unknown_step")),
        ({"from_step": ""}, (422, "invalid_parameters")),
        ({"params": {"steps": 1000}}, (422, "invalid_parameters")),
        ({"params": {"unheard_of": 1}}, (422, "invalid_parameters")),
        ({"options": {"priority": 10}}, (422, "invalid_parameters")),
        ({"steps": 1}, (422, "invalid_parameters")),
        ({"versions": {"support.sort": str(new_id())}}, (404, "program_version_not_found")),
        ({"versions": {"support.sort": "newest"}}, (422, "invalid_parameters")),
    ],
)
async def test_a_fork_that_makes_no_sense_is_refused_and_makes_no_run(
    client: AsyncClient, store: Database, body: dict[str, Any], problem: tuple[int, str]
):
    run_id = await ended_probe(client, store, "nothing[1]")
    assert await code_of(client, f"{RUNS}/{run_id}/fork", body) == problem
    assert len((await client.get(RUNS)).json()["items"]) == 1


async def test_a_run_under_way_is_not_forked(client: AsyncClient, store: Database):
    run_id = await trigger(client)
    await begin(store)
    assert await code_of(client, f"{RUNS}/{run_id}/fork", {}) == (409, "run_not_ended")


async def test_a_fork_is_made_once_under_one_key_and_refused_for_another_request(
    client: AsyncClient, store: Database
):
    run_id = await ended_probe(client, store, "nothing[1]")
    key = {"Idempotency-Key": "again-1"}
    first, second = [await client.post(f"{RUNS}/{run_id}/fork", json={}, headers=key) for _ in range(2)]
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["idempotent-replayed"] == "true"
    other = await client.post(f"{RUNS}/{run_id}/fork", json={"from_step": "nothing"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


async def test_a_fork_under_a_taken_key_is_refused_when_it_will_not_wait(
    client: AsyncClient, store: Database
):
    run_id = await ended_probe(client, store)
    await trigger(client, params={}, options={"concurrency_key": "k"})
    options = {"concurrency_key": "k", "on_busy": "reject"}
    assert await code_of(client, f"{RUNS}/{run_id}/fork", {"options": options}) == (409, "key_busy")


async def test_a_fork_is_answered_by_the_version_that_was_chosen(client: AsyncClient, store: Database):
    await register(store)
    version = await add(store, "Sort it well.")
    foreign = await add(store, "Sort it.", owner="other")
    probe = await ended_probe(client, store)
    run_id = await trigger(client, CLASSIFY, params={"message": "Where is it?"})
    await succeed(store, await begin(store))
    path = f"{RUNS}/{run_id}/fork"

    fork = (await client.post(path, json={"versions": {"support.sort": str(version.id)}})).json()
    (used,) = (await client.get(f"{RUNS}/{fork['id']}/programs")).json()["items"]
    assert (used["program"], used["version_id"]) == ("support.sort", str(version.id))

    hidden = {"versions": {"support.sort": str(foreign.id)}}
    assert await code_of(client, path, hidden) == (404, "program_version_not_found")
    elsewhere = {"versions": {"chat.direct": str(version.id)}}
    assert await code_of(client, path, elsewhere) == (404, "unknown_program")
    mine = {"versions": {"support.sort": str(version.id)}}
    assert await code_of(client, f"{RUNS}/{probe}/fork", mine) == (404, "unknown_program")


async def test_the_webhook_of_a_run_that_asked_for_none_or_goes_on_is_not_there(
    client: AsyncClient, store: Database
):
    for options in ({}, {"webhook_url": HOOK}):
        run_id = await trigger(client, options=options)
        if not options:
            await succeed(store, await begin(store))
        missing = await client.get(f"{RUNS}/{run_id}/webhook")
        assert (missing.status_code, missing.json()["code"]) == (404, "webhook_not_found")


async def test_the_webhook_of_a_run_tells_every_try(client: AsyncClient, store: Database):
    run_id = await trigger(client, options={"webhook_url": HOOK})
    await succeed(store, await begin(store))
    hook = (await client.get(f"{RUNS}/{run_id}/webhook")).json()
    assert (hook["status"], hook["url"], hook["deliveries"]) == ("pending", HOOK, [])

    for number, status in enumerate((500, 204)):
        (due,) = await store.write(claim_webhooks, 60)
        tried = Delivery(at=utcnow(), ms=12.5, status=status)
        await store.write(note_delivery, due, tried, good=status == 204)
        hook = (await client.get(f"{RUNS}/{run_id}/webhook")).json()
        assert hook["status"] == ("pending", "delivered")[number]
        assert (hook["next_try_at"] is None) == (status == 204)
        await make_due(store)
    assert [each["status"] for each in hook["deliveries"]] == [500, 204]


async def test_a_webhook_that_nobody_took_has_failed_with_its_log(client: AsyncClient, store: Database):
    run_id = await trigger(client, options={"webhook_url": HOOK})
    await succeed(store, await begin(store))
    for _ in range(len(PAUSES) + 1):
        await make_due(store)
        (due,) = await store.write(claim_webhooks, 60)
        refused = Delivery(at=utcnow(), ms=1, error="ConnectError")
        await store.write(note_delivery, due, refused, good=False)
    hook = (await client.get(f"{RUNS}/{run_id}/webhook")).json()
    assert (hook["status"], hook["next_try_at"], len(hook["deliveries"])) == ("failed", None, len(PAUSES) + 1)
    assert {each["error"] for each in hook["deliveries"]} == {"ConnectError"}


async def make_due(store: Database) -> None:
    change = sa.update(HOOKS).where(HOOKS.c.next_try_at.is_not(None)).values(next_try_at=now())
    await store.write(lambda session: session.execute(change))
