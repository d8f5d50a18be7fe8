# mypy: allow-subclassing-any
"""Whether an answer that was made for one question does for another one."""

import dspy

from modules.program import Program, Thought
from modules.wording import DATA_ONLY


class SaysTheSame(dspy.Signature):
    """Say whether two answers tell the person who asked the same. Their order means nothing.

    Wording, length and politeness do not matter. A different fact, number, name, condition or conclusion
    does.
    """

    question: str = dspy.InputField(desc=f"What was asked. {DATA_ONLY}")
    first: str = dspy.InputField(desc=f"One answer. {DATA_ONLY}")
    second: str = dspy.InputField(desc=f"The other answer. {DATA_ONLY}")
    same: bool = dspy.OutputField(desc="Whether both tell the same.")


class AnswersBoth(dspy.Signature):
    """Say whether the answer to one question answers another question just as well.

    It does not where the questions differ in what they ask: a negation, a number, a name, a time, a
    direction.
    """

    kept_question: str = dspy.InputField(desc=f"What the answer was made for. {DATA_ONLY}")
    question: str = dspy.InputField(desc=f"The other question. {DATA_ONLY}")
    answer: str = dspy.InputField(desc=f"The answer. {DATA_ONLY}")
    same: bool = dspy.OutputField(desc="Whether it answers the other question as well as its own.")


class Interchangeable(Program):
    """Whether a kept answer does for a question. Predicts `same`.

    With a fresh answer both are compared, in both orders, because judges favour a place: only when it says so
    twice they are the same. Without one the questions are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.compare = dspy.Predict(SaysTheSame)
        self.fit = dspy.Predict(AnswersBoth)

    def think(self, question: str, kept_question: str, kept_answer: str, fresh_answer: str | None) -> Thought:
        """Judge one use of a kept answer."""
        if fresh_answer is None:
            given = {"kept_question": kept_question, "question": question, "answer": kept_answer}
            return dspy.Prediction(same=(yield self.fit, given).same)
        there = yield self.compare, {"question": question, "first": kept_answer, "second": fresh_answer}
        back = yield self.compare, {"question": question, "first": fresh_answer, "second": kept_answer}
        return dspy.Prediction(same=there.same and back.same)
