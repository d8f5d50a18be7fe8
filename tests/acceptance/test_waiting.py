"""A run waits without a worker, says why in the API and in Prefect, and goes on from where it stood."""

from typing import Any

import httpx
import pytest

from tests.fixtures.stack import PATIENCE, Stack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
REASON = "Somebody must resume the probe before step 2"
PARKS = {"steps": 3, "calls_per_step": 1, "role": "judge", "park_at": 2}


@pytest.mark.one_database
def test_a_waiting_run_is_suspended_in_prefect_with_its_reason(stack: Stack) -> None:
    run = waiting(stack, PARKS)
    assert (run["waiting"]["kind"], run["waiting"]["reason"]) == ("person", REASON)
    state = stack.flow_run(run["flow_run_id"])["state"]
    assert (state["type"], state["name"], state["message"]) == ("PAUSED", "Suspended", REASON)
    assert stack.post(f"/api/v1/runs/{run['id']}/cancel").status_code == 200


def test_a_waiting_run_resumed_through_the_api_pays_no_call_again(stack: Stack) -> None:
    before = stack.provider.total().answers
    run = waiting(stack, PARKS)
    assert stack.post(f"/api/v1/runs/{run['id']}/resume").status_code == 202
    ended = stack.ended(run["id"])
    assert (ended["status"], ended["attempt"], ended["waiting"]) == ("succeeded", 2, None), stack.logs()
    assert ended["flow_run_id"] == run["flow_run_id"]
    assert stack.provider.total().answers - before == 3
    assert stack.final_state(run["flow_run_id"]) == "COMPLETED"
    again = stack.post(f"/api/v1/runs/{run['id']}/resume")
    assert (again.status_code, again.json()["code"]) == (409, "not_waiting")


@pytest.mark.one_database
def test_a_waiting_run_resumed_in_prefect_goes_on(stack: Stack) -> None:
    """What the Resume button of its page does."""
    run = waiting(stack, PARKS)
    answer = httpx.post(
        f"{stack.prefect_url}/flow_runs/{run['flow_run_id']}/resume", timeout=PATIENCE, trust_env=False
    )
    assert answer.json()["status"] == "ACCEPT", answer.text
    ended = stack.ended(run["id"])
    assert (ended["status"], ended["flow_run_id"]) == ("succeeded", run["flow_run_id"]), stack.logs()
    assert stack.final_state(run["flow_run_id"]) == "COMPLETED"


def test_a_waiting_run_cancelled_in_prefect_is_cancelled_in_the_table(stack: Stack) -> None:
    run = waiting(stack, PARKS)
    stack.prefect(f"/flow_runs/{run['flow_run_id']}/set_state", {"state": {"type": "CANCELLING"}})
    assert stack.ended(run["id"])["status"] == "cancelled"


def test_a_run_goes_on_waiting_while_everything_around_it_is_killed(stack: Stack) -> None:
    run = waiting(stack, PARKS)
    around = (("worker", "interactive"), ("deployments.server",), ("deployments.cli", "api"))
    for process in [stack.process_of(*words) for words in around]:
        process.kill()
    eventually(lambda: ready(stack))
    state = stack.flow_run(run["flow_run_id"])["state"]
    assert (state["name"], state["message"]) == ("Suspended", REASON)
    still = stack.get(f"/api/v1/runs/{run['id']}")
    assert (still["status"], still["attempt"]) == ("waiting", 1)
    assert stack.post(f"/api/v1/runs/{run['id']}/resume").status_code == 202
    assert stack.ended(run["id"])["status"] == "succeeded", stack.logs()


@pytest.mark.one_database
def test_an_approval_lets_the_run_go_on(stack: Stack) -> None:
    run = waiting(stack, {"steps": 2, "ask_at": 2})
    assert run["waiting"]["kind"] == "approval"
    asked = stack.get(f"/api/v1/approvals/{run['waiting']['about']}")
    assert (asked["title"], asked["what"]) == ("Run step 2 of the probe?", {"step": 2, "text": "step"})
    assert stack.post(f"/api/v1/runs/{run['id']}/resume").status_code == 202
    eventually(lambda: parked_again(stack, run))
    decided(stack, asked, "approve")
    ended = stack.ended(run["id"])
    assert (ended["status"], ended["result"]["approved_by"]) == ("succeeded", "local"), stack.logs()


