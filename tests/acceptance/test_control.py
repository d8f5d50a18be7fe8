"""Stopping a run works from both sides, and both sides tell the truth after."""

import datetime as dt
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.project_files import ROOT
from tests.fixtures.stack import PATIENCE, WEBHOOK_SECRET, Stack, eventually, stack_running

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
SLOW = {"steps": 2, "step_seconds": 300}
SHIPPED = ROOT / "modules/examples/support_messages.jsonl"
Got = list[tuple[dict[str, str], bytes]]


def test_a_run_cancelled_through_the_api_is_cancelled_in_prefect(stack: Stack) -> None:
    run = started(stack)
    assert stack.post(f"/api/v1/runs/{run['id']}/cancel").status_code in {200, 202}
    assert stack.ended(run["id"])["status"] == "cancelled"
    assert stack.final_state(run["flow_run_id"]) == "CANCELLED"


def test_a_run_cancelled_in_prefect_is_cancelled_in_the_table(stack: Stack) -> None:
    run = started(stack)
    stack.prefect(f"/flow_runs/{run['flow_run_id']}/set_state", {"state": {"type": "CANCELLING"}})
    assert stack.ended(run["id"])["status"] == "cancelled"
    assert stack.final_state(run["flow_run_id"]) == "CANCELLED"


@pytest.mark.one_database
def test_a_flow_that_fails_tells_its_code_and_no_stack_trace(stack: Stack) -> None:
    run = stack.trigger(
        "analysis",
        {"question": "What?", "sources": [{"kind": "folder", "pattern": "no/such/*.md"}]},
        wait=30,
    )
    assert run["status"] == "failed"
    assert run["error"]["code"] == "nothing_to_read"
    assert "Traceback" not in run["error"]["message"]
    assert stack.final_state(run["flow_run_id"]) == "FAILED"


