"""The door without any provider, and what opening it costs."""

import subprocess
import sys
from pathlib import Path

import dspy
import pytest

from llm.door import Door
from llm.ledger import StepCalls
from llm.settings import LlmSettings
from runtime.errors import BadInput, ConfigurationProblem
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.llm.conftest import asked


@pytest.fixture
def settings(tmp_path: Path) -> LlmSettings:
    path = tmp_path / "providers.yaml"
    path.write_text("providers: {}\n")
    return LlmSettings(providers_file=path)


async def test_without_a_provider_the_offline_model_answers_and_says_so(
    settings: LlmSettings, calls: StepCalls, ledger: NotebookLedger
):
    """A newcomer has no key; what they see must be real, free, and honest about what it is."""
    door = Door.open(settings)

    with dspy.context(lm=door.lm("chat", calls), disable_history=True, trace=None):
        prediction = await dspy.Predict("context, question -> answer").acall(
            context="The river is called Wupper.", question="What is the river called?"
        )

    assert "Wupper" in prediction.answer
    assert ledger.only.answer is not None
    assert (ledger.only.answer.deployment, ledger.only.answer.cost_usd) == ("offline", 0)
    assert ledger.only.answer.response["metadata"]["offline"] is True
    await door.close()


async def test_the_door_tells_who_answers_which_role(settings: LlmSettings):
    door = Door.open(settings)

    assert door.describe() == dict.fromkeys(("chat", "analyst", "judge", "reflector"), ("offline",))
    assert all(health.ready for health in await door.health())
    await door.close()


async def test_a_role_that_does_not_exist_is_refused(settings: LlmSettings):
    door = Door.open(settings)

    with pytest.raises(BadInput, match="use one of chat, analyst, judge, reflector") as caught:
        door.lm("chta")

    assert caught.value.code == "unknown_role"


async def test_a_model_of_a_step_has_neither_cache_nor_retries(settings: LlmSettings):
    """DSPy's cache would answer across tenants, and its retries would pay unseen."""
    lm = Door.open(settings).lm("judge")

    assert (lm.cache, lm.num_retries, lm.model) == (False, 0, "millrace/judge")


async def test_a_copied_program_asks_through_the_same_door(settings: LlmSettings, ledger: NotebookLedger):
    """BestOfN and optimizers copy programs with their model; the journal must not be copied with them."""
    program = dspy.Predict("question -> answer")
    program.set_lm(Door.open(settings).lm("chat", StepCalls(ledger, "answer")))

    copied = program.deepcopy()
    copied.lm = copied.lm.copy(temperature=1.0, rollout_id=2)
    for one in (program, copied):
        await one.acall(question="What is promised?")

    assert copied.lm.engine is program.lm.engine
    assert ledger.statuses == ["succeeded", "succeeded"]


async def test_a_kind_that_litellm_does_not_know_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SOME_KEY", "x")
    path = tmp_path / "providers.yaml"
    path.write_text(
        "providers:\n  a:\n    kind: opneai\n    model: x\n    key_name: SOME_KEY\nrouting: {default: [a]}\n"
    )

    with pytest.raises(ConfigurationProblem) as caught:
        Door.open(LlmSettings(providers_file=path))

    assert str(caught.value).startswith(f"{path}:3: LiteLLM does not know the kind of `a`")


async def test_every_kind_that_is_not_known_is_told_at_once(tmp_path: Path):
    path = tmp_path / "providers.yaml"
    own = "kind: openai_compatible, model: m, base_url: 'http://127.0.0.1:1/v1'"
    lines = [
        "  a: {kind: opneai, model: x, key_name: PATH}",
        "  b: {kind: antropic, model: x, key_name: PATH}",
    ]
    path.write_text("\n".join(["providers:", f"  own: {{{own}}}", *lines]))

    with pytest.raises(ConfigurationProblem) as caught:
        Door.open(LlmSettings(providers_file=path))

    assert [problem["line"] for problem in caught.value.detail["problems"]] == [3, 4]


@pytest.mark.parametrize(
    "capped", ["policies: {usd_per_day: 5}", "policies: {limits: {usd_per_day: 5}}"], ids=["all", "each"]
)
async def test_money_that_nobody_can_count_is_not_capped_in_vain(tmp_path: Path, capped: str):
    """A cap that never holds is worse than none: somebody relies on it."""
    path = tmp_path / "providers.yaml"
    own = "kind: openai_compatible, model: gpt-5-mini, base_url: 'http://127.0.0.1:1/v1'"
    free = "cost: {input_per_million: 0, output_per_million: 0}"
    path.write_text(f"providers:\n  known: {{{own}, {free}}}\n  unknown: {{{own}}}\n{capped}\n")

    with pytest.raises(ConfigurationProblem) as caught:
        Door.open(LlmSettings(providers_file=path))

    (problem,) = caught.value.detail["problems"]
    assert problem["line"] == 3
    assert "`unknown` has no price" in problem["what"]
    assert "`cost:`" in problem["remedy"]


async def test_a_zero_in_the_price_list_is_free_only_on_a_machine_of_ones_own(tmp_path: Path):
    """LiteLLM writes zero where it does not know, and leaves out what is billed for each request."""
    path = tmp_path / "providers.yaml"
    own = ("lemonade", "Qwen3-Coder-30B-A3B-Instruct-GGUF")
    told = {"a": ("gigachat", "GigaChat-2"), "b": ("perplexity", "sonar"), "c": ("openai", "gpt-5-mini")}
    lines = [
        f"  {name}: {{kind: {kind}, model: {model}, key_name: PATH}}"
        for name, (kind, model) in {**told, "d": own}.items()
    ]
    path.write_text("\n".join(["providers:", *lines]))

    door = Door.open(LlmSettings(providers_file=path))

    prices = {one.name: (one.price_source, one.input_per_million) for one in door.catalogue()}
    assert (prices["a"], prices["b"]) == ((None, None), (None, None))
    assert prices["c"][0] == prices["d"][0] == "litellm"
    assert prices["c"][1] > 0
    assert prices["d"][1] == 0
    await door.close()


async def test_a_request_is_answered_the_same_by_all_ways_in(settings: LlmSettings):
    door = Door.open(settings)
    engine = door.lm("chat").engine.twin

    whole = await engine.complete(asked())
    pieces = [event.delta.text async for event in engine.stream(asked()) if event.type == "delta"]

    assert "".join(pieces) == whole.text


def test_importing_the_package_loads_neither_dspy_nor_litellm():
    """They cost seven seconds and 250 MB, and belong to the process that calls models."""
    code = "import sys, llm.door, llm.errors, llm.engine; print({'dspy', 'litellm'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "set()"


def test_the_offline_door_does_not_load_litellm(settings: LlmSettings):
    code = (
        "import asyncio, sys\nfrom llm.door import Door\nfrom llm.settings import LlmSettings\n"
        "async def main():\n"
        f"    door = Door.open(LlmSettings(providers_file={str(settings.providers_file)!r}))\n"
        "    print((await door.lm('chat').acall('hello'))[0] != '', 'litellm' in sys.modules)\n"
        "asyncio.run(main())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "True False"
