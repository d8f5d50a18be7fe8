"""Every deployment of a role is down: runs wait without a worker, and wake by themselves or fail in time."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import yaml

from tests.fixtures.stack import Stack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
ROLE = "reflector"  # which no other test of the stack asks
ASKS_ONCE = {"steps": 1, "calls_per_step": 1, "role": ROLE}


@pytest.fixture
def pair(stack: Stack) -> Iterator[Callable[[str, str, float], None]]:
    """Routes the role to two deployments of these names, the first asked first, whose rests last so long."""
    file = stack.folder / "providers.yaml"
    usual = file.read_text()

    def routed(first: str, second: str, rest_seconds: float) -> None:
        told = yaml.safe_load(usual)
        for name in (first, second):
            told["providers"][name] = {**told["providers"]["loopback"], "model": name}
        told["routing"][ROLE] = [first, second]
        # One failure is enough: the second call of whoever comes finds nobody to ask.
        told["policies"] |= {"allowed_fails": 0, "cooldown_seconds": rest_seconds}
        file.write_text(yaml.safe_dump(told))
        eventually(lambda: answered_by(stack, first), 60)

    yield routed
    file.write_text(usual)
    for name in list(stack.provider.behaviour):
        stack.provider.behaviour[name].faults.clear()


def test_a_run_whose_role_is_down_waits_and_fails_at_its_deadline(
    stack: Stack, pair: Callable[[str, str, float], None]
) -> None:
    pair("east", "west", 60)
    stack.provider.fail("east", "status", status=500, times=0)
    stack.provider.fail("west", "reset", times=0)
    body = {"params": ASKS_ONCE, "options": {"deadline_seconds": 30}}
    run = stack.post("/api/v1/pipelines/probe/runs", body).json()
    waits = eventually(lambda: waiting(stack, run), 29)
    assert waits["waiting"]["kind"] == "provider"
    assert f"nobody can answer the role `{ROLE}` now" in waits["waiting"]["reason"]
    assert "east (model_cooling_down), west (model_cooling_down)" in waits["waiting"]["reason"]
    # It would look again only after its deadline.
    assert waits["waiting"]["wake_at"] > waits["deadline_at"]
    assert stack.flow_run(waits["flow_run_id"])["state"]["name"] == "Suspended"

    ended = stack.ended(run["id"], 90)
    assert (ended["status"], ended["error"]["code"]) == ("failed", "deadline_exceeded"), stack.logs()
    assert (ended["waiting"], Decimal(ended["cost_usd"])) == (None, 0)
    assert {call["status"] for call in calls_of(stack, run)} == {"failed"}
    assert (served(stack, "east"), served(stack, "west")) == (
        1,
        0,
    )  # the one is the question that came before
    assert eventually(lambda: stack.final_state(ended["flow_run_id"]), 60) == "FAILED"


def test_a_run_whose_role_is_down_wakes_by_itself_when_one_of_them_is_back(
    stack: Stack, pair: Callable[[str, str, float], None]
) -> None:
    pair("north", "south", 40)
    stack.provider.fail("north", "status", status=503, times=0)
    stack.provider.fail("south", "status", status=500, times=0)
    run = stack.post("/api/v1/pipelines/probe/runs", {"params": ASKS_ONCE}).json()
    waits = eventually(lambda: waiting(stack, run), 60)
    assert f"nobody can answer the role `{ROLE}` now" in waits["waiting"]["reason"]
    stack.provider.behaviour["south"].faults.clear()

    ended = stack.ended(run["id"], 120)
    assert (ended["status"], ended["error"]) == ("succeeded", None), stack.logs()
    assert ended["attempt"] > 1
    answers = [call for call in calls_of(stack, run) if call["status"] == "succeeded"]
    assert [call["deployment"] for call in answers] == ["south"]
    # One answer and one bill: what it cost is what the one server says it served.
    south = stack.provider.stats["south"]
    assert (south.answers, served(stack, "north")) == (1, 1)
    assert answers[0]["input_tokens"] == south.input_tokens
    assert answers[0]["output_tokens"] == south.output_tokens


def answered_by(stack: Stack, name: str) -> bool | None:
    """Ask the role once, and return whether this deployment answered."""
    run = stack.trigger("probe", ASKS_ONCE, wait=60)
    return {call["deployment"] for call in calls_of(stack, run)} == {name} or None


def calls_of(stack: Stack, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a run's calls."""
    return list(stack.get(f"/api/v1/runs/{run['id']}/calls", limit=200)["items"])


def served(stack: Stack, model: str) -> int:
    """Return how many answers a model gave."""
    return stack.provider.stats[model].answers


def waiting(stack: Stack, run: dict[str, Any]) -> dict[str, Any] | None:
    """Return a run once it waits; one that has ended instead never will."""
    now = stack.get(f"/api/v1/runs/{run['id']}")
    assert now["finished_at"] is None, now
    return now if now["status"] == "waiting" else None
