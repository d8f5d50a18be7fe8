"""Classes are learned from examples: better prompts must score better, or optimizing shows nothing."""

import json
from collections import defaultdict
from typing import Literal

import dspy
import pytest

from tests.fixtures.project_files import ROOT

pytestmark = pytest.mark.usefixtures("offline")

Label = Literal["access", "billing", "defect", "praise", "shipping"]
LABELS = ["access", "billing", "defect", "praise", "shipping"]
TOLD = """Sort a support message by what it is about.
- access: login, password, account, locked, code, user.
- billing: invoice, charged, payment, refund, card, subscription.
- defect: app, crashes, error, update, screen, broken.
- praise: thank, great, love, happy, wonderful, friendly.
- shipping: parcel, package, delivery, courier, tracking.
"""
SAID = (
    "Sort a support message. Billing is about money and payments; shipping about parcels and delivery; "
    "access about logging in and passwords; defect about errors and broken things; praise about thanks."
)


class Sort(dspy.Signature):
    """Sort a support message."""

    message: str = dspy.InputField()
    label: Label = dspy.OutputField()


def messages() -> list[tuple[str, str]]:
    """The 120 messages as (label, message), their labels taking turns."""
    by_label: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for line in (ROOT / "modules/examples/support_messages.jsonl").read_text().splitlines():
        example = json.loads(line)
        by_label[example["expected"]["label"]].append(
            (example["expected"]["label"], example["inputs"]["message"])
        )
    return [by_label[label][i] for i in range(24) for label in LABELS]


MESSAGES = messages()
TEST = MESSAGES[40:]


def accuracy(
    demos: int = 0, signature: type[dspy.Signature] = Sort, shift: int = 0, module=dspy.Predict
) -> float:
    """Share of the 80 test messages that are sorted right after so many examples, labels moved by `shift`."""
    program = module(signature)
    shown = [(LABELS[(LABELS.index(label) + shift) % 5], message) for label, message in MESSAGES[:demos]]
    program.predictors()[0].demos = [dspy.Example(message=message, label=label) for label, message in shown]
    return sum(program(message=message).label == label for label, message in TEST) / len(TEST)


def test_nothing_to_learn_from_is_no_better_than_guessing():
    """Labels that the messages do not name cannot be known: a fifth is right by chance."""
    assert accuracy(0) == pytest.approx(0.2, abs=0.05)


def test_more_examples_sort_better():
    eight, sixteen, forty = (accuracy(n) for n in (8, 16, 40))

    assert accuracy(0) + 0.3 < eight
    assert eight + 0.1 < sixteen
    assert sixteen < forty


def test_better_instructions_sort_better_without_any_example():
    assert accuracy(0, Sort.with_instructions(TOLD)) > 0.85
    assert 0.5 < accuracy(0, Sort.with_instructions(SAID)) < 0.85


def test_examples_and_instructions_add_up():
    told = Sort.with_instructions(SAID)

    assert accuracy(8, told) > max(accuracy(8), accuracy(0, told))


def test_wrong_examples_teach_wrong_answers():
    """A sabotaged program has to look sabotaged, or nothing would roll it back."""
    assert accuracy(16, shift=1) < 0.1


def test_reasoning_first_changes_no_choice():
    assert accuracy(8, module=dspy.ChainOfThought) == accuracy(8)


def test_examples_in_json_teach_the_same():
    with dspy.context(adapter=dspy.JSONAdapter()):
        in_json = accuracy(8)

    assert in_json == accuracy(8)


def test_examples_with_fields_missing_still_teach(predict):
    class WithContext(Sort):
        context: str = dspy.InputField()

    demos = [
        {"message": "the parcel is wet", "label": "shipping"},
        {"message": "pay the invoice", "label": "billing"},
    ]

    assert predict(WithContext, demos, message="an invoice to pay", context="none").label == "billing"


def test_labels_without_a_list_are_learned_from_the_examples(predict):
    demos = [
        {"message": message, "mood": mood}
        for message, mood in [
            ("I love this", "glad"),
            ("I hate this", "cross"),
            ("we love it", "glad"),
            ("they hate it", "cross"),
        ]
    ]

    assert predict("message -> mood", demos, message="you hate them").mood == "cross"


def test_yes_or_no_is_learned_from_examples(predict):
    demos = [
        {"message": "reply at once, the server burns", "urgent": True},
        {"message": "some day, when there is time", "urgent": False},
    ]

    assert predict("message -> urgent: bool", demos, message="answer at once").urgent is True
    assert predict("message -> urgent: bool", demos, message="there is time until some day").urgent is False


def test_numbers_follow_the_examples_that_are_alike(predict):
    demos = [
        {"review": "a great film, wonderful", "stars": 5},
        {"review": "a dull film, boring", "stars": 1},
    ]

    assert predict("review -> stars: int", demos, review="great and wonderful").stars == 5


def test_several_labels_may_fit(predict):
    signature = dspy.Signature("message -> topics: list[Literal['billing', 'shipping', 'other']]", TOLD)

    chosen = predict(signature, message="refund the parcel").topics

    assert chosen == ["billing", "shipping"]


def test_confidence_is_the_share_of_the_chosen_label(predict):
    demos = [{"message": "the parcel is wet", "label": "shipping", "confidence": None}]
    signature = "message -> label: Literal['billing', 'shipping'], confidence: float"

    sure = predict(signature, demos, message="the parcel is wet and late").confidence
    unsure = predict(signature, message="hello there").confidence

    assert unsure == 0.5 < sure <= 1


def test_reasoning_tells_what_was_compared():
    program = dspy.ChainOfThought(Sort)
    program.predict.demos = [dspy.Example(message=message, label=label) for label, message in MESSAGES[:16]]

    assert "16 examples" in program(message="my parcel").reasoning
