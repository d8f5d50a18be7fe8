"""Budgets over HTTP: set, read, raised, taken away; money as exact text."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from httpx2 import AsyncClient

from contracts.calls import CallRequest
from contracts.people import Role, user_space
from contracts.runs import RunStatus, Waiting, WaitKind
from database.engine import Database
from database.errors import OverBudget
from database.journal.calls import reserve_call
from database.queue.leases import Claimed
from database.queue.parking import park_run
from database.queue.runs import get_run
from database.spending.reservations import Within, known_budgets
from database.spending.subjects import subjects_of
from tests.api.people import Town
from tests.api.worker import begin
from tests.fixtures.made_runs import CALL

BUDGETS = "/api/v1/budgets"


async def capped(client: AsyncClient, **body: object) -> dict:
    answer = await client.put(BUDGETS, json=body)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


async def test_a_cap_is_set_once_and_changed_after(client: AsyncClient):
    """Scope, subject and period name it, so setting it twice is safe."""
    made = await client.put(BUDGETS, json={"period": "day", "cap_usd": "5.00"})
    again = await client.put(BUDGETS, json={"period": "day", "cap_usd": "7.50"})

    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json()["id"] == again.json()["id"]
    assert Decimal(again.json()["cap_usd"]) == Decimal("7.5")
    assert made.headers["Location"] == f"{BUDGETS}/{made.json()['id']}"
    shown = (await client.get(made.headers["Location"])).json()
    assert (shown["scope"], shown["subject"], shown["left_usd"]) == ("owner", None, "7.5")
    assert shown["resets_at"].endswith("T00:00:00Z")


async def test_budgets_are_listed_page_by_page(client: AsyncClient):
    ids = [
        (await capped(client, scope="project", subject=str(uuid4()), cap_usd=str(n)))["id"] for n in range(3)
    ]
    first = (await client.get(BUDGETS, params={"limit": 2})).json()
    second = (await client.get(BUDGETS, params={"limit": 2, "cursor": first["next_cursor"]})).json()

    assert [each["id"] for each in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None


async def test_a_subject_must_be_the_callers(client: AsyncClient):
    for scope in ("run", "chat", "agent"):
        answer = await client.put(BUDGETS, json={"scope": scope, "subject": str(uuid4()), "cap_usd": "1"})
        assert (answer.status_code, answer.json()["code"]) == (404, f"{scope}_not_found")


async def test_what_cannot_be_meant_is_refused(client: AsyncClient):
    for body in (
        {"cap_usd": "-1"},
        {"cap_usd": "0.00000000001"},
        {"cap_usd": "NaN"},
        {"scope": "owner", "subject": str(uuid4()), "cap_usd": "1"},
        {"scope": "agent", "cap_usd": "1"},
        {"period": "year", "cap_usd": "1"},
        {"cap_usd": "1", "currency": "EUR"},
    ):
        answer = await client.put(BUDGETS, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameters"), body


async def test_a_budget_that_is_gone_is_not_found(client: AsyncClient):
    budget = await capped(client, cap_usd="1")
    assert (await client.delete(f"{BUDGETS}/{budget['id']}")).status_code == 204
    for answer in (
        await client.get(f"{BUDGETS}/{budget['id']}"),
        await client.delete(f"{BUDGETS}/{budget['id']}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "budget_not_found")


async def test_a_run_is_triggered_with_a_budget_of_its_own(client: AsyncClient):
    """The same key and budget are the same request; another budget under the key is another one."""
    asked = {"params": {}, "options": {"budget_usd": "0.25"}}
    url, key = "/api/v1/pipelines/probe/runs", {"Idempotency-Key": "one"}
    run = (await client.post(url, json=asked, headers=key)).json()
    assert (await client.post(url, json=asked, headers=key)).json()["id"] == run["id"]
    other = {**asked, "options": {"budget_usd": "0.50"}}
    assert (await client.post(url, json=other, headers=key)).status_code == 409

    (budget,) = (await client.get(BUDGETS)).json()["items"]
    assert (budget["scope"], budget["subject"], budget["cap_usd"]) == ("run", run["id"], "0.25")


async def test_the_cap_of_an_agent_binds_two_runs_in_its_name(client: AsyncClient, store: Database):
    """One comes by the agent's own door, one names it in its options; the second finds nothing left."""
    says = {"name": "clerk", "instructions": "Name the clause."}
    agent = (await client.post("/api/v1/agents", json=says)).json()["id"]
    budget = await capped(client, scope="agent", subject=agent, cap_usd="0.15")
    body = {"params": {"message": "Hi"}, "options": {"agent_id": agent}}
    runs = [
        (await client.post(f"/api/v1/agents/{agent}/runs", json={"message": "Hi"})).json(),
        (await client.post("/api/v1/pipelines/chat_turn/runs", json=body)).json(),
    ]
    for run in runs:
        assert (await client.get(f"/api/v1/runs/{run['id']}")).json()["agent_id"] == agent
    asked = replace(CALL, most_usd=Decimal("0.10"))
    await reserve(store, await begin(store), asked)
    with pytest.raises(OverBudget):
        await reserve(store, await begin(store), asked)
    shown = (await client.get(f"{BUDGETS}/{budget['id']}")).json()
    assert (Decimal(shown["reserved_usd"]), Decimal(shown["left_usd"])) == (Decimal("0.1"), Decimal("0.05"))


