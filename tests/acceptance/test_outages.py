"""What is away for a while costs time, and no run."""

import time

import httpx
import pytest

from tests.fixtures.stack import PATIENCE, Stack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def test_a_run_is_accepted_while_prefect_is_down_and_starts_when_it_is_back(stack: Stack) -> None:
    stack.process_of("deployments.server").kill()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{stack.prefect_url}/health", timeout=PATIENCE, trust_env=False)
    answer = stack.post("/api/v1/pipelines/probe/runs", {"params": {"steps": 2, "calls_per_step": 1}})
    assert answer.status_code == 202, answer.text
    ended = stack.ended(answer.json()["id"])
    # A worker that has not seen the outage yet may take the run and put it back: that costs no attempt.
    put_back = ended["max_attempts"] - 3
    assert (ended["status"], ended["attempt"] - put_back) == ("succeeded", 1), stack.logs()
    calls = stack.get(f"/api/v1/runs/{ended['id']}/calls")["items"]
    assert [call["status"] for call in calls] == ["succeeded"] * 2
    assert stack.final_state(ended["flow_run_id"]) == "COMPLETED"


def test_a_database_that_is_killed_under_a_run_costs_it_time_and_no_attempt(
    stack: Stack, request: pytest.FixtureRequest
) -> None:
    if "mysql" not in stack.environment.get("DATABASE_URL", ""):
        pytest.skip("a SQLite file has no server that could die")
    server = request.getfixturevalue("mariadb_server")
    run = stack.trigger("probe", {"steps": 6, "calls_per_step": 1, "step_seconds": 0.5})
    eventually(lambda: stack.get(f"/api/v1/runs/{run['id']}/calls")["items"] or None)
    server.kill()
    time.sleep(2)
    server.start()
    ended = stack.ended(run["id"])
    assert (ended["status"], ended["attempt"]) == ("succeeded", 1), stack.logs()
    calls = stack.get(f"/api/v1/runs/{run['id']}/calls")["items"]
    assert [call["status"] for call in calls] == ["succeeded"] * 6
