"""What runs ask, over HTTP: listed, shown, decided once, and about exactly one thing."""

from httpx2 import AsyncClient

from contracts.approvals import Approval, Asking
from contracts.runs import Waiting, WaitKind
from database.engine import Database
from database.queue.approvals import ask
from database.queue.parking import park_run
from runtime.ids import new_id
from tests.api.worker import begin

APPROVALS = "/api/v1/approvals"
PROBE = "/api/v1/pipelines/probe/runs"
DIGEST = "d" * 64


async def asked(client: AsyncClient, store: Database) -> Approval:
    """Let a run ask something and wait for the answer."""
    await client.post(PROBE, json={"params": {}})
    claimed = await begin(store)
    approval = await store.write(
        ask,
        claimed.id,
        "local",
        asking=Asking.APPROVAL,
        step="flow/approval",
        title="Release 7?",
        what={"release": 7},
        digest=DIGEST,
    )
    waiting = Waiting(kind=WaitKind.APPROVAL, reason=approval.title, about=str(approval.id))
    await store.write(park_run, claimed.id, claimed.attempt, waiting)
    return approval


async def test_what_waits_is_listed_and_shown_with_its_digest(client: AsyncClient, store: Database):
    approval = await asked(client, store)
    (line,) = (await client.get(APPROVALS, params={"status": "pending"})).json()["items"]
    assert (line["id"], line["title"], "what" in line) == (str(approval.id), "Release 7?", False)
    shown = (await client.get(f"{APPROVALS}/{approval.id}")).json()
    assert (shown["what"], shown["digest"], shown["status"]) == ({"release": 7}, DIGEST, "pending")
    run = (await client.get(f"/api/v1/runs/{approval.run_id}")).json()
    assert run["waiting"]["about"] == str(approval.id)


async def test_a_decision_counts_once_and_the_run_goes_on(client: AsyncClient, store: Database):
    approval = await asked(client, store)
    address = f"{APPROVALS}/{approval.id}/decision"
    decision = {"decision": "approve", "digest": DIGEST, "comment": "checked"}
    approved = await client.post(address, json=decision)
    assert (approved.status_code, approved.json()["status"]) == (200, "approved")
    assert approved.json()["decided_by"] == "local"
    assert (await client.get(f"/api/v1/runs/{approval.run_id}")).json()["status"] == "queued"
    again = await client.post(address, json={**decision, "decision": "reject"})
    assert (again.status_code, again.json()["code"]) == (409, "already_decided")


async def test_a_decision_about_something_else_is_refused(client: AsyncClient, store: Database):
    approval = await asked(client, store)
    refused = await client.post(
        f"{APPROVALS}/{approval.id}/decision", json={"decision": "approve", "digest": "e" * 64}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "digest_mismatch")


async def test_an_answer_that_the_question_does_not_know_is_refused(client: AsyncClient, store: Database):
    approval = await asked(client, store)
    refused = await client.post(
        f"{APPROVALS}/{approval.id}/decision", json={"decision": "happened", "digest": DIGEST}
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "decision_not_offered")


async def test_what_nobody_asked_is_not_found(client: AsyncClient):
    missing = await client.get(f"{APPROVALS}/{new_id()}")
    assert (missing.status_code, missing.json()["code"]) == (404, "approval_not_found")
