"""Optimizers on the example program: they improve it, end at their caps, and go on where they were ended."""

from collections.abc import AsyncIterator, Sequence

import dspy
import pytest

from contracts.examples import Example, Split
from contracts.optimization import (
    Bootstrap,
    BootstrapRandomSearch,
    Copro,
    Gepa,
    Labeled,
    Mipro,
    Optimizer,
    Simba,
)
from contracts.program_states import content_hash
from contracts.runs import EventKind
from database.engine import Database
from database.queue.events import events_of_kind
from flows.durable.event_log import EventLog
from flows.durable.run import Run, enter_run
from flows.durable.steps import recorded_under
from flows.durable.versions import Versions
from flows.learning.caps import Caps
from flows.learning.optimizers import refuse_missing
from flows.learning.teaching import Taught, taught, without_strangers
from llm.door import Door
from llm.ledger import StepCalls
from modules.programs import PROGRAMS, build, call_inputs, signature_of, state_of, with_state
from runtime.errors import BadInput
from tests.fixtures.made_runs import claimed
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.fixtures.shipped_examples import NAME, shipped

pytestmark = pytest.mark.timeout(300)
RANDOM_SEARCH = BootstrapRandomSearch(candidates=2, labeled=8)
MIPRO = Mipro(candidates=3, trials=3)
COPRO = Copro(breadth=2, depth=1)
GEPA = Gepa(metric_calls=60)
SIMBA = Simba(batch=16, candidates=4, steps=3)


TRAIN, VALIDATION, TEST = (shipped(split, most) for split, most in zip(Split, (40, 15, 30), strict=True))


@pytest.fixture
async def run(database: Database) -> AsyncIterator[Run]:
    """A claimed run in this process, with the offline model behind its door."""
    door = Door.open()
    claim = await claimed(database)
    running = Run(claim.id, 1, "local", "probe", database, door, EventLog(database), Versions(database))
    enter_run(running)
    yield running
    await running.events.close()
    await door.close()


async def learn(choice: Optimizer, ledger: NotebookLedger, calls: int | None = None) -> Taught:
    """Run an optimizer as a step would, in an attempt of its own."""
    with recorded_under(StepCalls(ledger, "improve")):
        return await taught(
            choice,
            NAME,
            state_of(build(NAME)),
            TRAIN,
            VALIDATION,
            metric="exact",
            caps=Caps(calls=calls, hard=True),
            seed=0,
            threads=4,
        )


async def learn_of(
    choice: Optimizer,
    program: str,
    train: list[Example],
    validation: list[Example],
    ledger: NotebookLedger,
    metric: str,
) -> Taught:
    """Run an optimizer on another program, as a step would."""
    with recorded_under(StepCalls(ledger, "improve")):
        return await taught(
            *(choice, program, state_of(build(program)), train, validation),
            metric=metric,
            caps=Caps(hard=True),
            seed=0,
            threads=2,
        )


async def accuracy(run: Run, state: dict | None, examples: Sequence[Example] = TEST) -> float:
    """The share of examples that a state sorts right."""
    program = build(NAME) if state is None else with_state(build(NAME), state)
    right = 0
    with dspy.context(lm=run.door.lm("analyst"), disable_history=True, trace=None):
        for one in examples:
            right += (await program.acall(**one.inputs)).label == one.expected["label"]
    return right / len(examples)


@pytest.mark.parametrize(
    "choice", [Labeled(), Bootstrap(), RANDOM_SEARCH, MIPRO, GEPA], ids=lambda choice: choice.name
)
async def test_each_optimizer_makes_the_example_better(run: Run, choice: Optimizer):
    found = await learn(choice, NotebookLedger())
    assert found.state is not None
    assert found.stopped is None
    assert await accuracy(run, found.state) > await accuracy(run, None) + 0.1


@pytest.mark.parametrize("choice", [SIMBA, COPRO], ids=lambda choice: choice.name)
async def test_where_the_offline_model_learns_nothing_it_gets_no_worse(run: Run, choice: Optimizer):
    """COPRO shows its proposer no example; SIMBA learns from answers that differ by chance."""
    found = await learn(choice, NotebookLedger())
    assert await accuracy(run, found.state) >= await accuracy(run, None)


