"""From an optimization to a canary, through the real stack: compared, asked, approved, begun, traced."""

from typing import Any

import pytest

from tests.acceptance.test_learning import SHIPPED
from tests.fixtures.stack import Stack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.one_database, pytest.mark.timeout(900)]

OPTIMIZERS = [{"name": "labeled", "demos": 12}]


def test_what_an_optimization_found_is_compared_approved_and_begins(stack: Stack) -> None:
    run = stack.trigger("classify", {"message": "Hello"}, wait=60)
    assert run["status"] == "succeeded", (run, stack.logs())
    stack.post("/api/v1/programs/support.sort/examples", {"content": SHIPPED.read_text()})
    stack.post("/api/v1/programs/support.sort/versions/1/promote", {"reason": "from the beginning"})
    found = optimized(stack)
    made = eventually(lambda: recommended(stack, found["recommendation_id"]))
    assert (made["status"], made["candidate"], made["active"]) == ("open", found["version"], 1)
    assert (made["lineage"], made["evaluation_ids"]) == ("optimization", [found["evaluation_id"]])
    assert made["benefit"]["low"] > 0
    gate = eventually(lambda: waiting(stack, found["gate_run_id"]))
    (question,) = stack.get("/api/v1/approvals", run_id=gate["id"])["items"]
    assert question["digest"] == made["digest"]
    decided = stack.post(
        f"/api/v1/recommendations/{made['id']}/decision",
        {"decision": "approve", "digest": made["digest"], "reason": "better"},
    )
    assert decided.status_code == 200, decided.text
    ended = stack.ended(gate["id"])
    assert (ended["status"], ended["result"]["outcome"]) == ("succeeded", "applied"), (ended, stack.logs())
    version = stack.get(f"/api/v1/programs/support.sort/versions/{found['version']}")
    assert version["status"] == "canary"
    lineage = stack.get(f"/api/v1/programs/support.sort/versions/{found['version']}/lineage")
    assert lineage["made_by"]["pipeline"] == "optimize"
    assert lineage["examples"]["train"] > 20
    assert [one["version"] for one in lineage["ancestors"]] == [1]
    assert "applied" in {one["status"] for one in lineage["recommendations"]}
    back = stack.post("/api/v1/programs/support.sort/rollback", {"reason": "the end of the test"})
    assert back.json()["version"] == 1


def optimized(stack: Stack) -> dict[str, Any]:
    """Return the result of an optimization that ended, and did not wait for anybody."""
    params = {"program": "support.sort", "version": 1, "optimizers": OPTIMIZERS}
    ended = stack.ended(stack.trigger("optimize", params)["id"])
    assert ended["status"] == "succeeded", (ended, stack.logs())
    result: dict[str, Any] = ended["result"]
    return result


def recommended(stack: Stack, recommendation_id: str) -> dict[str, Any] | None:
    """Return a recommendation as soon as it is there."""
    found = stack.get("/api/v1/recommendations", program="support.sort", limit=200)["items"]
    if recommendation_id not in {one["id"] for one in found}:
        return None
    made: dict[str, Any] = stack.get(f"/api/v1/recommendations/{recommendation_id}")
    return made


def waiting(stack: Stack, run_id: str) -> dict[str, Any] | None:
    """Return a run once it waits."""
    run: dict[str, Any] = stack.get(f"/api/v1/runs/{run_id}")
    return run if run["status"] == "waiting" else None
