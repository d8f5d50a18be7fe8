"""Recommendations over HTTP: compared on request, decided once, and never by those whose work it is."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx2
import pytest

from contracts.approvals import Asking
from contracts.people import Role, project_space, user_space
from contracts.programs import VersionOrigin
from contracts.recommendations import Recommendation
from contracts.runs import Waiting, WaitKind
from database.engine import Database
from database.learning.examples import all_examples
from database.learning.lineage import made_with
from database.learning.programs import get_version
from database.learning.serving import pin_versions, promote
from database.queue.approvals import ask
from database.queue.parking import park_run
from runtime.ids import new_id
from tests.api.people import Town
from tests.api.worker import begin, succeed
from tests.fixtures.made_programs import NAME, add, file_of, register, state
from tests.fixtures.made_recommendations import recommended
from tests.fixtures.made_runs import accepted

HERE = "/api/v1"
COMPARE = {"program": NAME, "version": 2}
YES: dict[str, Any] = {"decision": "approve", "digest": "d" * 64, "reason": "fine"}


async def prepared(store: Database, owner: str = "local") -> None:
    """Two versions, of which the first answers."""
    await register(store)
    for text in ("a", "b"):
        await add(store, text, owner)
    await store.write(promote, owner, NAME, 1, by="ada", reason="first")


async def asked(store: Database, owner: str = "local", not_by: tuple[str, ...] = ()) -> Recommendation:
    """Let the gate's run, which was accepted before, recommend and wait for the decision."""
    claimed = await begin(store, "batch")
    async with store.read() as session:
        active, candidate = [await get_version(session, owner, NAME, number) for number in (1, 2)]
    made = await recommended(store, candidate, active, owner=owner, run_id=claimed.id)
    question = await store.write(
        ask,
        claimed.id,
        owner,
        asking=Asking.APPROVAL,
        step="flow/recommendation",
        title=made.title,
        what={"recommendation_id": str(made.id)},
        digest=made.digest,
        needs_scope="programs:promote",
        not_by=not_by,
    )
    waiting = Waiting(kind=WaitKind.APPROVAL, reason=made.title, about=str(question.id))
    await store.write(park_run, claimed.id, claimed.attempt, waiting)
    return made


async def test_a_comparison_is_a_run_whose_recommendation_has_its_address_at_once(
    client: httpx2.AsyncClient, store: Database
):
    await prepared(store)
    started = await client.post(f"{HERE}/recommendations", json=COMPARE)
    assert started.status_code == 202, started.text
    told = started.json()
    assert (told["run"]["pipeline"], told["run"]["started_by"]) == ("gate", "local")
    missing = await client.get(f"{HERE}/recommendations/{told['recommendation_id']}")
    assert (missing.status_code, missing.json()["code"]) == (404, "recommendation_not_found")
    made = await asked(store)
    shown = (await client.get(f"{HERE}/recommendations/{told['recommendation_id']}")).json()
    assert (shown["id"], shown["status"], shown["diff"]["after"]) == (str(made.id), "open", 2)
    listed = (await client.get(f"{HERE}/recommendations", params={"status": "open"})).json()["items"]
    assert [one["id"] for one in listed] == [str(made.id)]


async def test_what_does_not_exist_is_not_compared(client: httpx2.AsyncClient, store: Database):
    await prepared(store)
    wrong = await client.post(f"{HERE}/recommendations", json={**COMPARE, "version": 7})
    assert (wrong.status_code, wrong.json()["code"]) == (404, "program_version_not_found")


async def test_what_a_comparison_would_take_is_told_before(client: httpx2.AsyncClient, store: Database):
    await prepared(store)
    told = (await client.post(f"{HERE}/recommendations/estimate", json=COMPARE)).json()
    assert Decimal(told.pop("usd")) == 0
    assert told == {"examples": 0, "replays": 0, "calls": 0, "seconds": 0}


async def test_a_decision_counts_once_and_wakes_the_run(client: httpx2.AsyncClient, store: Database):
    await prepared(store)
    await client.post(f"{HERE}/recommendations", json=COMPARE)
    made = await asked(store)
    address = f"{HERE}/recommendations/{made.id}/decision"
    other = await client.post(address, json={**YES, "digest": "e" * 64})
    assert (other.status_code, other.json()["code"]) == (409, "digest_mismatch")
    approved = await client.post(address, json=YES)
    assert (approved.status_code, approved.json()["status"]) == (200, "approved")
    run = (await client.get(f"{HERE}/runs/{made.run_id}")).json()
    assert run["status"] == "queued"
    again = await client.post(address, json={**YES, "decision": "refuse"})
    assert (again.status_code, again.json()["code"]) == (409, "not_open")
    log = (await client.get(f"{HERE}/audit", params={"target": f"recommendation:{made.id}"})).json()["items"]
    assert [(line["action"], line["actor"]) for line in log] == [
        ("recommendation.approved", "local"),
        ("recommendation.made", "millrace"),
    ]


