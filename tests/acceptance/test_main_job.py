"""Chat and analysis through the real door: HTTP, table, worker, Prefect, DSPy, database, and back."""

import json
from typing import Any

import httpx
import pytest

from tests.fixtures.stack import PATIENCE, Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

LEASES = """# Leases

A worker holds a lease on each run. The lease is renewed every five seconds and expires after fifteen.

# Ledger

A finished model call is recorded in the ledger. A repeated step is answered from it and pays nothing.
"""


def test_a_chat_remembers_what_was_said_before(stack: Stack) -> None:
    chat = stack.post("/api/v1/chats", {"title": ""}).json()
    first = say(stack, chat, "My name is Ada and I work on compilers.")
    second = say(stack, chat, "What is my name?")
    assert "Ada" in second["answer"]["content"], (first, second)
    assert second["answer"]["meta"]["models"] == ["offline"]
    messages = stack.get(f"/api/v1/chats/{chat['id']}/messages")["items"]
    assert [message["author"] for message in messages] == ["user", "assistant", "user", "assistant"]


@pytest.mark.one_database
def test_a_careful_turn_checks_its_own_draft(stack: Stack) -> None:
    chat = stack.post("/api/v1/chats", {"title": "careful"}).json()
    turn = say(stack, chat, "When does a lease expire?", mode="careful", context=LEASES)
    assert "fifteen" in turn["answer"]["content"]
    assert 0 <= turn["answer"]["meta"]["check"]["score"] <= 1
    calls = stack.get(f"/api/v1/runs/{turn['run']['id']}/calls")["items"]
    assert len(calls) in {3, 4}


def test_a_streamed_answer_arrives_in_pieces_that_join_to_the_message(stack: Stack) -> None:
    chat = stack.post("/api/v1/chats", {"title": "stream"}).json()
    pieces, message = [], None
    body = {"content": "What is recorded in the ledger?", "context": LEASES, "stream": True}
    url = f"{stack.api_url}/api/v1/chats/{chat['id']}/messages"
    with httpx.stream("POST", url, json=body, timeout=PATIENCE, trust_env=False) as answer:
        kind = ""
        for line in answer.iter_lines():
            if line.startswith("event:"):
                kind = line[6:].strip()
            elif line.startswith("data:") and kind == "token":
                pieces.append(json.loads(line[5:])["data"]["text"])
            elif line.startswith("data:") and kind == "message":
                message = json.loads(line[5:])
    assert message is not None
    assert "".join(pieces).strip() == message["content"].strip()


def test_an_analysis_quotes_what_stands_in_the_documents(stack: Stack) -> None:
    files = {
        "leases.md": (LEASES, "text/markdown"),
        "table.csv": ("mechanism,seconds\nlease,15\nrenewal,5\n", "text/csv"),
        "page.html": ("<h1>Reaper</h1><p>The reaper puts expired runs back in the queue.</p>", "text/html"),
        "facts.json": (json.dumps({"reaper": {"interval": "2 seconds"}}), "application/json"),
    }
    sources = [{"kind": "file", "file_id": upload(stack, name, *what)} for name, what in files.items()]
    sources.append({"kind": "text", "name": "note", "text": "Expired leases are found by a reaper."})
    run = stack.trigger(
        "analysis",
        {"question": "When does a lease expire, and who notices?", "sources": sources},
        wait=60,
    )
    assert run["status"] == "succeeded", run
    result = run["result"]
    assert (result["documents"], result["skipped"], result["models"]) == (5, [], ["offline"])
    assert result["report"]["answer"]
    quotes = [evidence for finding in result["findings"] for evidence in finding["evidence"]]
    assert any("expires after fifteen" in one["quote"] for one in quotes)
    for one in quotes:
        if one["document"] == "leases.md":
            assert LEASES[one["start"] : one["end"]] == one["quote"]


@pytest.mark.one_database
def test_one_word_and_five_megabytes_are_both_documents(stack: Stack) -> None:
    """The bounds of what analysis promises to read."""
    paragraph = "The mill turns slowly while the river carries grain to the stones. " * 30 + "\n\n"
    text = paragraph * (5 * 1024 * 1024 // len(paragraph) - 1)
    big = upload(stack, "big.txt", text + "The wheel was built in 1887.", "text/plain")
    run = stack.trigger(
        "analysis",
        {
            "question": "When was the wheel built?",
            "sources": [{"kind": "file", "file_id": big}, {"kind": "text", "text": "Wheel."}],
        },
    )
    ended = stack.ended(run["id"])
    assert ended["status"] == "succeeded", ended
    assert ended["result"]["documents"] == 2
    assert ended["result"]["parts"] > 100


def say(stack: Stack, chat: dict[str, Any], content: str, **options: str) -> dict[str, Any]:
    """Say something in a chat and wait for the answer."""
    answer = stack.post(
        f"/api/v1/chats/{chat['id']}/messages", {"content": content, **options}, params={"wait": 60}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def upload(stack: Stack, name: str, text: str, media_type: str) -> str:
    """Upload a file and return its id."""
    answer = httpx.post(
        f"{stack.api_url}/api/v1/files",
        files={"files": (name, text.encode(), media_type)},
        timeout=PATIENCE,
        trust_env=False,
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["items"][0]["id"]
