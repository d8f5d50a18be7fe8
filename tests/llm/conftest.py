"""A door to scripted providers over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dspy.lm15 import Message, Request

from llm.door import Door
from llm.ledger import StepCalls
from llm.quiet_litellm import NOISE
from llm.settings import LlmSettings
from tests.fixtures.model_server import ModelServer
from tests.fixtures.notebook_ledger import NotebookLedger

# Warnings are errors here, and inside LiteLLM's streams an error is a broken stream.
QUIET = [pytest.mark.filterwarnings(f"ignore:{message}") for message in NOISE]
KEY = "sk-loopback-1234567890abcdef"
# Nothing but a provider's silence is ever waited for as long as this: the machine may be busy.
PATIENT = {"timeout_seconds": 60, "idle_seconds": 60}
# For tests of that silence. Whoever stands in has as long, so it is no moment either.
SOON = {"timeout_seconds": 3, "idle_seconds": 3}
OpenDoor = Callable[..., Awaitable[Door]]


@pytest.fixture(scope="module")
def one_server() -> Iterator[ModelServer]:
    """One server per file; threads are cheap, but not free."""
    server = ModelServer().start()
    yield server
    server.stop()


@pytest.fixture
def server(one_server: ModelServer) -> ModelServer:
    """The file's provider, well-behaved and with empty books; it says `good answer to you`."""
    one_server.behaviour.clear()
    one_server.stats.clear()
    one_server.bodies.clear()
    one_server.keys.clear()
    one_server.behaviour["*"].text = "good answer to you"
    return one_server


@pytest.fixture
async def open_door(
    server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OpenDoor]:
    """Opens a door whose roles ask the named models in their order; closes it after the test."""
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    doors: list[Door] = []

    async def open_(*models: str, policies: dict[str, Any] | None = None, **extra: Any) -> Door:
        provider = {
            "kind": "openai_compatible",
            "base_url": server.url,
            "key_name": "LOOPBACK_KEY",
            "cost": {"input_per_million": 0.15, "output_per_million": "0.6"},
            **extra,
        }
        told = {
            "providers": {name: {**provider, "model": name} for name in models or ("first",)},
            "routing": {"default": list(models or ("first",))},
            "policies": {**PATIENT, **(policies or {})},
        }
        path = tmp_path / "providers.yaml"
        path.write_text(yaml.safe_dump(told))
        door = Door.open(LlmSettings(providers_file=path, llm_concurrency=16))
        doors.append(door)
        return door

    yield open_
    for door in doors:
        await door.close()


@pytest.fixture
def ledger() -> NotebookLedger:
    return NotebookLedger()


@pytest.fixture
def calls(ledger: NotebookLedger) -> StepCalls:
    """The calls of the first attempt of a step."""
    return StepCalls(ledger, "answer")


async def eventually(true: Callable[[], object]) -> None:
    """Wait until something is so, for what other threads and processes do."""
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110  a thread's counter has no event of this loop
            await asyncio.sleep(0.01)


def asked(text: str = "What is promised?") -> Request:
    """A request as DSPy hands it to the engine."""
    return Request(model="millrace/chat", messages=(Message.user(text),))
