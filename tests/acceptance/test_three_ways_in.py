"""However a run is started, it ends as one succeeded row with its result, its events and its calls."""

import datetime as dt
import json
import os
import re
import subprocess
import sys
from typing import Any

import httpx
import pytest

from tests.fixtures.stack import PATIENCE, Stack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def test_an_app_calls_the_trigger_endpoint(stack: Stack) -> None:
    run = stack.trigger("probe", {"steps": 2, "calls_per_step": 1}, wait=60)
    assert run["origin"] == "api"
    everything_is_written(stack, run)


def test_a_person_starts_the_deployment_in_prefect(stack: Stack) -> None:
    """`prefect deployment run` makes the same request as the button of the UI."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "prefect", "deployment", "run", "probe/default"),
            *("--param", f"params={json.dumps({'steps': 2, 'calls_per_step': 1})}"),
        ],
        env={
            **os.environ,
            "PREFECT_API_URL": stack.prefect_url,
            "PREFECT_HOME": str(stack.folder / "client"),
        },
        check=True,
        capture_output=True,
        text=True,
    )
    flow_run_id = re.search(r"UUID: ([0-9a-f-]{36})", done.stdout)[1]
    run = eventually(lambda: stack.run_of(flow_run_id))
    assert run["origin"] == "ui"
    everything_is_written(stack, stack.ended(run["id"]))


def test_a_schedule_comes_due(stack: Stack) -> None:
    deployment = stack.prefect("/deployments/filter", {"deployments": {"name": {"any_": ["default"]}}})
    probe = next(one for one in deployment if one["entrypoint"].startswith("flows.probe"))
    soon = {
        "active": True,
        "slug": "soon",
        "parameters": {"params": {"steps": 2, "calls_per_step": 1}},
        # Again and again: a server that looks late for new schedules would miss the only time of an hour.
        "schedule": {"interval": 10, "anchor_date": dt.datetime.now(dt.UTC).isoformat()},
    }
    (made,) = stack.prefect(f"/deployments/{probe['id']}/schedules", [soon])
    try:
        run = eventually(lambda: scheduled(stack))
    finally:
        schedule = f"{stack.prefect_url}/deployments/{probe['id']}/schedules/{made['id']}"
        assert httpx.delete(schedule, timeout=PATIENCE, trust_env=False).is_success
    everything_is_written(stack, stack.ended(run["id"]))


@pytest.mark.one_database
def test_a_deployment_says_whose_its_runs_are(stack: Stack) -> None:
    """Nobody who signs in is in the space `local`: no schedule's run was ever seen there."""
    password = "correct horse battery\n"
    said = stack.millrace("user", "create", "owner@example.org", "--json", typed=password)
    theirs = started_for(stack, f"user:{json.loads(said)['id']}")
    assert stack.final_state(theirs) == "COMPLETED"
    assert stack.run_of(theirs) is None, "it is not of the space `local`, which asks here"
    nobodys = started_for(stack, "user:nobody")
    assert stack.final_state(nobodys) == "FAILED"
    assert "job variable `owner`" in stack.flow_run(nobodys)["state"]["message"]


def started_for(stack: Stack, owner: str) -> str:
    """Start a probe of a deployment that names this owner; return the flow run's id."""
    deployments = stack.prefect("/deployments/filter", {"deployments": {"name": {"any_": ["default"]}}})
    probe = next(one for one in deployments if one["entrypoint"].startswith("flows.probe"))
    kept = {name: probe[name] for name in ("flow_id", "entrypoint", "work_pool_name", "pull_steps")}
    made = stack.prefect("/deployments/", {**kept, "name": "owned", "job_variables": {"owner": owner}})
    started = {"parameters": {"params": {"steps": 1}}, "state": {"type": "SCHEDULED"}}
    return str(stack.prefect(f"/deployments/{made['id']}/create_flow_run", started)["id"])


def scheduled(stack: Stack) -> dict[str, Any] | None:
    """Return a probe that a schedule has started; the nightly work of others is none."""
    runs = stack.get("/api/v1/runs", limit=50)["items"]
    return next((run for run in runs if (run["origin"], run["pipeline"]) == ("schedule", "probe")), None)


def everything_is_written(stack: Stack, run: dict[str, Any]) -> None:
    """The row, the events, the calls, and Prefect's state tell the same story."""
    assert run["status"] == "succeeded", (run, stack.logs())
    assert (run["result"]["steps"], run["result"]["calls"]) == (2, 2)
    calls = stack.get(f"/api/v1/runs/{run['id']}/calls")["items"]
    assert [(call["step"], call["status"], call["deployment"]) for call in calls] == [
        ("nothing[1]", "succeeded", "offline"),
        ("nothing[2]", "succeeded", "offline"),
    ]
    events = events_of(stack, run["id"])
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    states = [event["data"]["status"] for event in events if event["kind"] == "state"]
    assert states == ["accepted", "queued", "running", "succeeded"]
    assert sum(event["kind"] == "cost" for event in events) == 2
    in_prefect = stack.final_state(run["flow_run_id"])
    assert in_prefect == "COMPLETED"


def events_of(stack: Stack, run_id: str) -> list[dict[str, Any]]:
    """Return the whole event stream of a finished run."""
    url = f"{stack.api_url}/api/v1/runs/{run_id}/events"
    with httpx.stream("GET", url, timeout=PATIENCE, trust_env=False) as answer:
        return [json.loads(line[5:]) for line in answer.iter_lines() if line.startswith("data:")]
