"""Money through the real stack: capped before it is spent, waited for without a worker, counted once."""

import signal
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.fixtures.stack import PATIENCE, Stack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
# A call costs about 0.00016 and can cost 0.0011: 200 tokens out, and each byte of the prompt a token in.
CALL_AT_MOST = Decimal("0.0012")


def test_a_run_at_its_cap_waits_and_goes_on_at_the_same_step_when_the_cap_is_raised(stack: Stack) -> None:
    before = stack.provider.total().answers
    run = triggered(stack, {"steps": 7, "calls_per_step": 10}, budget_usd="0.01")
    parked = waiting(stack, run)
    assert parked["waiting"]["kind"] == "budget"
    assert "US dollars left" in parked["waiting"]["reason"]
    assert eventually(lambda: suspended(stack, parked))
    budget = budget_of(stack, "run", run["id"])
    assert Decimal("0.008") < Decimal(budget["spent_usd"]) <= Decimal("0.01")
    assert Decimal(budget["reserved_usd"]) == 0
    done = stack.provider.total().answers - before
    assert 50 < done < 70
    capped(stack, {"scope": "run", "subject": run["id"], "cap_usd": "1"})
    ended = stack.ended(run["id"])
    assert (ended["status"], ended["result"]["calls"]) == ("succeeded", 70)
    assert stack.provider.total().answers - before == 70
    calls = calls_of(stack, run)
    assert [call["tries"] for call in calls] == [1] * 70
    assert sum(call["replays"] for call in calls) == done
    after = budget_of(stack, "run", run["id"])
    assert Decimal(after["spent_usd"]) == Decimal(ended["cost_usd"])
    assert stack.final_state(ended["flow_run_id"]) == "COMPLETED"
    alerts = [event for event in events(stack, run) if event["kind"] == "budget"]
    assert [alert["data"]["cap_usd"] for alert in alerts] == ["0.01"]


def test_fifty_runs_at_once_never_spend_more_than_their_owner_allows(stack: Stack) -> None:
    cap = spent_today(stack) + Decimal("0.02")
    budget = capped(stack, {"period": "day", "cap_usd": str(cap)})
    try:
        runs = [triggered(stack, {"steps": 1, "calls_per_step": 4}) for _ in range(50)]
        eventually(lambda: all(rests(stack, run) for run in runs) or None, every=1)
        now = stack.get(f"/api/v1/budgets/{budget['id']}")
        assert Decimal(now["spent_usd"]) + Decimal(now["reserved_usd"]) <= cap
        # It was used up, as far as a further call could not be sure to fit.
        assert Decimal(now["left_usd"]) < CALL_AT_MOST
        assert any(rests(stack, run) == "waiting" for run in runs)
        capped(stack, {"period": "day", "cap_usd": str(cap + 10)})
        ended = [stack.ended(run["id"]) for run in runs]
        assert {run["status"] for run in ended} == {"succeeded"}
        assert stack.get(f"/api/v1/budgets/{budget['id']}")["reserved_usd"] == "0"
    finally:
        remove(stack, budget)


def test_a_worker_killed_at_the_cap_leaves_honest_books(stack: Stack) -> None:
    """What was in flight stays reserved until it is asked again; at the end the sums agree exactly."""
    before = stack.provider.total()
    run = triggered(stack, {"steps": 6, "calls_per_step": 1, "step_seconds": 1}, budget_usd="1")
    eventually(lambda: len(calls_of(stack, run)) >= 3 or None)
    stack.process_of("worker", "interactive").send_signal(signal.SIGKILL)
    ended = stack.ended(run["id"])
    assert (ended["status"], ended["attempt"]) == ("succeeded", 2), stack.logs()
    budget = budget_of(stack, "run", run["id"])
    assert Decimal(budget["spent_usd"]) == Decimal(ended["cost_usd"])
    assert Decimal(budget["reserved_usd"]) == 0
    lost = sum(call["lost"] for call in calls_of(stack, run))
    assert stack.provider.total().answers - before.answers - 6 <= lost <= 1


@pytest.mark.one_database
def test_a_deleted_cap_lets_its_runs_go_on(stack: Stack) -> None:
    run = triggered(stack, {"steps": 1, "calls_per_step": 1}, budget_usd="0.00001")
    waiting(stack, run)
    remove(stack, budget_of(stack, "run", run["id"]))
    assert stack.ended(run["id"])["status"] == "succeeded"