@pytest.mark.one_database
def test_parameters_that_do_not_fit_fail_the_run_before_its_first_line(stack: Stack) -> None:
    """Prefect's API can be told to skip its own check; the row must still end."""
    deployments = stack.prefect("/deployments/filter", {})
    chat = next(one for one in deployments if one["entrypoint"].startswith("flows.chat_turn"))
    flow_run = stack.prefect(
        f"/deployments/{chat['id']}/create_flow_run",
        {
            "parameters": {"params": {"message": "the words of a person", "chat_id": "no id"}},
            "enforce_parameter_schema": False,
        },
    )
    run = eventually(lambda: stack.run_of(flow_run["id"]))
    ended = stack.ended(run["id"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", "invalid_parameters")
    assert "the words of a person" not in stack.logs()


@pytest.mark.one_database
def test_no_succeeded_run_is_shown_as_crashed_in_prefect(stack: Stack) -> None:
    """A lease that ends with its run was once taken for a lost one, and the engine stopped in its act."""
    runs = [stack.trigger("probe", {"steps": 2}) for _ in range(40)]
    flow_runs = [stack.ended(run["id"])["flow_run_id"] for run in runs]
    states = [stack.final_state(one) for one in flow_runs]
    assert states == ["COMPLETED"] * len(runs)


def test_turns_of_one_chat_never_interleave_whoever_starts_them(stack: Stack) -> None:
    """The second message is answered from the first one's answer, never beside it."""
    chat = stack.post("/api/v1/chats", {}).json()["id"]
    deployments = stack.prefect("/deployments/filter", {})
    turn = next(one for one in deployments if one["entrypoint"].startswith("flows.chat_turn"))
    asked: list[str] = []
    for number in range(3):
        sent = stack.post(f"/api/v1/chats/{chat}/messages", {"content": f"Question {number} of the app?"})
        asked.append(sent.json()["run"]["id"])
        stack.prefect(
            f"/deployments/{turn['id']}/create_flow_run",
            {"parameters": {"params": {"message": f"Question {number} of the UI?", "chat_id": chat}}},
        )
    asked.append(stack.trigger("chat_turn", {"message": "The last question?", "chat_id": chat})["id"])

    def all_said() -> list[dict[str, Any]] | None:
        said = stack.get(f"/api/v1/chats/{chat}/messages", limit=50)["items"]
        return said if len(said) == 14 else None

    said = eventually(all_said)
    assert [one["author"] for one in said] == ["user", "assistant"] * 7
    assert all(one["run_id"] == other["run_id"] for one, other in zip(said[::2], said[1::2], strict=True))
    # Those of one door in the order in which they came.
    assert [one["run_id"] for one in said[::2] if one["run_id"] in asked] == asked


def test_a_message_that_interrupts_takes_the_place_of_a_turn_under_way(stack: Stack) -> None:
    slow = started(stack, {"concurrency_key": "report:1"})
    urgent = stack.post(
        "/api/v1/pipelines/probe/runs",
        {"params": {"steps": 1}, "options": {"concurrency_key": "report:1", "on_busy": "interrupt"}},
        params={"wait": 60},
    ).json()
    assert urgent["status"] == "succeeded"
    assert stack.ended(slow["id"])["status"] == "cancelled"
    assert stack.final_state(slow["flow_run_id"]) == "CANCELLED"


@pytest.mark.one_database
def test_a_turn_in_line_that_is_cancelled_in_prefect_is_never_answered(stack: Stack) -> None:
    """No process has it that could hear of it: it was answered when its turn came."""
    chat = stack.post("/api/v1/chats", {}).json()["id"]
    slow = started(stack, {"concurrency_key": f"chat:{chat}"})
    deployments = stack.prefect("/deployments/filter", {})
    turn = next(one for one in deployments if one["entrypoint"].startswith("flows.chat_turn"))
    flow_run = stack.prefect(
        f"/deployments/{turn['id']}/create_flow_run",
        {"parameters": {"params": {"message": "Hello?", "chat_id": chat}}},
    )
    run = eventually(lambda: stack.run_of(flow_run["id"]))
    assert run["status"] == "accepted"
    told = f"Waits for chat:{chat}: another run has it."
    eventually(lambda: stack.flow_run(flow_run["id"])["state"]["message"] == told or None)
    stack.prefect(f"/flow_runs/{flow_run['id']}/set_state", {"state": {"type": "CANCELLING"}})
    assert stack.ended(run["id"])["status"] == "cancelled"
    assert stack.final_state(flow_run["id"]) == "CANCELLED"
    stack.post(f"/api/v1/runs/{slow['id']}/cancel")
    assert stack.ended(slow["id"])["status"] == "cancelled"


@pytest.mark.one_database
def test_a_run_over_its_deadline_fails_and_is_failed_in_prefect(stack: Stack) -> None:
    slow = started(stack, {"deadline_seconds": 10})
    ended = stack.ended(slow["id"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", "deadline_exceeded")
    assert stack.final_state(slow["flow_run_id"]) == "FAILED"


def test_a_cancelled_run_that_is_retried_pays_for_no_finished_call_again(stack: Stack) -> None:
    asked = {"steps": 2, "calls_per_step": 2, "step_seconds": 5, "role": "judge"}
    run = stack.trigger("probe", asked)

    def first_step_done() -> bool | None:
        calls = stack.get(f"/api/v1/runs/{run['id']}/calls")["items"]
        return True if len(calls) >= 3 else None

    eventually(first_step_done)
    stack.post(f"/api/v1/runs/{run['id']}/cancel")
    assert stack.ended(run["id"])["status"] == "cancelled"
    again = stack.post(f"/api/v1/runs/{run['id']}/retry", params={"wait": 60}).json()
    assert (again["status"], again["attempt"]) == ("succeeded", 2)
    calls = stack.get(f"/api/v1/runs/{run['id']}/calls")["items"]
    assert len(calls) == 4
    assert [call["replays"] for call in calls[:2]] == [1, 1]
    assert stack.final_state(again["flow_run_id"]) == "COMPLETED"


@pytest.mark.one_database
def test_a_fork_answers_its_shared_beginning_from_the_ledger(stack: Stack) -> None:
    asked = {"steps": 2, "calls_per_step": 2, "step_seconds": 0, "role": "judge"}
    run = stack.trigger("probe", asked, wait=60)
    fork = stack.post(f"/api/v1/runs/{run['id']}/fork", {"params": {"steps": 3}}, params={"wait": 60}).json()
    assert (fork["status"], fork["forked_from"], fork["params"]["steps"]) == ("succeeded", run["id"], 3)
    calls = stack.get(f"/api/v1/runs/{fork['id']}/calls")["items"]
    assert [(call["replays"], call["copied_from"] is not None) for call in calls] == [(1, True)] * 4 + [
        (0, False)
    ] * 2
    assert 0 < float(fork["cost_usd"]) < float(run["cost_usd"])


@pytest.mark.one_database
def test_a_fork_of_a_chat_turn_is_answered_as_its_source_was(stack: Stack) -> None:
    """What was said since is not in its prompt: all of its calls are those that were paid."""
    chat = stack.post("/api/v1/chats", {}).json()["id"]
    said = f"/api/v1/chats/{chat}/messages"
    turns = [
        stack.post(said, {"content": words}, params={"wait": 60}).json()
        for words in ("What is a lease?", "And a fence?")
    ]
    source = turns[0]["run"]["id"]
    fork = stack.post(f"/api/v1/runs/{source}/fork", {}, params={"wait": 60}).json()
    assert fork["status"] == "succeeded"
    assert fork["result"]["answer"] == turns[0]["answer"]["content"]
    calls = stack.get(f"/api/v1/runs/{fork['id']}/calls")["items"]
    assert [(call["replays"], call["tries"], call["copied_from"] is not None) for call in calls] == [
        (1, 0, True)
    ]
    assert len(stack.get(said)["items"]) == 6


@pytest.mark.one_database
def test_a_run_for_later_begins_when_its_time_has_come(stack: Stack) -> None:
    start_at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=8)
    asked = {"params": {"steps": 1}, "options": {"start_at": start_at.isoformat()}}
    run = stack.post("/api/v1/pipelines/probe/runs", asked).json()
    assert (run["status"], run["flow_run_id"]) == ("accepted", None)
    ended = stack.ended(run["id"])
    assert ended["status"] == "succeeded"
    assert dt.datetime.fromisoformat(ended["result"]["first_line_at"]) >= start_at


def test_a_worker_with_one_slot_takes_the_most_urgent_run_first(tmp_path: Path) -> None:
    with stack_running(tmp_path, WORKER_CONCURRENCY="1") as stack:
        slow = started(stack)
        runs = {}
        for priority in (5, 9, 1, 5):
            asked = {"params": {"steps": 1}, "options": {"priority": priority}}
            runs[stack.post("/api/v1/pipelines/probe/runs", asked).json()["id"]] = priority
        stack.post(f"/api/v1/runs/{slow['id']}/cancel")
        ended = [stack.ended(run_id) for run_id in runs]
    assert [run["status"] for run in ended] == ["succeeded"] * 4
    in_order = sorted(ended, key=lambda run: run["started_at"])
    assert [runs[run["id"]] for run in in_order] == [1, 5, 5, 9]
    usual = [run["id"] for run in in_order if runs[run["id"]] == 5]
    assert usual == [run_id for run_id, priority in runs.items() if priority == 5]


@pytest.mark.one_database
@pytest.mark.parametrize("answers", [[204], [500, 204]], ids=["taken", "refused once"])
def test_another_server_is_told_of_the_end_of_a_run(stack: Stack, answers: list[int]) -> None:
    """It checks the signature with the lines that docs/runs.md gives."""
    with receiver(answers) as (url, got):
        asked = {"params": {"steps": 1}, "options": {"webhook_url": url}}
        run = stack.post("/api/v1/pipelines/probe/runs", asked).json()

        def delivered() -> dict[str, Any] | None:
            # There is none before the run has ended.
            where = f"{stack.api_url}/api/v1/runs/{run['id']}/webhook"
            told = httpx.get(where, timeout=PATIENCE, trust_env=False).json()
            return told if told.get("status") == "delivered" else None

        hook = eventually(delivered)
    assert [each["status"] for each in hook["deliveries"]] == answers
    assert len(got) == len(answers)
    assert len({headers["webhook-id"] for headers, _ in got}) == 1
    for headers, body in got:
        assert genuine(headers, body, WEBHOOK_SECRET)
        assert not genuine(headers, body + b" ", WEBHOOK_SECRET)
    told = json.loads(got[0][1])
    assert (told["type"], told["data"]["id"]) == ("run.succeeded", run["id"])


@pytest.mark.one_database
def test_an_optimizer_in_threads_is_cancelled_and_asks_nothing_more(stack: Stack) -> None:
    """Its threads wait for slow answers of the judge: those are broken off, and no thread asks again."""
    assert stack.trigger("classify", {"message": "Hello"}, wait=60)["status"] == "succeeded"
    stack.post("/api/v1/programs/support.sort/examples", {"content": SHIPPED.read_text()})
    stack.provider.behaviour["loop"].latency_ms, before = 600_000, stack.provider.total()
    try:
        wanted = {"program": "support.sort", "version": 1, "metric": "semantic_f1"}
        optimizers = [{"name": "bootstrap_random_search", "candidates": 2, "labeled": 8}]
        run = stack.trigger("optimize", {**wanted, "optimizers": optimizers})

        # What the provider has got: a call in the ledger may not have left yet.
        eventually(lambda: stack.provider.total().requests >= before.requests + 2 or None)
        stack.post(f"/api/v1/runs/{run['id']}/cancel")
        ended = stack.ended(run["id"])
        assert ended["status"] == "cancelled"
        assert stack.final_state(ended["flow_run_id"]) == "CANCELLED"

        def broken_off() -> bool | None:
            now = stack.provider.total()
            return True if now.abandoned - before.abandoned == now.requests - before.requests else None

        eventually(broken_off)
        sent = stack.provider.total().requests
        stack.trigger("probe", {"steps": 1}, wait=60)
        assert stack.provider.total().requests == sent
        calls = stack.get(f"/api/v1/runs/{run['id']}/calls", limit=200)["items"]
        assert all(call["started_at"] <= ended["finished_at"] for call in calls)
    finally:
        stack.provider.behaviour["loop"].latency_ms = 0


def started(stack: Stack, options: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a run that has begun and would go on for minutes."""
    asked = {"params": SLOW, "options": options or {}}
    run = stack.post("/api/v1/pipelines/probe/runs", asked).json()

    def running() -> dict[str, Any] | None:
        now = stack.get(f"/api/v1/runs/{run['id']}")
        return now if now["status"] == "running" else None

    return eventually(running)


@contextmanager
def receiver(answers: list[int]) -> Iterator[tuple[str, Got]]:
    """A server that gives these answers one after the other; yields its address and what it was sent."""
    got: Got = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(answers[min(len(got), len(answers)) - 1])
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", got
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def genuine(headers: dict[str, str], body: bytes, secret: str) -> bool:
    """What docs/runs.md tells receivers to do."""
    text = (ROOT / "docs/runs.md").read_text()
    (shown,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(shown, names)  # noqa: S102  the code stands in this test
    return bool(names["genuine"](headers, body, secret))