async def test_the_agent_of_another_has_no_budget_of_mine(town: Town):
    """Whoever could set one would learn that the agent is there."""
    uma, otto = town["uma"], town["otto"]
    agent = (await uma.post("/agents", {"name": "clerk", "instructions": "x"})).json()["id"]
    body = {"scope": "agent", "subject": agent, "cap_usd": "1"}
    refused = await otto.call("PUT", "/budgets", json=body)
    assert (refused.status_code, refused.json()["code"]) == (404, "agent_not_found")
    assert (await otto.get("/budgets")).json()["items"] == []


async def reserve(store: Database, run: Claimed, asked: CallRequest) -> None:
    """Set money aside for a call, as the door does before it asks a model."""
    async with store.read() as session:
        subjects = await subjects_of(session, run.id)
        within = Within(subjects, await known_budgets(session, subjects))
    await store.write(reserve_call, run.id, run.attempt, asked, within)


async def test_a_message_is_sent_with_a_budget_for_its_answer(client: AsyncClient):
    chat = (await client.post("/api/v1/chats", json={})).json()
    body = {"content": "Hello", "options": {"budget_usd": "0.10"}}
    turn = (await client.post(f"/api/v1/chats/{chat['id']}/messages", json=body)).json()

    (budget,) = (await client.get(BUDGETS)).json()["items"]
    assert budget["subject"] == turn["run"]["id"]


async def test_raising_or_removing_a_cap_wakes_who_waits_for_it(client: AsyncClient, store: Database):
    for end in ("raise", "remove"):
        run_id = (await client.post("/api/v1/pipelines/probe/runs", json={})).json()["id"]
        claimed = await begin(store)
        budget = await capped(client, scope="run", subject=run_id, cap_usd="0.10")
        why = Waiting(kind=WaitKind.BUDGET, reason="No money is left.", about=budget["id"])
        await store.write(park_run, claimed.id, claimed.attempt, why)
        assert (await client.get(f"/api/v1/runs/{run_id}")).json()["status"] == "waiting"
        if end == "raise":
            await capped(client, scope="run", subject=run_id, cap_usd="0.20")
        else:
            await client.delete(f"{BUDGETS}/{budget['id']}")
        async with store.read() as session:
            assert (await get_run(session, "local", claimed.id)).status is RunStatus.QUEUED
        await begin(store)


async def test_a_user_raises_the_cap_that_their_own_run_waits_at(town: Town):
    """It could only be cancelled: money was an operator's, and no operator is in one's own space."""
    uma, store = town["uma"], town.resources.database
    run = (await uma.post("/pipelines/probe/runs", {"options": {"budget_usd": "0.10"}})).json()
    claimed = await begin(store)
    (budget,) = (await uma.get("/budgets")).json()["items"]
    why = Waiting(kind=WaitKind.BUDGET, reason="No money is left.", about=budget["id"])
    await store.write(park_run, claimed.id, claimed.attempt, why)
    raised = {"scope": "run", "subject": run["id"], "cap_usd": "0.20"}

    assert (await uma.call("PUT", "/budgets", json=raised)).status_code == 200
    async with store.read() as session:
        assert (await get_run(session, user_space(UUID(uma.id)), claimed.id)).status is RunStatus.QUEUED


async def test_a_projects_money_is_its_operators_and_a_viewer_only_looks(town: Town):
    uma, otto = town["uma"], town["otto"]
    project = (await otto.post("/projects", {"name": "Legal"})).json()["id"]
    await otto.call("PUT", f"/projects/{project}/members", json={"email": uma.email, "role": "user"})
    vera = await town.settle("vera", Role.VIEWER)

    for answer in (
        await uma.call("PUT", "/budgets", project, json={"cap_usd": "9"}),
        await vera.call("PUT", "/budgets", json={"cap_usd": "9"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
