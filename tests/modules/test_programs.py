"""Programs as optimizers and the registry see them: stable names and states, nothing but their texts."""

import copy
import json
import os
import subprocess
import sys

import dspy
import pytest

from modules.notes import Note
from modules.programs import PROGRAMS, build, signature_fingerprint, state_of
from modules.wording import Excerpt
from runtime.errors import NotFound
from tests.modules.scripted_model import ScriptedModel, fields

PREDICTORS = {
    "chat.direct": ["respond"],
    "chat.careful": ["understand", "draft", "check", "revise"],
    "analysis.find": ["find"],
    "analysis.merge": ["merge"],
    "analysis.report": ["write"],
    "support.sort": ["sort"],
}


def test_predictors_keep_the_names_under_which_states_are_saved():
    """A renamed predictor makes every stored version of its program unloadable."""
    assert {name: [n for n, _ in build(name).named_predictors()] for name in PROGRAMS} == PREDICTORS


def test_an_unknown_program_is_not_found():
    with pytest.raises(NotFound) as caught:
        build("chat.telepathic")
    assert caught.value.code == "unknown_program"


@pytest.mark.parametrize("name", PROGRAMS)
def test_states_and_fingerprints_are_the_same_in_every_process(name):
    code = (
        "import json, sys; from modules.programs import *; p = build(sys.argv[1]);"
        "print(json.dumps([state_of(p), signature_fingerprint(p)]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    run = subprocess.run(
        [sys.executable, "-c", code, name],
        check=True,
        capture_output=True,
        text=True,
        timeout=240,
        env=environment,
    )
    program = build(name)
    assert json.loads(run.stdout) == [state_of(program), signature_fingerprint(program)]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_state_survives_json_with_typed_demos_in_it(name):
    program = build(name)
    for predictor in program.predictors():
        predictor.demos = [
            dspy.Example(
                question="?",
                message="?",
                context=Excerpt(document="d", text="t"),
                excerpt=Excerpt(document="d", text="t"),
                notes=[Note(claim="c", findings=[1])],
                history=dspy.History(messages=[{"message": "a", "answer": "b"}]),
                answer="yes",
            )
        ]
    state = state_of(program)
    again = build(name)
    again.load_state({key: {**value, "lm": None, "traces": [], "train": []} for key, value in state.items()})
    assert state_of(again) == state
    assert signature_fingerprint(again) == signature_fingerprint(program)


async def test_a_loaded_state_speaks_with_its_demos_and_instructions():
    program = build("chat.direct")
    program.respond.signature = program.respond.signature.with_instructions("Answer like a pirate.")
    program.respond.demos = [
        dspy.Example(message="Hi?", context=Excerpt(document="d", text="t"), answer="Arr.")
    ]
    state = state_of(program)
    again = build("chat.direct")
    again.load_state({key: {**value, "lm": None, "traces": [], "train": []} for key, value in state.items()})
    model = ScriptedModel([fields(answer="Arr, hello.")])
    with dspy.context(lm=model.lm(), disable_history=True, trace=None):
        await again.acall(message="Hello")
    (request,) = model.asked
    said = str(request.system) + "".join(p.text for m in request.messages for p in m.parts)
    assert "Answer like a pirate." in said
    assert "Arr." in said


def test_a_fingerprint_tells_each_change_that_a_state_cannot_survive():
    class Base(dspy.Signature):
        """Do it."""

        question: str = dspy.InputField(desc="asked")
        answer: str = dspy.OutputField(desc="said")

    def print_of(signature):
        program = build("chat.direct")
        program.respond = dspy.Predict(signature)
        return signature_fingerprint(program)

    base = print_of(Base)
    changed = [
        Base.with_updated_fields("answer", desc="said loudly"),
        Base.with_updated_fields("answer", type_=int),
        Base.append("more", dspy.OutputField(), str),
        Base.delete("question").prepend("query", dspy.InputField(), str),
    ]
    prints = [print_of(signature) for signature in changed]
    assert len({base, *prints}) == 5
    kept = [
        Base.with_instructions("Do it better."),
        Base.with_updated_fields("question", desc="asked kindly"),
    ]
    assert {print_of(signature) for signature in kept} == {base}


def test_two_programs_have_two_fingerprints():
    assert len({signature_fingerprint(build(name)) for name in PROGRAMS}) == len(PROGRAMS)


def test_no_model_and_no_user_text_stays_in_a_program():
    """A program is shared between runs: what it remembers would reach other people and the database."""
    program = build("chat.direct")
    before = state_of(program)
    model = ScriptedModel([fields(answer="secret answer")])
    with dspy.context(lm=model.lm(), disable_history=True, trace=None):
        program(message="secret question")
    assert state_of(program) == before
    assert "secret" not in str(program.__dict__)
    assert program.respond.lm is None


def test_a_program_is_compiled_by_an_optimizer():
    program = build("analysis.find")
    examples = [
        dspy.Example(question="colour?", text=f"It is {word}.", document="d", findings=[]).with_inputs(
            "question", "text", "document"
        )
        for word in ("green", "red")
    ]
    model = ScriptedModel(lambda _: fields(findings='[{"claim": "c", "quotes": ["It is"], "relevance": 1}]'))
    with dspy.context(lm=model.lm()):
        optimizer = dspy.BootstrapFewShot(
            metric=lambda *_: True, max_labeled_demos=0, max_bootstrapped_demos=2
        )
        compiled = optimizer.compile(copy.deepcopy(program), trainset=examples)
    assert len(compiled.find.demos) == 2
    assert json.dumps(state_of(compiled), sort_keys=True).count("It is green.") == 1
    assert signature_fingerprint(compiled) == signature_fingerprint(program)
