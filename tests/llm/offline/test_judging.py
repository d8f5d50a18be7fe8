"""A judge without understanding still tells a supported answer from a made-up one, and says by what."""

import dspy
import pytest

pytestmark = pytest.mark.usefixtures("offline")

CONTEXT = "The lease expires after 15 seconds. A reaper puts expired runs back in the queue."
QUESTION = "When does the lease expire?"
RIGHT = "The lease expires after 15 seconds."
WRONG = "Elephants keep the lease for a century."
CHECK = "context, question, draft -> problems: list[str], score: float, supported: bool"


def test_a_supported_draft_scores_higher_than_a_made_up_one(predict):
    right, wrong = (
        predict(CHECK, context=CONTEXT, question=QUESTION, draft=draft) for draft in (RIGHT, WRONG)
    )

    assert right.score > 0.8
    assert wrong.score < 0.5
    assert right.supported is True
    assert wrong.supported is False


def test_problems_quote_what_nothing_supports(predict):
    assert predict(CHECK, context=CONTEXT, question=QUESTION, draft=RIGHT).problems == []

    problems = predict(CHECK, context=CONTEXT, question=QUESTION, draft=WRONG).problems

    assert "Elephants" in problems[0]


def test_admitting_that_nothing_is_said_is_right_when_nothing_is_said(predict):
    draft = "The material does not say."

    assert predict(CHECK, context=CONTEXT, question="What do penguins eat?", draft=draft).score > 0.8


@pytest.mark.parametrize(
    ("bounds", "low", "high"), [({"ge": 1, "le": 5}, 1, 5), ({"ge": 0, "le": 100}, 0, 100)]
)
def test_grades_use_the_whole_scale(predict, bounds, low, high):
    signature = dspy.Signature(
        {
            "context": (str, dspy.InputField()),
            "draft": (str, dspy.InputField()),
            "grade": (int, dspy.OutputField(**bounds)),
        }
    )

    assert predict(signature, context=CONTEXT, draft=RIGHT).grade == high
    assert predict(signature, context=CONTEXT, draft="Bananas, elephants, moonlight.").grade == low


def test_semantic_f1_tells_full_half_and_no_answers_apart():
    """DSPy's own metric asks a model for recall and precision."""
    metric = dspy.evaluate.SemanticF1()
    example = dspy.Example(question=QUESTION, response=CONTEXT)

    def score(response: str) -> float:
        return metric(example, dspy.Prediction(response=response)).score

    assert score(CONTEXT) == pytest.approx(1)
    assert 0.3 < score(RIGHT) < 0.9
    assert score("Nothing of the kind.") < 0.2


def test_the_better_of_two_answers_wins_in_both_orders(predict):
    signature = "context, question, answer_a, answer_b -> better: Literal['A', 'B', 'tie']"
    given = {"context": CONTEXT, "question": QUESTION}

    assert predict(signature, **given, answer_a=RIGHT, answer_b=WRONG).better == "A"
    assert predict(signature, **given, answer_a=WRONG, answer_b=RIGHT).better == "B"
    assert predict(signature, **given, answer_a=RIGHT, answer_b=RIGHT).better == "tie"
    named = "context, question, first, second -> better: Literal['first', 'second', 'tie']"
    assert predict(named, **given, first=RIGHT, second=WRONG).better == "first"
    assert predict(named, **given, first=WRONG, second=RIGHT).better == "second"
