"""An agent through the real doors: its instructions reach the model, and a run keeps what it began with."""

import json
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.fixtures.model_server import ModelServer
from tests.fixtures.stack import PATIENCE, Stack, eventually, stack_running

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

# The role `chat` asks the loopback provider, which keeps what it is asked.
PROVIDERS = """
providers:
  loopback:
    kind: openai_compatible
    model: loop
    base_url: "%s"
    max_tokens: 200
    cost: {input_per_million: 1, output_per_million: 2}
routing: {default: [offline], chat: [loopback]}
policies: {timeout_seconds: 60, allowed_fails: 1000}
"""
BEFORE, AFTER = "You are Clerk the first, and name the clause.", "You are Clerk the second, and sing."
FACT = "A lease lasts 15 seconds."
SLOW_MS = 1500.0


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def office(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A stack of its own, in which a provider answers chats."""
    provider, settings = ModelServer().start(), {}
    if request.param == "mariadb":
        settings["DATABASE_URL"] = request.getfixturevalue("mariadb_server").new_database()
    with tempfile.TemporaryDirectory(prefix="millrace-agents-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "providers.yaml"
        file.write_text(PROVIDERS % provider.url)
        with stack_running(Path(folder), **settings, PROVIDERS_FILE=str(file)) as running:
            running.provider = provider
            yield running
    provider.stop()


def made(stack: Stack, name: str, instructions: str = BEFORE, mode: str = "direct") -> dict[str, Any]:
    answer = stack.post("/api/v1/agents", {"name": name, "instructions": instructions, "mode": mode})
    assert answer.status_code == 201, answer.text
    return answer.json()


def asked(stack: Stack) -> list[str]:
    """Return what the provider was asked so far, each request as text."""
    assert stack.provider is not None
    return [json.dumps(body["messages"], ensure_ascii=False) for body in stack.provider.bodies]


def test_what_the_owner_wrote_reaches_the_model_in_every_turn_of_the_chat(office: Stack) -> None:
    agent, known = made(office, "clerk"), len(asked(office))
    said = {"message": "How long does a lease last?", "context": FACT}
    run = office.post(f"/api/v1/agents/{agent['id']}/runs", said, params={"wait": 60}).json()
    assert (run["status"], run["agent_version"]) == ("succeeded", 1), run
    assert run["result"]["agent"] == {"id": agent["id"], "name": "clerk", "version": 1}

    chat = run["result"]["chat_id"]
    assert office.get(f"/api/v1/chats/{chat}")["agent_id"] == agent["id"]
    turn = office.post(
        f"/api/v1/chats/{chat}/messages", {"content": "Are you sure?"}, params={"wait": 60}
    ).json()
    assert turn["answer"]["meta"]["agent"] == {"id": agent["id"], "name": "clerk", "version": 1}
    first, second = asked(office)[known:]
    assert BEFORE in first
    assert BEFORE in second
    plain = office.trigger("chat_turn", {"message": "Who are you?"}, wait=60)
    assert (plain["result"]["agent"], plain["agent_version"]) == (None, None)
    assert "agent_instructions" not in asked(office)[-1]


def test_an_agent_answers_openais_client_whole_and_streamed(office: Stack) -> None:
    agent, known = made(office, "v1-clerk"), len(asked(office))
    said = [{"role": "user", "content": f"{FACT} How long does a lease last?"}]
    with openai.OpenAI(base_url=f"{office.api_url}/v1", api_key="any", timeout=PATIENCE) as gpt:
        assert agent["name"] in [model.id for model in gpt.models.list()]
        whole = gpt.chat.completions.create(model="v1-clerk", messages=said)
        chunks = list(gpt.chat.completions.create(model="agent:v1-clerk", messages=said, stream=True))
    words = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert words == whole.choices[0].message.content != ""
    prompts = asked(office)[known:]
    assert len(prompts) == 2
    assert all(BEFORE in prompt for prompt in prompts)
    run = office.get(f"/api/v1/runs/{whole.id.removeprefix('chatcmpl-')}")
    assert (run["agent_id"], run["agent_version"]) == (agent["id"], 1)


def test_neither_an_edit_nor_a_kill_changes_what_a_run_says(office: Stack) -> None:
    """The second attempt asks the same to the letter: what was answered before is found in the ledger."""
    provider = office.provider
    assert provider is not None
    agent, known = made(office, "careful-clerk", mode="careful"), len(asked(office))
    provider.behaviour["loop"].latency_ms = SLOW_MS
    said = {"message": "How long does a lease last?", "context": FACT}
    run = office.post(f"/api/v1/agents/{agent['id']}/runs", said).json()
    eventually(lambda: answered(office, run) or None)
    office.patch(f"/api/v1/agents/{agent['id']}", {"instructions": AFTER, "mode": "direct"})
    office.process_of("worker", "interactive").send_signal(signal.SIGKILL)
    ended = office.ended(run["id"])
    provider.behaviour["loop"].latency_ms = 0.0

    assert (ended["status"], ended["attempt"], ended["agent_version"]) == ("succeeded", 2, 1), office.logs()
    assert ended["result"]["agent"]["version"] == 1
    prompts = asked(office)[known:]
    assert all(BEFORE in prompt and AFTER not in prompt for prompt in prompts), prompts
    calls = office.get(f"/api/v1/runs/{run['id']}/calls")["items"]
    assert sum(call["replays"] for call in calls) >= 1
    assert len(calls) in {3, 4}, (
        calls
    )  # read, draft, check, and perhaps revise: none was asked in other words

    after = office.post(f"/api/v1/agents/{agent['id']}/runs", said, params={"wait": 60}).json()
    assert (after["agent_version"], after["status"]) == (2, "succeeded")
    assert AFTER in asked(office)[-1]


def answered(stack: Stack, run: dict[str, Any]) -> list[dict[str, Any]]:
    calls = stack.get(f"/api/v1/runs/{run['id']}/calls")["items"]
    return [call for call in calls if call["status"] == "succeeded"]