async def test_an_approved_one_can_be_applied_by_hand(client: httpx2.AsyncClient, store: Database):
    await prepared(store)
    await client.post(f"{HERE}/recommendations", json=COMPARE)
    made = await asked(store)
    early = await client.post(f"{HERE}/recommendations/{made.id}/apply")
    assert (early.status_code, early.json()["code"]) == (409, "not_approved")
    await client.post(f"{HERE}/recommendations/{made.id}/decision", json=YES)
    applied = await client.post(f"{HERE}/recommendations/{made.id}/apply")
    assert (applied.status_code, applied.json()["status"]) == (200, "applied")
    version = (await client.get(f"{HERE}/programs/{NAME}/versions/2")).json()
    assert version["status"] == "canary"


async def in_project(town: Town) -> str:
    """A project of Ada's, in which Uma and Otto are operators; its program has two versions."""
    project = (await town["ada"].post("/projects", {"name": "Support"})).json()["id"]
    for name, role in (("uma", "operator"), ("otto", "operator")):
        body = {"email": town[name].email, "role": role}
        await town["ada"].call("PUT", f"/projects/{project}/members", json=body)
    await prepared(town.resources.database, project_space(project))
    return project


@pytest.mark.parametrize("way", ["recommendation", "approval"])
async def test_nobody_approves_their_own_work(town: Town, way: str):
    """Uma started the comparison: not with her password, not with a key of hers; Otto may."""
    project = await in_project(town)
    owner, uma, otto = project_space(project), town["uma"], town["otto"]
    started = await uma.post("/recommendations", COMPARE, project)
    starter = started.json()["run"]["started_by"]
    assert starter == f"user:{uma.id}"
    made = await asked(town.resources.database, owner, (starter,))
    (question,) = (await otto.get("/approvals", project)).json()["items"]
    address, sent = f"/recommendations/{made.id}/decision", YES
    if way == "approval":
        address = f"/approvals/{question['id']}/decision"
        sent = {"decision": "approve", "digest": YES["digest"]}
    own = await uma.post(address, sent, project)
    assert (own.status_code, own.json()["code"]) == (403, "four_eyes")
    key = await uma.key("approvals:decide", "programs:promote", project=project)
    with_key = await town.with_credential(key, "POST", address, json=sent)
    assert (with_key.status_code, with_key.json()["code"]) == (403, "four_eyes")
    others = await otto.post(address, sent, project)
    assert (others.status_code, others.json()["status"]) == (200, "approved")


async def test_an_imported_version_is_the_work_of_the_person_whatever_key_they_use(town: Town):
    project = await in_project(town)
    uma, otto = town["uma"], town["otto"]
    file = file_of(state("by hand"), content_hash=None)
    key = await uma.key("programs:write", project=project)
    new = await town.with_credential(key, "POST", f"/programs/{NAME}/import", json=file)
    assert (new.status_code, new.json()["imported_by"]) == (201, f"user:{uma.id}")
    again = await otto.post(f"/programs/{NAME}/import", file, project)
    assert (again.status_code, again.json()["imported_by"]) == (200, f"user:{uma.id}")


async def test_whoever_started_it_may_take_it_back(town: Town):
    project = await in_project(town)
    started = await town["uma"].post("/recommendations", COMPARE, project)
    made = await asked(
        town.resources.database, project_space(project), (started.json()["run"]["started_by"],)
    )
    refused = await town["uma"].post(
        f"/recommendations/{made.id}/decision", {**YES, "decision": "refuse"}, project
    )
    assert (refused.status_code, refused.json()["status"]) == (200, "refused")


async def test_who_may_decide_but_not_promote_cannot_approve(town: Town):
    project = await in_project(town)
    await town["uma"].post("/recommendations", COMPARE, project)
    made = await asked(town.resources.database, project_space(project))
    key = await town["otto"].key("approvals:decide", project=project)
    answer = await town.with_credential(key, "POST", f"/recommendations/{made.id}/decision", json=YES)
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


