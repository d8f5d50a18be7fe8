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
    chat = next(one for one in deployments if one["entrypoint"].startswith("flows.chat_turn"))
    answer = httpx.post(
        f"{stack.prefect_url}/deployments/{chat['id']}/create_flow_run",
        json={
            "parameters": {"params": {"message": "the words of a person", "chat_id": "no id"}},
            "enforce_parameter_schema": False,
        },
        trust_env=False,
    )
    flow_run = answer.json()
    run = eventually(lambda: run_of(stack, flow_run["id"]), 30)
    ended = stack.ended(run["id"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", "invalid_parameters")
    assert "the words of a person" not in stack.logs()


def test_no_succeeded_run_is_shown_as_crashed_in_prefect(stack: Stack) -> None:
    """A lease that ends with its run was once taken for a lost one, and the engine stopped in its act."""
    runs = [stack.trigger("probe", {"steps": 2}) for _ in range(40)]
    flow_runs = [stack.ended(run["id"])["flow_run_id"] for run in runs]
    states = [eventually(lambda one=one: stack.final_state(one), 30) for one in flow_runs]
    assert states == ["COMPLETED"] * len(runs)


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