def test_what_children_spend_counts_in_their_parents_budget(stack: Stack) -> None:
    """A parent that waits for its children holds no worker, and they hold its cap together."""
    params = {"steps": 1, "calls_per_step": 2, "children": 10}
    run = triggered(stack, params, budget_usd="0.002")

    def resting() -> list[str] | None:
        family = [each for each in stack.get("/api/v1/runs", limit=50)["items"] if each["id"] >= run["id"]]
        return [each["id"] for each in family] if all(rests(stack, each) for each in family) else None

    family = eventually(resting)
    assert len(family) == 11
    assert waiting(stack, run)["waiting"]["kind"] == "child"
    budget = budget_of(stack, "run", run["id"])
    spent = sum(Decimal(stack.get(f"/api/v1/runs/{one}")["cost_usd"]) for one in family)
    assert spent == Decimal(budget["spent_usd"]) <= Decimal("0.002")
    capped(stack, {"scope": "run", "subject": run["id"], "cap_usd": "1"})
    ended = stack.ended(run["id"])
    assert (ended["status"], ended["result"]["calls"]) == ("succeeded", 22)
    assert len(ended["result"]["children"]) == 10
    assert all(len(calls_of(stack, {"id": child})) == 2 for child in ended["result"]["children"])


def test_cancelling_a_run_cancels_what_it_started(stack: Stack) -> None:
    run = triggered(stack, {"steps": 1, "step_seconds": 3, "children": 2, "role": "chat"})
    parked = waiting(stack, run)
    child = parked["waiting"]["about"]
    assert stack.post(f"/api/v1/runs/{run['id']}/cancel").status_code == 200
    assert stack.ended(child)["status"] == "cancelled"


@pytest.mark.one_database
def test_a_free_model_works_under_a_cap_of_nothing(stack: Stack) -> None:
    run = triggered(stack, {"steps": 1, "calls_per_step": 1, "role": "chat"}, budget_usd="0")
    assert stack.ended(run["id"])["status"] == "succeeded"


def triggered(stack: Stack, params: dict[str, Any], **options: Any) -> dict[str, Any]:
    body = {"params": {"role": "judge", **params}, "options": options}
    answer = stack.post("/api/v1/pipelines/probe/runs", body)
    assert answer.status_code == 202, answer.text
    return answer.json()


def waiting(stack: Stack, run: dict[str, Any]) -> dict[str, Any]:
    """Return a run once it waits."""

    def parked() -> dict[str, Any] | None:
        now = stack.get(f"/api/v1/runs/{run['id']}")
        return now if now["status"] == "waiting" else None

    return eventually(parked)


def rests(stack: Stack, run: dict[str, Any]) -> str | None:
    """Return the status of a run that waits or has ended."""
    status = stack.get(f"/api/v1/runs/{run['id']}")["status"]
    return status if status in {"waiting", "succeeded", "failed", "dead"} else None


def suspended(stack: Stack, run: dict[str, Any]) -> bool | None:
    return stack.flow_run(run["flow_run_id"])["state"]["name"] == "Suspended" or None


def capped(stack: Stack, body: dict[str, Any]) -> dict[str, Any]:
    answer = httpx.put(f"{stack.api_url}/api/v1/budgets", json=body, timeout=PATIENCE, trust_env=False)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


def remove(stack: Stack, budget: dict[str, Any]) -> None:
    url = f"{stack.api_url}/api/v1/budgets/{budget['id']}"
    assert httpx.delete(url, timeout=PATIENCE, trust_env=False).status_code == 204


def budget_of(stack: Stack, scope: str, subject: str) -> dict[str, Any]:
    items = stack.get("/api/v1/budgets", limit=200)["items"]
    return next(each for each in items if (each["scope"], each["subject"]) == (scope, subject))


def spent_today(stack: Stack) -> Decimal:
    """Return what the stack's owner has spent since midnight."""
    budget = capped(stack, {"period": "day", "cap_usd": "1000"})
    spent = Decimal(budget["spent_usd"])
    remove(stack, budget)
    return spent


def calls_of(stack: Stack, run: dict[str, Any]) -> list[dict[str, Any]]:
    return stack.get(f"/api/v1/runs/{run['id']}/calls", limit=200)["items"]


def events(stack: Stack, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the log of a run that has ended."""
    import json

    url = f"{stack.api_url}/api/v1/runs/{run['id']}/events"
    text = httpx.get(url, timeout=PATIENCE, trust_env=False).text
    return [
        json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")
    ]