async def test_in_their_own_space_a_user_approves_and_undoes_four_eyes(town: Town):
    """Nobody else is there who could."""
    uma, store, path = town["uma"], town.resources.database, f"/programs/{NAME}/policy"
    owner = user_space(UUID(uma.id))
    await prepared(store, owner)
    await uma.post("/recommendations", COMPARE)
    made = await asked(store, owner)
    approved = await uma.post(f"/recommendations/{made.id}/decision", YES)
    assert (approved.status_code, approved.json()["status"]) == (200, "approved")
    for wanted in (True, False):
        told = await uma.call("PUT", path, json={"four_eyes": wanted})
        assert (told.status_code, told.json()["four_eyes"]) == (200, wanted)


async def test_a_policy_is_set_by_those_who_promote(town: Town):
    project = await in_project(town)
    path = f"/programs/{NAME}/policy"
    assert (await town["otto"].get(path, project)).json()["mode"] == "approval"
    wanted = {"mode": "auto_low_risk", "four_eyes": True, "minimum_cases": 30}
    told = await town["otto"].call("PUT", path, project, json=wanted)
    assert (told.status_code, told.json()["minimum_cases"]) == (200, 30)
    off = await town["otto"].call("PUT", path, project, json={"four_eyes": False})
    assert (off.status_code, off.json()["code"]) == (403, "four_eyes")
    assert (await town["ada"].call("PUT", path, project, json={})).status_code == 200
    await town.settle("vera", Role.VIEWER)
    mine = await town["vera"].call("PUT", path, json=wanted)
    assert (mine.status_code, mine.json()["code"]) == (403, "missing_scope")


async def test_four_eyes_need_people(client: httpx2.AsyncClient, store: Database):
    await prepared(store)
    wrong = await client.put(f"{HERE}/programs/{NAME}/policy", json={"four_eyes": True})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "no_people")
    bad = await client.put(f"{HERE}/programs/{NAME}/policy", json={"canary_percent": 80})
    assert bad.status_code == 422


async def test_an_answer_is_traced_to_the_feedback_behind_its_version(
    client: httpx2.AsyncClient, store: Database
):
    """Answer, version, the run that made it, its examples, the feedback that they come from."""
    await register(store)
    first = await add(store, "a")
    await store.write(promote, "local", NAME, 1, by="ada", reason="first")
    learned = await accepted(
        store, pipeline="classify", pool="interactive", params={"message": "Where is it?"}
    )
    claimed = await begin(store)
    await store.write(pin_versions, learned.id, {NAME: first.id})
    await succeed(store, claimed, {"label": "billing", "program_version": 1, "models": []})
    given = await client.post(
        f"{HERE}/runs/{learned.id}/feedback", json={"correction": {"label": "shipping"}, "comment": "no"}
    )
    assert given.status_code == 201, given.text
    optimization = await accepted(store, pipeline="optimize", started_by="user:ada")
    second = await add(store, "b", parent_id=first.id, origin_run_id=optimization.id)
    async with store.read() as session:
        examples = await all_examples(session, "local", NAME)
    await store.write(made_with, second.id, [one.id for one in examples])
    await recommended(store, second, first)
    answer = await accepted(store)
    await store.write(pin_versions, answer.id, {NAME: second.id})
    lineage = (await client.get(f"{HERE}/runs/{answer.id}/lineage")).json()
    (version,) = lineage["versions"]
    assert (version["version"]["version"], version["version"]["origin"]) == (2, VersionOrigin.IMPORT)
    assert [one["version"] for one in version["ancestors"]] == [1]
    assert (version["made_by"]["id"], version["made_by"]["started_by"]) == (str(optimization.id), "user:ada")
    (example,) = version["learned_from"]
    assert (example["run_id"], example["version_id"]) == (str(learned.id), str(first.id))
    assert (example["feedback"]["run_id"], example["feedback"]["comment"]) == (str(learned.id), "no")
    assert sum(version["examples"].values()) == 1
    assert [one["status"] for one in version["recommendations"]] == ["open"]
    direct = (await client.get(f"{HERE}/programs/{NAME}/versions/2/lineage")).json()
    assert direct == version
    missing = await client.get(f"{HERE}/runs/{new_id()}/lineage")
    assert (missing.status_code, missing.json()["code"]) == (404, "run_not_found")


async def test_what_is_set_and_removed_of_budgets_stands_in_the_log(client: httpx2.AsyncClient):
    made = (await client.put(f"{HERE}/budgets", json={"period": "day", "cap_usd": "5.00"})).json()
    await client.delete(f"{HERE}/budgets/{made['id']}")
    log = (await client.get(f"{HERE}/audit", params={"target": f"budget:{made['id']}"})).json()["items"]
    assert [(line["action"], line["detail"]["cap_usd"]) for line in log] == [
        ("budget.removed", "5"),
        ("budget.set", "5"),
    ]
