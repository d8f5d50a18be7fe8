"""The arena and experiments through the real stack: two models compared, and one of them promoted."""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from tests.fixtures.stack import PATIENCE, Stack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

KIND = "rivers"
RIVERS = {"Paris": "Seine", "Vienna": "Danube", "Cologne": "Rhine", "London": "Thames", "Rome": "Tiber"}
TASKS = [
    {
        "input": f"Which river flows through mark-{number:012x} and {town}?",
        "reference": f"The {river} flows through {town}.",
        "kind": KIND,
    }
    for number, (town, river) in enumerate(RIVERS.items())
]
PARAMS = {"tasks": TASKS, "contestants": [{"deployment": "offline"}, {"deployment": "other"}]}


@pytest.fixture
def another(stack: Stack) -> Iterator[str]:
    """A second deployment, whose model says the same to everything; a run may ask it at once."""
    write_deployment(stack, "other")
    stack.provider.behaviour["other"].text = "It is the Rhine, and mills stand on it."
    yield "other"
    stack.provider.behaviour["other"].text = None
    stack.provider.behaviour["*"].latency_ms = 0


@pytest.mark.one_database
@pytest.mark.usefixtures("another")
def test_a_killed_arena_repeats_no_call_and_people_vote_on_its_matches(stack: Stack) -> None:
    """The offline model and one over HTTP answer; the judge is asked over HTTP as well, in both orders."""
    provider = stack.provider
    before = provider.total().answers
    provider.behaviour["*"].latency_ms = 3000  # the end is far away until the worker is killed
    run = stack.trigger("arena", {**PARAMS, "at_once": 2})
    eventually(lambda: calls_of(stack, run)["succeeded"] >= 3 or None)
    stack.process_of("worker", "batch").send_signal(signal.SIGKILL)
    provider.behaviour["*"].latency_ms = 0
    ended = stack.ended(run["id"])
    assert (ended["status"], ended["attempt"]) == ("succeeded", 2), stack.logs()
    result = ended["result"]
    assert (result["tasks"], result["answers"], result["failures"]) == (5, 10, 0)
    assert result["matches"] == result["judged"] == 5
    ledger = calls_of(stack, run)
    judged = len([step for step in ledger["steps"] if step.startswith("judge[")])
    assert ledger["succeeded"] == 10 + 2 * judged
    # What was finished was answered by the ledger; nothing was sent that it does not know of.
    assert ledger["replays"] >= 3
    # What was in flight at the kill may have been answered, and nobody was alive to write that down.
    receipt = stack.get(f"/api/v1/runs/{run['id']}/receipt")["calls"]
    assert (receipt["answered"], receipt["lost"]) == (ledger["succeeded"], ledger["lost"])
    assert receipt["sent"] == receipt["answered"] + receipt["lost"]
    answered = provider.total().answers - before
    assert ledger["paid"] <= answered <= ledger["paid"] + receipt["lost"], stack.logs()
    assert ledger["lost"] <= 3

    board = stack.get("/api/v1/arena/leaderboard", kind=KIND)
    assert {one["contestant"] for one in board["items"]} == {"offline", "other"}
    assert board["compared"] == 5
    voted = 0
    following = f"{stack.api_url}/api/v1/arena/matches/next?kind={KIND}"
    while (answer := httpx.get(following, timeout=PATIENCE, trust_env=False)).status_code == 200:
        blind = answer.json()
        votes = f"/api/v1/arena/matches/{blind['id']}/votes"
        seen = stack.post(votes, {"choice": "first"}).json()
        assert {seen["first"]["contestant"], seen["second"]["contestant"]} == {"offline", "other"}
        assert stack.post(votes, {"choice": "tie"}).json()["code"] == "already_voted"
        voted += 1
    assert voted == judged
    told = json.loads(stack.millrace("arena", "--kind", KIND, "--json"))
    assert told["compared"] == 5 + voted
    assert "offline" in stack.millrace("arena", "--once")


@pytest.mark.one_database
def test_an_experiment_on_a_role_is_stable_counted_and_its_arm_promoted_and_undone(stack: Stack) -> None:
    arms = [{"deployment": "loopback"}, {"deployment": "other"}]
    body = {"role": "judge", "arms": arms, "metric": "success", "name": "which judge"}
    wrong = stack.post("/api/v1/experiments", {**body, "arms": [arms[0], {"deployment": "nobody"}]})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "unknown_deployment")
    add_deployment(stack, "other")
    started = stack.post("/api/v1/experiments", body).json()
    again = stack.post("/api/v1/experiments", body)
    assert (again.status_code, again.json()["code"]) == (409, "experiment_running")

    def runs() -> Counter[str]:
        for _ in range(4):
            run = stack.trigger("probe", {"steps": 1, "calls_per_step": 2, "role": "judge"}, wait=60)
            assert run["status"] == "succeeded", (run, stack.logs())
            deployments = {call["deployment"] for call in ledger_of(stack, run)}
            assert len(deployments) == 1  # all calls of a run are its arm's
            asked.update(deployments)
        return asked

    asked: Counter[str] = Counter()
    eventually(lambda: runs() if len(asked) == 2 else runs() and None, every=0)
    seen = stack.get(f"/api/v1/experiments/{started['id']}")
    counted = {arm["name"]: arm["runs"] for arm in seen["results"]}
    assert sum(counted.values()) <= sum(asked.values())  # a run may have begun before a worker noticed
    assert counted["other"] == asked["other"]
    assert all(arm["success"]["mean"] == 1 for arm in seen["results"] if arm["runs"])

    said = stack.millrace("experiments", "promote", started["id"], "other", "-m", "it is new")
    assert "other answers from now on" in said
    assert "other" in stack.millrace("models")
    eventually(lambda: answered_by(stack, "other"))
    assert stack.millrace("models", "restore", "judge").startswith("judge: as config")
    eventually(lambda: answered_by(stack, "loopback"))
    assert stack.get("/api/v1/providers")["overrides"] == []


def write_deployment(stack: Stack, name: str) -> None:
    """Write a second deployment into the stack's file."""
    file = stack.folder / "providers.yaml"
    told = yaml.safe_load(file.read_text())
    told["providers"][name] = {**told["providers"]["loopback"], "model": name}
    file.write_text(yaml.safe_dump(told))


def add_deployment(stack: Stack, name: str) -> None:
    """Write a second deployment into the stack's file, and wait until the API knows it."""
    write_deployment(stack, name)

    def known() -> bool | None:
        models = stack.get("/api/v1/models")["items"]
        return any(one["name"] == name and one["configured"] for one in models) or None

    eventually(known)


def answered_by(stack: Stack, name: str) -> bool | None:
    """Ask the role once, and return whether this deployment answered."""
    run = stack.trigger("probe", {"steps": 1, "calls_per_step": 1, "role": "judge"}, wait=60)
    return {call["deployment"] for call in ledger_of(stack, run)} == {name} or None


def ledger_of(stack: Stack, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a run's calls."""
    return list(stack.get(f"/api/v1/runs/{run['id']}/calls", limit=200)["items"])


def calls_of(stack: Stack, run: dict[str, Any]) -> dict[str, Any]:
    """Return how many calls of a run have an answer, how many were lost in flight, and their steps."""
    calls = ledger_of(stack, run)
    return {
        "succeeded": sum(call["status"] == "succeeded" for call in calls),
        "lost": sum(call["lost"] for call in calls),
        "replays": sum(call["replays"] for call in calls),
        "paid": sum(call["status"] == "succeeded" and call["deployment"] != "offline" for call in calls),
        "steps": {call["step"] for call in calls},
    }
