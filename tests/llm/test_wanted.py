"""A call for one deployment: asked first with stand-ins behind it, or alone."""

from decimal import Decimal

import pytest
import yaml

from llm.door import Door
from llm.errors import ModelError
from llm.ledger import StepCalls
from llm.routing import Wanted
from llm.settings import LlmSettings
from runtime.errors import BadInput
from tests.fixtures.model_server import ModelServer
from tests.llm.conftest import KEY, QUIET, OpenDoor, asked

pytestmark = QUIET


async def answering(door: Door, calls: StepCalls, wanted: Wanted | None) -> str:
    """Who answers a call; the ledger tells."""
    before = len(calls.ledger.rows)
    await door.lm("chat", calls, wanted).acall(request=asked(f"question {before}"))
    return list(calls.ledger.rows.values())[-1].answer.deployment


async def test_it_is_asked_before_the_roles_own_and_they_stand_in_for_it(
    open_door: OpenDoor, calls: StepCalls, server: ModelServer
) -> None:
    door = await open_door("first", "second")
    assert await answering(door, calls, None) == "first"
    assert await answering(door, calls, Wanted("second")) == "second"
    server.fail("second", "status", status=500, times=1)
    assert await answering(door, calls, Wanted("second")) == "first"


async def test_alone_nobody_stands_in_for_it(
    open_door: OpenDoor, calls: StepCalls, server: ModelServer
) -> None:
    """What is measured must be its own."""
    door = await open_door("first", "second")
    server.fail("second", "status", status=500, times=1)
    with pytest.raises(Exception) as caught:  # noqa: PT011  DSPy carries ours
        await answering(door, calls, Wanted("second", alone=True))
    assert "second" in str(caught.value) or isinstance(caught.value, ModelError)
    assert server.stats["first"].requests == 0
    assert await answering(door, calls, Wanted("second", alone=True)) == "second"


async def test_one_that_is_not_there_leaves_the_route_as_it_is_and_is_refused_alone(
    open_door: OpenDoor, calls: StepCalls
) -> None:
    door = await open_door("first")
    assert await answering(door, calls, Wanted("gone")) == "first"
    with pytest.raises(BadInput, match="there are first, offline") as caught:
        door.lm("chat", calls, Wanted("gone", alone=True))
    assert caught.value.code == "unknown_deployment"
    assert await answering(door, calls, Wanted("offline", alone=True)) == "offline"
    assert (door.has("first"), door.has("offline"), door.has("gone")) == (True, True, False)


async def test_one_that_no_role_asks_can_be_wanted(
    server: ModelServer, calls: StepCalls, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All roles are answered by the built-in model, and a version is made for the other one."""
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    provider = {"kind": "openai_compatible", "base_url": server.url, "model": "m", "key_name": "LOOPBACK_KEY"}
    path = tmp_path / "providers.yaml"
    path.write_text(yaml.safe_dump({"providers": {"side": provider}, "routing": {"default": ["offline"]}}))
    door = Door.open(LlmSettings(providers_file=path))
    assert await answering(door, calls, None) == "offline"
    assert await answering(door, calls, Wanted("side")) == "side"
    assert door.describe()["chat"] == ("offline",)
    await door.close()


async def test_under_a_budget_the_dearest_of_those_that_may_answer_counts(
    open_door: OpenDoor, calls: StepCalls
) -> None:
    """A stand-in may be dearer than the one that is wanted; alone, only its own price counts."""
    door = await open_door("first", "second", max_tokens=100)
    both = door.engine("chat", calls, Wanted("second"))
    alone = door.engine("chat", calls, Wanted("second", alone=True))
    offline = door.engine("chat", calls, Wanted("offline", alone=True))
    prices = [one.backend.most("chat", asked(), one.wanted) for one in (both, alone, offline)]
    assert prices[0] == prices[1] > prices[2] == Decimal(0)
