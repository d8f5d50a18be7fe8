"""A model call that finished is never paid again: not when its step is retried, not when its worker dies."""

import signal
from typing import Any

import pytest

from tests.fixtures.stack import Stack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def test_a_step_that_fails_after_its_calls_is_retried_from_the_ledger(stack: Stack) -> None:
    before = stack.provider.total().answers
    run = stack.trigger("probe", {"steps": 2, "calls_per_step": 2, "fail_at": 2, "role": "judge"}, wait=60)
    assert run["status"] == "succeeded", run
    calls = calls_of(stack, run)
    assert stack.provider.total().answers - before == 4
    assert [(call["step"], call["n"], call["tries"], call["replays"]) for call in calls] == [
        ("nothing[1]", 0, 1, 0),
        ("nothing[1]", 1, 1, 0),
        ("nothing[2]", 0, 1, 1),
        ("nothing[2]", 1, 1, 1),
    ]


@pytest.mark.one_database
def test_two_identical_calls_in_one_step_are_two_recorded_answers(stack: Stack) -> None:
    run = stack.trigger("probe", {"steps": 1, "calls_per_step": 2}, wait=60)
    first, second = calls_of(stack, run)
    assert first["fingerprint"] == second["fingerprint"]
    assert (first["n"], second["n"]) == (0, 1)


def test_the_cost_of_a_run_is_the_sum_of_its_calls_to_the_last_digit(stack: Stack) -> None:
    before = stack.provider.total()
    run = stack.trigger("probe", {"steps": 1, "calls_per_step": 3, "role": "judge"}, wait=60)
    after = stack.provider.total()
    # One dollar for a million tokens in, two for a million out: so many millionths of a dollar.
    served = (after.input_tokens - before.input_tokens) + 2 * (after.output_tokens - before.output_tokens)
    assert round(float(run["cost_usd"]) * 1e6, 6) == served
    assert sum(float(call["cost_usd"]) for call in calls_of(stack, run)) == pytest.approx(served / 1e6)


@pytest.mark.one_database
def test_a_provider_that_stumbles_costs_tries_and_not_the_run(stack: Stack) -> None:
    stack.provider.fail("loop", "status", status=500)
    stack.provider.fail("loop", "status", status=429, retry_after=1)
    run = stack.trigger("probe", {"steps": 1, "calls_per_step": 1, "role": "judge"}, wait=60)
    assert run["status"] == "succeeded", run
    (call,) = calls_of(stack, run)
    assert call["tries"] == 3


def test_a_killed_worker_pays_only_for_what_was_not_finished(stack: Stack) -> None:
    """Recovery within 20 s: the lease of 15 s runs out, the reaper looks every 2 s."""
    before = stack.provider.total().answers
    run = stack.trigger("probe", {"steps": 6, "calls_per_step": 1, "step_seconds": 1, "role": "judge"})
    eventually(lambda: len(calls_of(stack, run)) >= 3 or None)
    stack.process_of("worker", "interactive").send_signal(signal.SIGKILL)
    ended = stack.ended(run["id"])
    assert (ended["status"], ended["attempt"]) == ("succeeded", 2), stack.logs()
    calls = calls_of(stack, run)
    assert len(calls) == 6
    assert sum(call["replays"] for call in calls) >= 2
    paid = stack.provider.total().answers - before
    assert paid - 6 <= sum(call["lost"] for call in calls) <= 1
    receipt = stack.get(f"/api/v1/runs/{run['id']}/receipt")
    assert [each["ended"] for each in receipt["attempts"]] == ["worker_lost", "succeeded"]
    assert receipt["calls"]["answered"] == 6
    assert receipt["calls"]["sent"] == 6 + receipt["calls"]["lost"] >= paid
    assert receipt["money"]["spent_usd"] == ended["cost_usd"]
    assert float(receipt["money"]["saved_usd"]) > 0
    assert receipt["seconds_saved"] > 0
    in_prefect = stack.final_state(ended["flow_run_id"])
    assert in_prefect == "COMPLETED"


def calls_of(stack: Stack, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the ledger of a run."""
    return stack.get(f"/api/v1/runs/{run['id']}/calls")["items"]
