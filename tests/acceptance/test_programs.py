"""Versions of programs through the real stack: pinned by runs, promoted without a restart, kept as files."""

import json
import signal
import time
from typing import Any

import pytest

from tests.fixtures.stack import Stack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

MESSAGE = "Where is my parcel? The courier never came."
DEMOS = [
    {"message": "My parcel was not delivered by the courier", "label": "shipping"},
    {"message": "Please refund the payment on my card", "label": "billing"},
]


@pytest.mark.one_database
def test_a_promotion_is_noticed_without_a_restart(stack: Stack) -> None:
    poor = classified(stack)
    assert (poor["label"], poor["models"]) == ("access", ["offline"])
    version = imported(stack, "support.sort", "sort", demos=DEMOS)
    promote(stack, "support.sort", version)
    better = eventually(lambda: newer(classified(stack), poor), every=0.5)
    assert (better["label"], better["program_version"]) == ("shipping", version)
    back = stack.post("/api/v1/programs/support.sort/rollback", {"reason": "to see it"})
    assert back.json()["version"] == poor["program_version"]
    eventually(lambda: newer(classified(stack), better), every=0.5)
    changes = stack.get("/api/v1/programs/support.sort/changes")["items"]
    assert [one["action"] for one in changes][:2] == ["rollback", "promote"]


@pytest.mark.one_database
def test_a_chat_answer_traces_to_its_version(stack: Stack) -> None:
    chat = stack.post("/api/v1/chats", {"title": ""}).json()
    turn = stack.post(f"/api/v1/chats/{chat['id']}/messages", {"content": "Hello?"}, params={"wait": 60})
    meta = turn.json()["answer"]["meta"]
    version = stack.get(f"/api/v1/programs/chat.direct/versions/{meta['program_version']}")
    assert (meta["program"], version["status"]) == ("chat.direct", "active")
    used = stack.get(f"/api/v1/runs/{turn.json()['run']['id']}/programs")["items"]
    # The program of the other mode took no part: what becomes of this answer says nothing about it.
    assert [one["version_id"] for one in used] == [version["id"]]


@pytest.mark.one_database
def test_a_killed_run_goes_on_with_the_version_that_it_began_with(stack: Stack) -> None:
    """Its finished calls were answers to that version's prompts."""
    big = "A paragraph about mills and rivers. " * 40 + "\n\n"
    sources = [{"kind": "text", "name": f"d{n}", "text": big * 20} for n in range(10)]
    run = stack.trigger("analysis", {"question": "What about mills?", "sources": sources})
    eventually(lambda: stack.get(f"/api/v1/runs/{run['id']}/programs")["items"] or None)
    before = stack.get(f"/api/v1/runs/{run['id']}/programs")["items"]
    stack.process_of("worker", "batch").send_signal(signal.SIGKILL)
    promote(stack, "analysis.report", imported(stack, "analysis.report", "write", instructions="Write."))
    ended = stack.ended(run["id"])
    assert (ended["status"], ended["attempt"]) == ("succeeded", 2), stack.logs()
    assert stack.get(f"/api/v1/runs/{run['id']}/programs")["items"] == before


@pytest.mark.one_database
def test_the_command_line_shows_compares_and_moves_versions(stack: Stack, tmp_path: Any) -> None:
    classified(stack)
    listed = json.loads(stack.millrace("programs", "list", "--json"))["items"]
    assert "support.sort" in {one["name"] for one in listed}
    file = tmp_path / "sort.json"
    stack.millrace("programs", "export", "support.sort", "1", "--to", str(file))
    exported = json.loads(file.read_text())
    exported["state"]["sort"]["signature"]["instructions"] = f"Sort it, {time.time_ns()}."
    file.write_text(json.dumps({**exported, "content_hash": None}))
    said = stack.millrace("programs", "import", str(file))
    number = said.split(" version ")[1].split(":")[0]
    assert "+Sort it" in stack.millrace("programs", "diff", "support.sort", "1", number)
    assert "active" in stack.millrace("programs", "promote", "support.sort", number, "-m", "by hand")
    assert "version 1" in stack.millrace("programs", "rollback", "support.sort")
    assert "by hand" in stack.millrace("programs", "changes", "support.sort")


def classified(stack: Stack) -> dict[str, Any]:
    """Sort the message and return the result."""
    run = stack.trigger("classify", {"message": MESSAGE}, wait=60)
    assert run["status"] == "succeeded", (run, stack.logs())
    return run["result"]


def newer(result: dict[str, Any], than: dict[str, Any]) -> dict[str, Any] | None:
    """Return the result when another version gave it."""
    return result if result["program_version"] != than["program_version"] else None


def imported(stack: Stack, program: str, predictor: str, **changes: Any) -> int:
    """Import a changed copy of version 1 and return its number."""
    file = stack.get(f"/api/v1/programs/{program}/versions/1/export")
    part = file["state"][predictor]
    part["demos"] = changes.get("demos", part["demos"])
    part["signature"]["instructions"] = changes.get("instructions", part["signature"]["instructions"])
    answer = stack.post(f"/api/v1/programs/{program}/import", {**file, "content_hash": None})
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()["version"]


def promote(stack: Stack, program: str, version: int) -> None:
    """Promote a version."""
    answer = stack.post(f"/api/v1/programs/{program}/versions/{version}/promote", {"reason": "test"})
    assert answer.status_code == 200, answer.text
