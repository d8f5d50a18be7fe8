"""Metrics and judges."""

import dspy
import pytest

from modules.judging import BothOrders, SemanticF1
from modules.metrics import exact, f1
from tests.modules.scripted_model import ScriptedModel, fields


def test_exact_overlooks_case_and_spaces_and_nothing_else():
    assert exact({"label": "Billing"}, {"label": " billing "}) == 1
    assert exact({"label": "billing"}, {"label": "billings"}) == 0
    assert exact({"a": [1, 2], "b": True}, {"a": [1, 2], "b": True, "c": 3}) == 1
    assert exact({"a": 1}, {}) == 0


def test_f1_is_that_of_the_words():
    assert f1({"answer": "a lease lasts"}, {"answer": "A lease lasts."}) == 1
    assert f1({"answer": "a b c d"}, {"answer": "c d e f"}) == pytest.approx(0.5)
    assert f1({"answer": "a"}, {"answer": ""}) == 0
    assert f1({"answer": ""}, {"answer": ""}) == 1
    assert f1({"x": "a", "y": "b"}, {"x": "a"}) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("there", "back", "score"),
    [("first", "second", 1), ("second", "first", 0), ("tie", "tie", 1), ("first", "first", 0.5)],
)
async def test_a_judge_is_asked_in_both_orders(there, back, score):
    """One that always likes the first place proves nothing."""
    model = ScriptedModel([fields(better=there), fields(better=back)])
    with dspy.context(lm=model.lm(), disable_history=True, trace=None):
        said = await BothOrders().acall(question="?", answer="mine", other="theirs")
    assert said.score == score
    assert len(model.asked) == 2


async def test_semantic_f1_is_the_harmonic_mean_of_what_the_judge_sees():
    model = ScriptedModel([fields(recall="0.5", precision="1")])
    with dspy.context(lm=model.lm(), disable_history=True, trace=None):
        said = await SemanticF1().acall(question="?", reference="r", answer="a")
    assert said.score == pytest.approx(2 / 3)
