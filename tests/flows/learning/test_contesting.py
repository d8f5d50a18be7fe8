"""Contestants of the arena: the offline model in process, a model over HTTP, and programs on either."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from contracts.arena import ArenaTask, Choice, Verdict, agreed
from contracts.experiments import Arm
from contracts.programs import Version, VersionOrigin
from database.engine import Database
from database.learning.programs import NewVersion, add_version
from flows.durable.event_log import EventLog
from flows.durable.run import MetArm, Run, enter_run
from flows.durable.steps import recorded_under
from flows.durable.thinking import thinking, wanted_of
from flows.durable.versions import Versions
from flows.learning.contesting import answer_to, inputs_of, refuse_unfit
from llm.door import Door
from llm.ledger import StepCalls
from llm.settings import LlmSettings
from modules.judging import BothOrders
from modules.programs import build, signature_of, state_of
from runtime.errors import BadInput, MillraceError
from runtime.ids import new_id
from tests.fixtures.made_runs import claimed
from tests.fixtures.model_server import ModelServer, model_server
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.llm.conftest import QUIET

pytestmark = QUIET
__all__ = ["model_server"]
NAME = "support.sort"
MESSAGE = "My parcel was not delivered by the courier"


@pytest.fixture
async def run(database: Database, model_server: ModelServer, tmp_path: Path) -> AsyncIterator[Run]:
    """A claimed run in this process: `first` and `second` are models over HTTP, all roles are offline."""
    path = tmp_path / "providers.yaml"
    own = {"kind": "openai_compatible", "base_url": model_server.url}
    cost = {"input_per_million": 1, "output_per_million": 1}
    told = {
        "providers": {name: {**own, "model": name, "cost": cost} for name in ("first", "second")},
        "routing": {"default": ["offline"]},
    }
    path.write_text(yaml.safe_dump(told))
    door = Door.open(LlmSettings(providers_file=path))
    claim = await claimed(database)
    running = Run(claim.id, 1, "local", "arena", database, door, EventLog(database), Versions(database))
    enter_run(running)
    yield running
    await running.events.close()
    await door.close()


async def shipped(run: Run) -> Version:
    """The program's own state as a version."""
    await run.versions.register()
    program = build(NAME)
    new = NewVersion(state_of(program), signature_of(program), VersionOrigin.SOURCE)
    version, _ = await run.database.write(add_version, "local", NAME, new)
    return version


@pytest.mark.usefixtures("run")
async def test_a_deployment_is_asked_as_it_is_and_alone(model_server: ModelServer):
    model_server.behaviour["first"].text = "A mill."
    ledger = NotebookLedger()

    with recorded_under(StepCalls(ledger, "answer[0.first]")):
        told = await answer_to("What turns?", "chat", "first", None)

    assert told == "A mill."
    assert model_server.bodies[-1]["messages"] == [{"role": "user", "content": "What turns?"}]
    model_server.fail("first", "status", status=503, times=0)
    with pytest.raises(Exception, match="first"), recorded_under(StepCalls(ledger, "answer[1.first]")):
        await answer_to("What else?", "chat", "first", None)
    assert model_server.stats["second"].requests == 0


@pytest.mark.usefixtures("run")
async def test_the_offline_model_is_a_contestant_like_any_other(model_server: ModelServer):
    with recorded_under(StepCalls(NotebookLedger(), "answer[0.offline]")):
        told = await answer_to("The Seine flows through Paris. What flows?", "chat", "offline", None)

    assert told
    assert model_server.total().requests == 0


async def test_a_version_thinks_on_its_role_or_on_one_deployment(run: Run, model_server: ModelServer):
    version = await shipped(run)

    with recorded_under(StepCalls(NotebookLedger(), "a")):
        usual = await answer_to(MESSAGE, "chat", None, version)
    assert model_server.total().requests == 0
    with recorded_under(StepCalls(NotebookLedger(), "b")):
        asked = await answer_to({"message": MESSAGE}, "chat", "second", version)

    assert usual == asked  # the server answers by the same offline model
    assert model_server.stats["second"].answers == 1


@pytest.mark.usefixtures("run")
async def test_a_task_that_a_program_cannot_take_is_refused_before_it_costs_anything():
    assert inputs_of(NAME, MESSAGE) == {"message": MESSAGE}
    refuse_unfit(NAME, [ArenaTask(input=MESSAGE), ArenaTask(input={"message": MESSAGE})])

    with pytest.raises(
        BadInput, match=r"Task 1 has the inputs question; support\.sort needs message"
    ) as caught:
        refuse_unfit(NAME, [ArenaTask(input=MESSAGE), ArenaTask(input={"question": "?"})])

    assert caught.value.code == "task_does_not_fit"


@pytest.mark.usefixtures("run")
async def test_the_judge_decides_by_the_reference_in_both_orders():
    good, bad = "The Seine flows through Paris.", "Nobody knows what mills are for."
    said = {}
    for one, other in ((good, bad), (bad, good), (good, good)):
        with recorded_under(StepCalls(NotebookLedger(), "judge")), thinking("judge"):
            found = await BothOrders().acall(
                question="Which river flows through Paris?", answer=one, other=other, reference=good
            )
        said[one, other] = agreed(Choice(found.there), Choice(found.back))[0]

    assert said == {(good, bad): Verdict.ONE, (bad, good): Verdict.OTHER, (good, good): Verdict.TIE}


async def test_an_arm_of_an_experiment_is_asked_before_the_roles_own(run: Run, model_server: ModelServer):
    model_server.behaviour["second"].text = "from the arm"
    arm = MetArm(new_id(), Arm(name="second", weight=1, deployment="second"), "chat:1")
    assert wanted_of("chat") is None
    run.arms = {"model:chat": arm}

    wanted = wanted_of("chat")
    with recorded_under(StepCalls(NotebookLedger(), "answer")):
        engine = run.door.lm("chat", StepCalls(NotebookLedger(), "answer"), wanted)
        text = (await engine.acall("Hello?"))[0]

    assert "from the arm" in str(text)
    assert (run.met, run.told) == ([arm], 0)


@pytest.mark.usefixtures("run")
async def test_an_unknown_deployment_is_refused():
    with pytest.raises(MillraceError) as caught, recorded_under(StepCalls(NotebookLedger(), "x")):
        await answer_to("?", "chat", "nobody", None)
    assert caught.value.code == "unknown_deployment"
