"""A program that learns, through the real stack: examples in, measured, judged by people."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from tests.fixtures.project_files import ROOT
from tests.fixtures.stack import PATIENCE, Stack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

SHIPPED = ROOT / "modules/examples/support_messages.jsonl"


@pytest.fixture
def taught(stack: Stack) -> Stack:
    """A stack with the shipped examples, and version 1 of the program."""
    run = stack.trigger("classify", {"message": "Hello"}, wait=60)
    assert run["status"] == "succeeded", (run, stack.logs())
    imported = stack.post("/api/v1/programs/support.sort/examples", {"content": SHIPPED.read_text()})
    assert imported.status_code == 200, imported.text
    return stack


@pytest.mark.one_database
def test_a_correction_in_a_chat_becomes_an_example(stack: Stack) -> None:
    chat = stack.post("/api/v1/chats", {"title": ""}).json()
    turn = stack.post(
        f"/api/v1/chats/{chat['id']}/messages", {"content": "What is a lease?"}, params={"wait": 60}
    ).json()
    given = stack.post(
        f"/api/v1/messages/{turn['answer']['id']}/feedback",
        {"score": 0, "correction": "A promise with an end. Ask ada@example.org."},
    )
    assert given.status_code == 201, given.text
    (example,) = stack.get("/api/v1/programs/chat.direct/examples")["items"]
    assert example["expected"] == {"answer": "A promise with an end. Ask [email]."}
    assert example["inputs"]["message"] == "What is a lease?"
    assert (example["message_id"], example["id"]) == (turn["answer"]["id"], given.json()["example_id"])
    measured = stack.trigger(
        "evaluation", {"program": "chat.direct", "split": example["split"], "metric": "f1"}
    )
    result = stack.ended(measured["id"])["result"]
    assert result["scores"][0]["examples"] == 1


@pytest.mark.one_database
def test_two_versions_are_measured_on_the_same_examples(taught: Stack) -> None:
    better = with_demos(taught, 12)
    params = {"program": "support.sort", "version": better, "against": 1, "split": "test"}
    estimate = taught.post("/api/v1/evaluations/estimate", params).json()
    run = taught.trigger("evaluation", params)
    ended = taught.ended(run["id"])
    assert ended["status"] == "succeeded", (ended, taught.logs())
    new, old = ended["result"]["scores"]
    assert estimate["calls"] == 2 * estimate["examples"] == new["examples"] + old["examples"]
    assert new["score"]["value"] > old["score"]["value"] + 0.2
    assert new["score"]["low"] <= new["score"]["value"] <= new["score"]["high"]
    assert ended["result"]["comparison"]["p_value"] < 0.05
    found = taught.get(f"/api/v1/evaluations/{ended['result']['evaluation_id']}")
    assert found["result"] == ended["result"]
    page = taught.get(f"/api/v1/evaluations/{found['id']}/results", limit=10)
    rest = taught.get(f"/api/v1/evaluations/{found['id']}/results", limit=200, cursor=page["next_cursor"])
    results = page["items"] + rest["items"]
    assert len({(one["example_id"], one["version_id"]) for one in results}) == 2 * new["examples"]
    assert [one["score"] for one in results] == sorted(one["score"] for one in results)
    assert all(one["latency_ms"] is not None for one in results)


@pytest.mark.one_database
def test_a_killed_evaluation_pays_nothing_twice(taught: Stack) -> None:
    run = taught.trigger("evaluation", {"program": "support.sort", "split": "train", "at_once": 2})
    eventually(lambda: len(calls(taught, run)) >= 10 or None, every=0.02)
    taught.process_of("worker", "batch").send_signal(signal.SIGKILL)
    ended = taught.ended(run["id"])
    assert ended["status"] == "succeeded", (ended, taught.logs())
    made = calls(taught, run)
    assert len(made) == ended["result"]["scores"][0]["examples"]
    assert sum(call["tries"] - 1 - call["lost"] for call in made) == 0


@pytest.mark.one_database
def test_a_failure_is_counted_with_its_reason(taught: Stack) -> None:
    """The role `judge` asks the loopback provider, which refuses some of its questions."""
    taught.provider.fail("loop", "status", status=400, times=2)
    run = taught.trigger(
        "evaluation",
        {"program": "support.sort", "split": "test", "metric": "semantic_f1", "most": 4, "at_once": 1},
    )
    ended = taught.ended(run["id"])
    assert ended["status"] == "succeeded", ended
    (score,) = ended["result"]["scores"]
    assert (score["examples"], score["failures"]) == (4, 2)
    found = f"/api/v1/evaluations/{ended['result']['evaluation_id']}/results"
    failed = taught.get(found, failed=True)["items"]
    assert {one["error"]["code"] for one in failed} == {"model_refused"}
    assert {one["score"] for one in failed} == {0}


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"metric": "os:getcwd"}, "unknown_metric"),
        ({"metric": "modules.metrics:nothing"}, "unknown_metric"),
        ({"metric": "modules.metrics:Counter"}, "metric_failed"),
        ({"version": 4711}, "program_version_not_found"),
        ({"program": "no.such"}, "unknown_program"),
        ({"program": "analysis.find"}, "too_few_examples"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_any_money_is_spent(
    taught: Stack, params: dict[str, Any], code: str
) -> None:
    run = taught.trigger("evaluation", {"program": "support.sort", **params})
    ended = taught.ended(run["id"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", code), ended
    assert calls(taught, run) == []


OPTIMIZERS = [{"name": "bootstrap_random_search", "candidates": 3, "labeled": 8}]


@pytest.mark.one_database
def test_a_program_gets_better_overnight(taught: Stack) -> None:
    """From poor to better on the split that no optimizer saw; the candidate answers after its promotion."""
    run = taught.trigger(
        "optimize", {"program": "support.sort", "version": 1, "optimizers": OPTIMIZERS, "gate": False}
    )
    ended = taught.ended(run["id"])
    assert ended["status"] == "succeeded", (ended, taught.logs())
    result = ended["result"]
    new, old = result["test"]
    assert new["score"]["value"] > old["score"]["value"] + 0.2
    assert result["comparison"]["p_value"] < 0.05
    version = taught.get(f"/api/v1/programs/support.sort/versions/{result['version']}")
    assert (version["status"], version["origin"]) == ("candidate", "optimization")
    assert version["origin_run_id"] == run["id"]
    assert version["content_hash"] == result["optimizers"][0]["content_hash"]
    proof = taught.get(f"/api/v1/evaluations/{result['evaluation_id']}/results", limit=200)["items"]
    assert len(proof) == new["examples"] + old["examples"]
    plot = plotted(taught, run)
    assert ET.fromstring(plot).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314  our own plot
    assert plot.count("<circle") == 6


def test_a_killed_optimization_repeats_no_finished_call_and_gives_the_same_program(taught: Stack) -> None:
    """The uninterrupted run is the one above: the same seed, examples and base."""
    params = {"program": "support.sort", "version": 1, "optimizers": OPTIMIZERS, "gate": False}
    whole = taught.ended(taught.trigger("optimize", params)["id"])
    run = taught.trigger("optimize", params)
    made = whole["result"]["optimizers"][0]["calls"]
    # Early: the offline model makes hundreds a second, and the rest of them must outlast the kill.
    seen = min(30, made // 3)
    eventually(lambda: len(calls(taught, run)) >= seen or None, every=0.02)
    taught.process_of("worker", "batch").send_signal(signal.SIGKILL)
    ended = taught.ended(run["id"])
    assert (ended["status"], ended["attempt"]) == ("succeeded", 2), (ended, taught.logs())
    again, first = (one["result"]["optimizers"][0] for one in (ended, whole))
    assert (again["content_hash"], again["calls"]) == (first["content_hash"], first["calls"])
    ledger = calls(taught, run)
    assert sum(call["tries"] - 1 - call["lost"] for call in ledger) == 0
    assert sum(call["replays"] for call in ledger) >= seen - 8
    assert ended["result"]["version"] == whole["result"]["version"]
    # Its trials were told again from the first one on, and are in the picture once.
    assert plotted(taught, run).count("<circle") == 6
    assert plotted(taught, run).count('class="score"') == 1


@pytest.mark.one_database
def test_an_optimization_ends_at_its_caps_with_the_best_so_far(taught: Stack) -> None:
    """Two are raced under one cap: each has half of what the measuring leaves of it."""
    race = [{"name": "bootstrap", "labeled": 8}, *OPTIMIZERS]
    params = {"program": "support.sort", "version": 1, "optimizers": race, "gate": False}
    estimate = taught.post("/api/v1/optimizations/estimate", params).json()
    assert [part["name"] for part in estimate["parts"]] == [*(one["name"] for one in race), "measuring"]
    cap = estimate["parts"][-1]["calls"] + 160
    assert cap < estimate["needed_calls"]
    run = taught.trigger("optimize", {**params, "cap_calls": cap, "below_estimate": True})
    ended = taught.ended(run["id"])
    assert ended["status"] == "succeeded", (ended, taught.logs())
    assert len(calls(taught, run)) <= cap
    assert ended["result"]["stopped"] is None
    one, other = ended["result"]["optimizers"]
    assert (one["stopped"], other["stopped"], other["calls"]) == (None, "calls", 80)
    assert other["validation"] is not None


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"optimizers": [{"name": "simba", "batch": 200}]}, "too_few_examples"),
        ({"cap_calls": 10}, "budget_below_estimate"),
        ({"metric": "modules.metrics:Counter"}, "metric_failed"),
        ({"program": "chat.careful"}, "too_few_examples"),
    ],
)
def test_what_cannot_be_improved_is_refused_before_any_money_is_spent(
    taught: Stack, params: dict[str, Any], code: str
) -> None:
    run = taught.trigger("optimize", {"program": "support.sort", "optimizers": OPTIMIZERS, **params})
    ended = taught.ended(run["id"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", code), ended
    assert calls(taught, run) == []


@pytest.mark.one_database
def test_the_command_line_optimizes_with_a_table_at_the_end(taught: Stack, tmp_path: Path) -> None:
    plot = tmp_path / "curve.svg"
    # Another count of demos than the tests before it: the same content would be a version that is served.
    command = [sys.executable, "-m", "deployments.cli", "optimize", "support.sort", "-o", "labeled:demos=10"]
    done = subprocess.run(
        [*command, "--version", "1", "--no-gate", "--plot", str(plot)],
        env={**taught.environment, "MILLRACE_API_URL": taught.api_url},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^about \d+ calls, ", done.stderr, re.MULTILINE)
    assert "labeled" in done.stdout
    assert "On the test split" in done.stdout
    assert "is stored as candidate" in done.stdout
    # It makes no trial: what it and the base scored is all that there is to draw.
    drawn = ET.fromstring(plot.read_text())  # noqa: S314  our own plot
    words = {str(one.text).partition(":")[0] for one in drawn.iterfind(".//{*}text")}
    assert {"as it was", "labeled"} <= words
    assert len(drawn.findall(".//{*}path[@class='score']")) == 1
    assert "No trial" not in plot.read_text()


def plotted(stack: Stack, run: dict[str, Any]) -> str:
    """Return the picture of a run."""
    url = f"{stack.api_url}/api/v1/runs/{run['id']}/plot"
    plot = httpx.get(url, timeout=PATIENCE, trust_env=False)
    assert plot.headers["content-type"].startswith("image/svg+xml")
    return plot.text


def calls(stack: Stack, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the ledger of a run, all pages."""
    found, cursor = [], None
    while True:
        asked = {"limit": 200, **({"cursor": cursor} if cursor else {})}
        page = stack.get(f"/api/v1/runs/{run['id']}/calls", **asked)
        found, cursor = found + page["items"], page["next_cursor"]
        if cursor is None:
            return found


def with_demos(stack: Stack, number: int) -> int:
    """Import a version with so many demos of the training split, and return its number."""
    train = stack.get("/api/v1/programs/support.sort/examples", split="train", limit=200)["items"]
    by_label: dict[str, list[dict[str, Any]]] = {}
    for one in sorted(train, key=lambda each: each["input_hash"]):
        by_label.setdefault(one["expected"]["label"], []).append({**one["inputs"], **one["expected"]})
    turns = [group[i] for i in range(10) for group in by_label.values() if i < len(group)]
    file = stack.get("/api/v1/programs/support.sort/versions/1/export")
    file["state"]["sort"]["demos"] = turns[:number]
    answer = stack.post("/api/v1/programs/support.sort/import", {**file, "content_hash": None})
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()["version"]
