"""Stopping a run works from both sides, and both sides tell the truth after."""

from typing import Any

import httpx
import pytest

from tests.fixtures.stack import Stack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]
SLOW = {"steps": 2, "step_seconds": 300}


def test_a_run_cancelled_through_the_api_is_cancelled_in_prefect(stack: Stack) -> None:
    run = started(stack)
    assert stack.post(f"/api/v1/runs/{run['id']}/cancel").status_code in {200, 202}
    assert stack.ended(run["id"], 10)["status"] == "cancelled"
    assert eventually(lambda: stack.final_state(run["flow_run_id"]), 10) == "CANCELLED"


def test_a_run_cancelled_in_prefect_is_cancelled_in_the_table(stack: Stack) -> None:
    run = started(stack)
    stack.prefect(f"/flow_runs/{run['flow_run_id']}/set_state", {"state": {"type": "CANCELLING"}})
    assert stack.ended(run["id"], 10)["status"] == "cancelled"
    assert eventually(lambda: stack.final_state(run["flow_run_id"]), 10) == "CANCELLED"


def test_a_flow_that_fails_tells_its_code_and_no_stack_trace(stack: Stack) -> None:
    run = stack.trigger(
        "analysis",
        {"question": "What?", "sources": [{"kind": "folder", "pattern": "no/such/*.md"}]},
        wait=30,
    )
    assert run["status"] == "failed"
    assert run["error"]["code"] == "nothing_to_read"
    assert "Traceback" not in run["error"]["message"]
    assert eventually(lambda: stack.final_state(run["flow_run_id"]), 10) == "FAILED"


def test_parameters_that_do_not_fit_fail_the_run_before_its_first_line(stack: Stack) -> None:
    """Prefect's API can be told to skip its own check; the row must still end."""
    deployments = stack.prefect("/deployments/filter", {})
    probe = next(one for one in deployments if one["entrypoint"].startswith("flows.probe"))
    answer = httpx.post(
        f"{stack.prefect_url}/deployments/{probe['id']}/create_flow_run",
        json={"parameters": {"params": {"steps": -5}}, "enforce_parameter_schema": False},
        trust_env=False,
    )
    flow_run = answer.json()
    run = eventually(lambda: run_of(stack, flow_run["id"]), 30)
    ended = stack.ended(run["id"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", "invalid_parameters")


def started(stack: Stack) -> dict[str, Any]:
    """Return a run that has begun and would go on for minutes."""
    run = stack.trigger("probe", SLOW)

    def running() -> dict[str, Any] | None:
        now = stack.get(f"/api/v1/runs/{run['id']}")
        return now if now["status"] == "running" else None

    return eventually(running, 30)


def run_of(stack: Stack, flow_run_id: str) -> dict[str, Any] | None:
    """Return the row of a flow run that Prefect started."""
    runs = stack.get("/api/v1/runs", limit=50)["items"]
    return next((run for run in runs if run["flow_run_id"] == flow_run_id), None)
