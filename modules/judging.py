# mypy: allow-subclassing-any
"""Judges: a model says how much two answers share, or which one is better."""

from typing import Literal

import dspy

from modules.program import Program, Thought
from modules.scores import Score
from modules.wording import DATA_ONLY

_QUESTION = f"What was asked. {DATA_ONLY}"


# What a verdict is worth to the answer that came first.
WORTH = {"first": 1, "second": -1, "tie": 0}


class Match(dspy.Signature):
    """Compare an answer with a reference answer to the same question: what both say, what one says."""

    question: str = dspy.InputField(desc=_QUESTION)
    reference: str = dspy.InputField(desc=f"The reference answer. {DATA_ONLY}")
    answer: str = dspy.InputField(desc=f"The answer to judge. {DATA_ONLY}")
    recall: Score = dspy.OutputField(desc="How much of the reference the answer says, 0 to 1.")
    precision: Score = dspy.OutputField(desc="How much of the answer the reference says, 0 to 1.")


class Prefer(dspy.Signature):
    """Say which of two answers to the same question is better. Their order means nothing."""

    question: str = dspy.InputField(desc=_QUESTION)
    first: str = dspy.InputField(desc=f"One answer. {DATA_ONLY}")
    second: str = dspy.InputField(desc=f"The other answer. {DATA_ONLY}")
    better: Literal["first", "second", "tie"] = dspy.OutputField(desc="Which one is better.")


class PreferWithReference(Prefer):
    """Say which of two answers to the same question is better. Their order means nothing.

    The reference is a good answer; another good one may differ from it.
    """

    reference: str = dspy.InputField(desc=f"A good answer. {DATA_ONLY}")


class SemanticF1(Program):
    """How much two answers share. Predicts `score`, the F1 of recall and precision, 0 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.match = dspy.Predict(Match)

    def think(self, question: str, reference: str, answer: str) -> Thought:
        """Compare an answer with a reference."""
        found = yield self.match, {"question": question, "reference": reference, "answer": answer}
        both = found.recall + found.precision
        return dspy.Prediction(score=2 * found.recall * found.precision / both if both else 0.0)


class BothOrders(Program):
    """Which of two answers is better, asked in both orders, because judges favour a place.

    Predicts `score`: 1 when `answer` is better or equal both times, 0 when it is worse both times, else 0.5;
    and `preference`: 1 when it is better both times, -1 when it is worse both times, between them what the
    two verdicts come to; 0 is a draw. `there` and `back` are the verdicts, with `answer` first and second.
    """

    def __init__(self) -> None:
        super().__init__()
        self.prefer = dspy.Predict(Prefer)
        self.prefer_with_reference = dspy.Predict(PreferWithReference)

    def think(self, question: str, answer: str, other: str, reference: str | None = None) -> Thought:
        """Compare an answer with another one, beside a reference when there is one."""
        asked, given = self.prefer, {"question": question}
        if reference is not None:
            asked, given = self.prefer_with_reference, {**given, "reference": reference}
        there = yield asked, {**given, "first": answer, "second": other}
        back = yield asked, {**given, "first": other, "second": answer}
        wins = (there.better != "second") + (back.better != "first")
        preference = (WORTH[there.better] - WORTH[back.better]) / 2
        return dspy.Prediction(score=wins / 2, preference=preference, there=there.better, back=back.better)