@pytest.mark.parametrize("share", [1 / 3, 2 / 3])
@pytest.mark.parametrize(
    "choice", [Bootstrap(), RANDOM_SEARCH, MIPRO, GEPA, COPRO], ids=lambda choice: choice.name
)
@pytest.mark.usefixtures("run")
async def test_an_optimizer_that_was_ended_goes_on_to_the_same_program(choice: Optimizer, share: float):
    """What was answered is answered by the ledger: no finished call is made again."""
    whole = await learn(choice, NotebookLedger())
    assert whole.state is not None
    ledger = NotebookLedger()
    first = await learn(choice, ledger, calls=max(1, int(whole.calls * share)))
    assert (first.stopped, first.calls) == ("calls", max(1, int(whole.calls * share)))
    finished = sum(row.status == "succeeded" for row in ledger.rows.values())
    again = await learn(choice, ledger)
    assert again.state is not None
    assert content_hash(again.state) == content_hash(whole.state)
    assert again.calls == whole.calls
    assert sum(row.replays for row in ledger.rows.values()) == finished
    assert all(row.tries == 1 for row in ledger.rows.values())


@pytest.mark.parametrize(
    "choice", [Bootstrap(), RANDOM_SEARCH, MIPRO, GEPA, COPRO, SIMBA], ids=lambda choice: choice.name
)
@pytest.mark.usefixtures("run")
async def test_the_best_so_far_is_kept_at_a_cap(choice: Optimizer):
    whole = await learn(choice, NotebookLedger())
    ended = await learn(choice, NotebookLedger(), calls=whole.calls - 1)
    assert (ended.stopped, ended.calls) == ("calls", whole.calls - 1)
    assert ended.state is not None


@pytest.mark.usefixtures("run")
async def test_a_bootstrap_keeps_the_demos_that_it_found_up_to_the_cap():
    ended = await learn(Bootstrap(bootstrapped=16), NotebookLedger(), calls=9)
    assert (ended.stopped, ended.state is None) == ("calls", False)
    demos = (ended.state or {})["sort"]["demos"]
    assert 1 <= sum(demo.get("augmented", False) for demo in demos) <= 9
    assert len({demo["message"] for demo in demos}) == len(demos) == 16


async def test_simba_tells_its_trials_too(run: Run):
    """It evaluates by itself, and DSPy has no callback for it."""
    found = await learn(SIMBA, NotebookLedger())
    await run.events.drain(run.id)
    async with run.database.read() as session:
        trials = [event.data for event in await events_of_kind(session, run.id, EventKind.TRIAL)]
    assert [one["examples"] for one in trials] == sorted(one["examples"] for one in trials)
    assert {one["examples"] for one in trials} == {16, len(TRAIN)}
    assert found.score == max(one["score"] for one in trials if one["examples"] == len(TRAIN))


@pytest.mark.usefixtures("run")
async def test_what_was_ended_before_any_trial_gives_nothing():
    ended = await learn(RANDOM_SEARCH, NotebookLedger(), calls=2)
    assert (ended.state, ended.calls, ended.stopped) == (None, 2, "calls")


async def test_trials_are_told(run: Run, capfd: pytest.CaptureFixture[str]):
    """And nothing is printed: a worker's output is a log."""
    await learn(RANDOM_SEARCH, NotebookLedger())
    await run.events.drain(run.id)
    async with run.database.read() as session:
        trials = [event.data for event in await events_of_kind(session, run.id, EventKind.TRIAL)]
    assert [one["trial"] for one in trials] == list(range(1, 6))
    assert {(one["place"], one["racer"]) for one in trials} == {(1, RANDOM_SEARCH.name)}
    assert [one["best"] for one in trials] == sorted(one["best"] for one in trials)
    assert capfd.readouterr().out == ""


