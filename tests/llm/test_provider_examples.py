"""Each provider of docs/providers.md, asked on a loopback server that speaks its wire format."""

from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from llm.door import Door
from llm.ledger import StepCalls
from llm.settings import LlmSettings
from tests.fixtures.model_server import ModelServer
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.fixtures.project_files import ROOT
from tests.llm.conftest import QUIET, asked

pytestmark = QUIET

KEY = "sk-example-1234567890abcdef"
# Each example of the guide, and how its key arrives; only its address is replaced by the loopback server's.
EXAMPLES = {
    "openai": "Bearer " + KEY,
    "anthropic": KEY,
    "deepseek": "Bearer " + KEY,
    "qwen": "Bearer " + KEY,
    "ollama": "",
    "own-server": "Bearer no-key-needed",
}


def example(name: str) -> dict[str, object]:
    """Return the provider that the guide shows under a name."""
    guide = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
    blocks = [part.split("```", 1)[0] for part in guide.split("```yaml\n")[1:]]
    found = [
        told["providers"][name]
        for block in blocks
        if name in (told := yaml.safe_load(block)).get("providers", {})
    ]
    assert len(found) == 1, f"the guide shows {name} {len(found)} times"
    return found[0]


@pytest.fixture
def door_to(tmp_path: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch):
    """Opens a door to one of the guide's providers at the loopback server."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY", "DASHSCOPE_API_KEY"):
        monkeypatch.setenv(name, KEY)

    def open_(name: str) -> Door:
        provider = example(name)
        root = server.url.removesuffix("/v1")
        provider["base_url"] = root if provider["kind"] in {"anthropic", "ollama_chat"} else server.url
        path = tmp_path / "providers.yaml"
        path.write_text(yaml.safe_dump({"providers": {name: provider}, "routing": {"default": [name]}}))
        return Door.open(LlmSettings(providers_file=path))

    return open_


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_the_example_of_a_provider_is_answered_with_its_tokens_and_its_key(
    door_to, server: ModelServer, calls: StepCalls, ledger: NotebookLedger, name: str, streamed: bool
):
    """What a newcomer copies from the guide must work, and its bill must be what the provider counted."""
    door = door_to(name)
    engine = door.lm("chat", calls).engine.twin

    if streamed:
        text = "".join([event.delta.text async for event in engine.stream(asked()) if event.type == "delta"])
    else:
        text = (await engine.complete(asked())).text

    assert text == "good answer to you"
    assert server.keys == [EXAMPLES[name]]
    served, answer = server.total(), ledger.only.answer
    assert answer is not None
    assert answer.deployment == name
    assert str(example(name)["model"]) in answer.model
    assert (answer.input_tokens, answer.output_tokens) == (served.input_tokens, served.output_tokens)
    if name in {"openai", "anthropic", "deepseek", "qwen"}:
        assert answer.cost_usd is not None, "LiteLLM's map has no price for the model of the example"
        assert answer.cost_usd > 0
    else:
        assert answer.cost_usd in {None, Decimal(0)}
    await door.close()


@pytest.mark.parametrize("name", EXAMPLES)
async def test_a_provider_that_fails_is_recognised_whatever_its_wire_format(
    door_to, server: ModelServer, calls: StepCalls, ledger: NotebookLedger, name: str
):
    server.fail("*", "status", status=429, times=0)
    door = door_to(name)

    with pytest.raises(Exception, match="rate limit"):
        await door.lm("chat", calls).acall(request=asked())

    assert ledger.only.error is not None
    assert ledger.only.error.code == "model_rate_limited"
    assert server.total().requests == 1
    await door.close()


@pytest.mark.parametrize("name", EXAMPLES)
async def test_a_provider_whose_connection_breaks_is_asked_once(
    door_to, server: ModelServer, calls: StepCalls, ledger: NotebookLedger, name: str
):
    """LiteLLM would ask once more by itself, unseen by the ledger; who had read the first may bill both."""
    server.fail("*", "reset", times=0)
    door = door_to(name)

    with pytest.raises(Exception, match="failed"):
        await door.lm("chat", calls).acall(request=asked())

    assert ledger.only.error is not None
    assert ledger.only.error.code == "model_unavailable"
    assert server.total().requests == 1
    await door.close()
