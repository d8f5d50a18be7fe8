"""Instructions that the offline model proposes are made of what it was shown, and make programs better."""

import json
import random
from collections import defaultdict
from typing import Any, Literal

import dspy
import pytest
from dspy.propose.grounded_proposer import GroundedProposer

from tests.fixtures.project_files import ROOT

pytestmark = pytest.mark.usefixtures("offline")


class Sort(dspy.Signature):
    """Sort a support message."""

    message: str = dspy.InputField()
    label: Literal["access", "billing", "defect", "praise", "shipping"] = dspy.OutputField()


def examples() -> list[dspy.Example]:
    """The 120 messages, their labels taking turns."""
    by_label: dict[str, list[dspy.Example]] = defaultdict(list)
    for line in (ROOT / "modules/examples/support_messages.jsonl").read_text().splitlines():
        values = {name: value for part in json.loads(line).values() for name, value in part.items()}
        by_label[values["label"]].append(dspy.Example(**values).with_inputs("message"))
    return [group[i] for i in range(24) for group in by_label.values()]


ALL = examples()
TRAIN, VALIDATION, TEST = ALL[:30], ALL[30:50], ALL[60:]


def matches(example: dspy.Example, prediction: dspy.Prediction, *_: Any) -> float:
    return float(example.label == prediction.label)


def told_why(gold: Any, pred: Any, *_: Any, **__: Any) -> dspy.Prediction:
    right = gold.label == pred.label
    feedback = "Correct." if right else f"Wrong: expected {gold.label} but got {pred.label}."
    return dspy.Prediction(score=float(right), feedback=feedback)


def accuracy(program: dspy.Module) -> float:
    return sum(matches(one, program(message=one.message)) for one in TEST) / len(TEST)


def proposed(tip: str, shown: list[dspy.Example]) -> str:
    """What MIPROv2's proposer makes of a training set and some bootstrapped examples."""
    program = dspy.Predict(Sort)
    proposer = GroundedProposer(
        prompt_model=dspy.settings.lm,
        program=program,
        trainset=TRAIN,
        program_aware=False,
        rng=random.Random(1),
    )
    demos = [[], [dspy.Example(augmented=True, **one.toDict()) for one in shown]]
    return proposer.propose_instruction_for_predictor(
        program=program,
        predictor=program,
        pred_i=0,
        demo_candidates={0: demos},
        demo_set_i=1,
        trial_logs={},
        tip=tip,
    )


def test_a_proposed_instruction_sorts_far_better_than_the_plain_one():
    concise = proposed("Keep the instruction clear and concise.", TRAIN[:3])
    informative = proposed("Make sure your instruction is very informative and descriptive.", TRAIN[:3])

    assert accuracy(dspy.Predict(Sort)) < 0.3
    assert accuracy(dspy.Predict(Sort.with_instructions(concise))) > 0.4
    assert accuracy(dspy.Predict(Sort.with_instructions(informative))) > 0.6


def test_other_examples_and_tips_make_other_instructions():
    """An optimizer that is proposed the same instruction again and again has nothing to choose from."""
    tips = [
        "",
        "Keep the instruction clear and concise.",
        "The instruction should include a high stakes scenario",
    ]

    instructions = {proposed(tip, shown) for tip in tips for shown in (TRAIN[:3], TRAIN[3:6])}

    assert len(instructions) >= 4
    assert proposed(tips[1], TRAIN[:3]) in instructions


def test_feedback_on_failures_improves_the_instruction(capsys):
    """GEPA reflects on what went wrong; the right labels stand in the feedback only."""
    gepa = dspy.GEPA(metric=told_why, max_metric_calls=90, reflection_lm=dspy.settings.lm, num_threads=1)

    best = gepa.compile(dspy.Predict(Sort), trainset=TRAIN, valset=VALIDATION)

    capsys.readouterr()
    assert accuracy(best) > 0.5
    assert "- billing: " in best.signature.instructions


def test_rules_are_induced_from_a_training_set():
    class Induce(dspy.Signature):
        """Given a set of examples, extract a list of rules that give guidance."""

        examples_text: str = dspy.InputField()
        natural_language_rules: str = dspy.OutputField()

    shown = "".join(
        f"Input Fields:\nmessage: {one.message}\n\n=========\nOutput Fields:\nlabel: {one.label}\n\n"
        for one in TRAIN
    )

    rules = dspy.Predict(Induce)(examples_text=shown).natural_language_rules

    assert accuracy(dspy.Predict(Sort.with_instructions(rules))) > 0.6


def test_the_best_of_several_attempts_is_built_upon():
    """COPRO shows attempts with their scores, as a list of lines."""

    class Attempts(dspy.Signature):
        """Propose a new instruction."""

        attempted_instructions: str = dspy.InputField()
        proposed_instruction: str = dspy.OutputField()
        proposed_prefix_for_output_field: str = dspy.OutputField()

    attempts = [
        "Instruction #1: Sort it.", "Prefix #1: Label:", "Resulting Score #1: 20.0",
        "Instruction #2: Sort with care.", "Prefix #2: Label:", "Resulting Score #2: 60.0",
    ]  # fmt: skip

    prediction = dspy.Predict(Attempts)(attempted_instructions=attempts)

    assert prediction.proposed_instruction.startswith("Sort with care.")
    assert len(prediction.proposed_instruction) > len("Sort with care.")


def test_advice_is_given_per_module():
    """SIMBA asks for advice from one good and one bad run, as an object with the modules' names."""

    class Advise(dspy.Signature):
        """Offer advice."""

        program_inputs: str = dspy.InputField()
        oracle_metadata: str = dspy.InputField()
        module_names: list[str] = dspy.InputField()
        module_advice: dict[str, str] = dspy.OutputField()

    advice = dspy.Predict(Advise)(
        program_inputs='{"message": "the invoice shows a wrong amount"}',
        oracle_metadata='{"label": "billing"}',
        module_names=["sort", "reply"],
    ).module_advice

    assert set(advice) == {"sort", "reply"}
    assert "- billing: " in advice["sort"]
    assert "invoice" in advice["sort"]


def test_short_answers_are_asked_for_when_the_examples_are_short():
    class Propose(dspy.Signature):
        """Propose an instruction."""

        task_demos: str = dspy.InputField()
        basic_instruction: str = dspy.InputField()
        proposed_instruction: str = dspy.OutputField()

    demos = "\n\n".join(
        f"Context: {context}\nQuestion: Who is it?\nAnswer: {answer}"
        for context, answer in [
            ("Ada wrote it in 1843.", "Ada Lovelace wrote the first program"),
            ("x y", "Bob did it, he says it"),
        ]
    )

    instruction = dspy.Predict(Propose)(task_demos=demos, basic_instruction="Answer.").proposed_instruction

    assert instruction.startswith("Answer.")
    assert "at most" in instruction


def test_an_instruction_is_shortened_to_its_limit():
    class Compress(dspy.Signature):
        """Shorten the instruction to fit within the stated limit."""

        instruction: str = dspy.InputField()
        length_limit: str = dspy.InputField()
        shortened_instruction: str = dspy.OutputField()

    long = "Sort a message.\n" + "\n".join(f"- label{i}: {'word, ' * 10}end." for i in range(20))

    short = dspy.Predict(Compress)(
        instruction=long, length_limit="At most 200 characters."
    ).shortened_instruction

    assert 0 < len(short) <= 200
    assert long.startswith(short)