def test_a_missing_package_is_told_before_any_call(monkeypatch: pytest.MonkeyPatch):
    """MIPROv2 notices only after 34 calls."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "optuna" else name)
    with pytest.raises(BadInput, match="needs the package optuna") as caught:
        refuse_missing(Mipro())
    assert caught.value.code == "missing_package"
    refuse_missing(Simba(batch=8))


@pytest.mark.usefixtures("run")
async def test_programs_that_take_more_than_texts_learn_from_stored_examples():
    """A report is written from notes: as JSON in an example, as models in the program."""
    notes = [{"claim": "A lease lasts 15 s.", "quote": "15 s", "document": "a.md", "findings": [0]}]
    said = {"answer": "It lasts 15 s.", "key_points": [], "disagreements": [], "gaps": [], "confidence": 0.9}
    examples = [
        TRAIN[0].model_copy(
            update={
                "inputs": {"question": f"How long does lease {number} last?", "notes": notes},
                "expected": {"report": said},
                "program": "analysis.report",
            }
        )
        for number in range(6)
    ]
    for choice in (Labeled(demos=2), Bootstrap(bootstrapped=1, labeled=2)):
        found = await learn_of(choice, "analysis.report", examples[:4], examples[4:], NotebookLedger(), "f1")
        assert found.state is not None
        demos = found.state["write"]["demos"]
        assert demos
        assert demos[-1]["notes"][0]["claim"] == "A lease lasts 15 s."


def talk(number: int) -> Example:
    """A message of a conversation as feedback on a chat makes it an example."""
    said = [{"author": "user", "content": "What is a lease?"}, {"author": "assistant", "content": "A claim."}]
    inputs = {"message": f"How long does lease {number} last?", "context": "It lasts 15 s.", "history": said}
    return TRAIN[0].model_copy(
        update={"inputs": inputs, "expected": {"answer": "It lasts 15 s."}, "program": "chat.direct"}
    )


@pytest.mark.parametrize(
    "choice",
    [
        Labeled(demos=2),
        Bootstrap(bootstrapped=2, labeled=2),
        BootstrapRandomSearch(candidates=1, bootstrapped=1, labeled=2),
        Mipro(candidates=2, trials=2, bootstrapped=1, labeled=1),
        Gepa(metric_calls=12),
        Simba(batch=4, candidates=2, steps=1),
        Copro(breadth=2, depth=1),
    ],
    ids=lambda choice: choice.name,
)
async def test_a_judge_scores_chats_with_a_history_inside_every_optimizer(run: Run, choice: Optimizer):
    """And what it makes answers a chat that has one."""
    examples, ledger = [talk(number) for number in range(8)], NotebookLedger()
    found = await learn_of(choice, "chat.direct", examples[:5], examples[5:], ledger, "semantic_f1")
    assert found.state is not None
    judged = sum(row.call.role == "judge" for row in ledger.rows.values())
    assert (judged > 0) == (choice.name != "labeled")
    learned, kind = with_state(build("chat.direct"), found.state), PROGRAMS["chat.direct"]
    with dspy.context(lm=run.door.lm("chat"), disable_history=True, trace=None):
        assert (await learned.acall(**call_inputs(kind, talk(9).inputs))).answer


@pytest.mark.usefixtures("run")
async def test_examples_of_a_chat_are_demos_with_their_history_and_their_context_as_text():
    """Its predictor takes the context as a model, which only the program makes of the text."""
    history = [{"author": "user", "content": "Hello."}, {"author": "assistant", "content": "Good day."}]
    asked = {"message": "How long is a lease?", "history": history, "context": "A lease lasts 15 s."}
    change = {"inputs": asked, "expected": {"answer": "15 s."}, "program": "chat.direct"}
    found = await learn_of(
        Labeled(demos=1), "chat.direct", [TRAIN[0].model_copy(update=change)], [], NotebookLedger(), "f1"
    )
    assert found.state is not None
    (demo,) = found.state["respond"]["demos"]
    assert (demo["context"], demo["answer"]) == ("A lease lasts 15 s.", "15 s.")
    assert demo["history"] == {"messages": [{"message": "Hello.", "answer": "Good day."}]}


def test_demos_of_values_that_the_program_does_not_give_are_left_out():
    """An optimizer's state is checked after it has spent its money: one bad example must not lose it."""
    signature = signature_of(build("support.sort"))
    state = state_of(build("support.sort"))
    good, bad = {"message": "Paid twice.", "label": "billing"}, {"message": "Paid twice.", "label": "money"}
    state["sort"]["demos"] = [good, bad, {"message": 1, "label": "billing"}]
    assert without_strangers(state, signature)["sort"]["demos"] == [good]


def test_inputs_of_another_type_are_refused_by_name():
    with pytest.raises(BadInput, match="The input notes is none that") as caught:
        call_inputs(PROGRAMS["analysis.report"], {"question": "q", "notes": "none"})
    assert caught.value.code == "bad_examples"
