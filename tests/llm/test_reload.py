"""A changed providers.yaml: taken over without a restart, or refused with the old one in use."""

import asyncio
import os
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from llm.door import Door
from llm.ledger import StepCalls
from llm.settings import LlmSettings
from tests.fixtures.model_server import ModelServer
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.llm.conftest import QUIET, OpenDoor, asked, eventually

pytestmark = QUIET


def change(path: Path, **routing: object) -> None:
    """Change the file's routing. Its time is moved on, for file systems that count whole seconds."""
    told = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(told | {"routing": {**told["routing"], **routing}}))
    later = path.stat().st_mtime + 2
    os.utime(path, (later, later))


async def test_a_changed_file_is_used_without_a_restart(
    open_door: OpenDoor, server: ModelServer, tmp_path: Path
):
    door = await open_door("first", "second")
    assert not await door.reload()
    change(tmp_path / "providers.yaml", chat=["second"])

    assert await door.reload()

    await door.lm("chat").acall(request=asked())
    assert (server.stats["first"].requests, server.stats["second"].requests) == (0, 1)
    assert door.describe()["chat"] == ("second",)
    assert not await door.reload()


async def test_a_file_with_a_mistake_changes_nothing_and_says_so_until_it_is_mended(
    open_door: OpenDoor, server: ModelServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Somebody saves half a line in an editor; runs must not notice."""
    door = await open_door("first", "second")
    change(tmp_path / "providers.yaml", chat=["sceond"])

    assert not await door.reload()

    assert "did you mean `second`" in (door.problem or "")
    assert "the old one stays in use" in caplog.text
    await door.lm("chat").acall(request=asked())
    assert server.stats["first"].requests == 1
    caplog.clear()
    assert not await door.reload()
    assert caplog.text == ""  # once is enough
    change(tmp_path / "providers.yaml", chat=["second"])
    assert await door.reload()
    assert door.problem is None


async def test_a_kind_that_litellm_does_not_know_is_refused_too(open_door: OpenDoor, tmp_path: Path):
    """It is seen later than the rest, when the old deployments could be half gone."""
    door = await open_door("first")
    path = tmp_path / "providers.yaml"
    path.write_text(path.read_text().replace("kind: openai_compatible", "kind: opneai"))

    assert not await door.reload()

    assert "opneai" not in str(door.providers)
    assert "LiteLLM does not know the kind of `first`" in (door.problem or "")


async def test_a_call_under_way_ends_as_it_began(open_door: OpenDoor, server: ModelServer, tmp_path: Path):
    server.behaviour["first"].latency_ms = 300
    door = await open_door("first", "second")
    call = asyncio.create_task(door.lm("chat").acall(request=asked()))
    await eventually(lambda: server.stats["first"].requests)
    change(tmp_path / "providers.yaml", default=["second"])

    assert await door.reload()

    await call
    assert server.stats["first"].answers == 1


async def test_a_call_costs_by_the_price_that_held_when_it_was_made(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls, ledger: NotebookLedger, tmp_path: Path
):
    """A price that changes must change no bill of yesterday, and every bill from now on."""
    door = await open_door("first", cost={"input_per_million": 1, "output_per_million": 0})
    path = tmp_path / "providers.yaml"
    told = yaml.safe_load(path.read_text())
    await door.lm("chat", calls).acall(request=asked())

    for cost in ({"input_per_million": "2.5", "output_per_million": 0}, None):
        told["providers"]["first"]["cost"] = cost
        path.write_text(yaml.safe_dump(told))
        later = path.stat().st_mtime + 2 + 2 * (cost is None)
        os.utime(path, (later, later))
        assert await door.reload()
        await door.lm("chat", calls).acall(request=asked())

    answers = [row.answer for row in ledger.rows.values() if row.answer is not None]
    served = Decimal(server.total().input_tokens) / 3 / 1_000_000
    assert [answer.cost_usd for answer in answers] == [served, served * Decimal("2.5"), None]


async def test_a_deployment_that_rests_still_rests_after_a_change(
    open_door: OpenDoor, server: ModelServer, tmp_path: Path
):
    """Otherwise every save of the file would send all workers at a provider that is down."""
    server.fail("first", "status", times=0)
    door = await open_door("first", "second", policies={"allowed_fails": 0, "cooldown_seconds": 60})
    await door.lm("chat").acall(request=asked())
    change(tmp_path / "providers.yaml", judge=["second"])
    assert await door.reload()

    await door.lm("chat").acall(request=asked("again"))

    assert server.stats["first"].requests == 1


async def test_the_first_provider_and_the_last_can_come_and_go(server: ModelServer, tmp_path: Path):
    """From the offline model to a real one and back, in a running worker."""
    path = tmp_path / "providers.yaml"
    path.write_text("providers: {}\n")
    door = Door.open(LlmSettings(providers_file=path))
    own = {"kind": "openai_compatible", "model": "first", "base_url": server.url}
    path.write_text(yaml.safe_dump({"providers": {"first": own}, "routing": {"default": ["first"]}}))

    assert await door.reload()
    assert (await door.lm("chat").acall(request=asked())).text == "good answer to you"
    path.write_text("providers: {}  # none again\n")
    assert await door.reload()

    assert door.describe()["chat"] == ("offline",)
    await door.close()
