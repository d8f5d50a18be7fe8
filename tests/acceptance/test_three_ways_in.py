"""However a run is started, it ends as one succeeded row with its result, its events and its calls."""

import datetime as dt
import json
import os
import subprocess
import sys
from typing import Any

import httpx
import pytest

from tests.fixtures.stack import Stack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


def test_an_app_calls_the_trigger_endpoint(stack: Stack) -> None:
    run = stack.trigger("probe", {"steps": 2, "calls_per_step": 1}, wait=30)
    assert run["origin"] == "api"
    everything_is_written(stack, run)


def test_a_person_starts_the_deployment_in_prefect(stack: Stack) -> None:
    """`prefect deployment run` makes the same request as the button of the UI."""
    known = newest_of(stack, "ui")
    subprocess.run(
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
    )
    run = eventually(lambda: newest_of(stack, "ui", other_than=known), 30)
    assert run is not None
    everything_is_written(stack, stack.ended(run["id"]))


def test_a_schedule_comes_due(stack: Stack) -> None:
    deployment = stack.prefect("/deployments/filter", {"deployments": {"name": {"any_": ["default"]}}})
    probe = next(one for one in deployment if one["entrypoint"].startswith("flows.probe"))
    soon = {
        "active": True,
        "slug": "soon",
        "parameters": {"params": {"steps": 2, "calls_per_step": 1}},
        "schedule": {
            "interval": 3600,
            "anchor_date": (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=10)).isoformat(),
        },
    }
    stack.prefect(f"/deployments/{probe['id']}/schedules", [soon])
    run = eventually(lambda: newest_of(stack, "schedule"), 90)
    everything_is_written(stack, stack.ended(run["id"]))


def newest_of(stack: Stack, origin: str, other_than: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """Return the newest run of an origin, or none while there is no other than a known one."""
    runs = [run for run in stack.get("/api/v1/runs", limit=20)["items"] if run["origin"] == origin]
    known = other_than["id"] if other_than else None
    return runs[0] if runs and runs[0]["id"] != known else None


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
    in_prefect = eventually(lambda: stack.final_state(run["flow_run_id"]), 20)
    assert in_prefect == "COMPLETED"


def events_of(stack: Stack, run_id: str) -> list[dict[str, Any]]:
    """Return the whole event stream of a finished run."""
    with httpx.stream("GET", f"{stack.api_url}/api/v1/runs/{run_id}/events", trust_env=False) as answer:
        return [json.loads(line[5:]) for line in answer.iter_lines() if line.startswith("data:")]