@pytest.mark.one_database
def test_a_rejected_run_fails_and_says_why(stack: Stack) -> None:
    run = waiting(stack, {"steps": 2, "ask_at": 1})
    approval_id = run["waiting"]["about"]
    assert approval_id in stack.millrace("approvals")
    stack.millrace("reject", approval_id, "--comment", "too early")
    ended = stack.ended(run["id"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", "approval_rejected")
    assert "too early" in ended["error"]["message"]


@pytest.mark.one_database
def test_an_approval_that_nobody_gives_in_time_ends_the_wait(stack: Stack) -> None:
    run = waiting(stack, {"steps": 1, "ask_at": 1, "ask_expires_in": 10})
    assert run["waiting"]["wake_at"] is not None
    ended = stack.ended(run["id"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", "approval_expired")


def test_a_call_to_the_world_that_was_killed_in_its_middle_is_made_once(stack: Stack) -> None:
    """The line is in the file, and the worker died before it could write so down."""
    run = stack.trigger("probe", {"steps": 1, "touch_at": 1, "touch_seconds": 300})
    file = stack.folder / "probe" / run["id"] / "probe.txt"
    eventually(lambda: file.exists() or None)
    stack.process_of("worker", "interactive").kill()
    run = eventually(lambda: parked_again(stack, run))
    assert (run["waiting"]["kind"], run["attempt"]) == ("answer", 2)
    asked = stack.get(f"/api/v1/approvals/{run['waiting']['about']}")
    assert asked["what"]["tool"] == "append_line"
    assert "Did `append_line` happen?" in stack.flow_run(run["flow_run_id"])["state"]["message"]
    decided(stack, asked, "happened", result={"lines": 1})
    ended = stack.ended(run["id"])
    assert (ended["status"], ended["result"]["lines"]) == ("succeeded", 1), stack.logs()
    assert file.read_text().splitlines() == ["step 1"]


@pytest.mark.one_database
def test_a_provider_that_asks_for_a_long_rest_is_waited_for_without_a_worker(stack: Stack) -> None:
    stack.provider.fail("loop", "status", status=429, retry_after=60)
    run = waiting(stack, {"steps": 1, "calls_per_step": 1, "role": "judge"})
    assert (run["waiting"]["kind"], run["waiting"]["wake_at"] is None) == ("provider", False)
    assert stack.flow_run(run["flow_run_id"])["state"]["name"] == "Suspended"
    # It is back earlier than it said.
    assert stack.post(f"/api/v1/runs/{run['id']}/resume").status_code == 202
    assert stack.ended(run["id"])["status"] == "succeeded", stack.logs()


def decided(stack: Stack, asked: dict[str, Any], decision: str, **more: Any) -> None:
    """Answer a question as it was read."""
    body = {"decision": decision, "digest": asked["digest"], **more}
    answer = stack.post(f"/api/v1/approvals/{asked['id']}/decision", body)
    assert answer.status_code == 200, answer.text


def parked_again(stack: Stack, run: dict[str, Any]) -> dict[str, Any] | None:
    """Return a run once it waits in a later attempt."""
    now = stack.get(f"/api/v1/runs/{run['id']}")
    return now if now["status"] == "waiting" and now["attempt"] > run["attempt"] else None


def waiting(stack: Stack, params: dict[str, Any]) -> dict[str, Any]:
    """Start a probe and return it once it waits."""
    run = stack.trigger("probe", params)

    def parked() -> dict[str, Any] | None:
        now = stack.get(f"/api/v1/runs/{run['id']}")
        assert now["status"] not in {"failed", "succeeded"}, now
        return now if now["status"] == "waiting" else None

    return eventually(parked)


def ready(stack: Stack) -> bool | None:
    """Return whether everything answers; none while it does not."""
    try:
        url = f"{stack.api_url}/readyz?need=prefect&need=workers"
        answer = httpx.get(url, timeout=PATIENCE, trust_env=False)
    except httpx.HTTPError:
        return None
    return True if answer.status_code == 200 else None
