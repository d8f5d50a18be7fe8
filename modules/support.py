# mypy: allow-subclassing-any
"""Support messages: what one is about. The example program of the improvement loop.

It ships poor on purpose: the instruction names no label's meaning, so that without examples the offline
model guesses. `modules/examples/support_messages.jsonl` has 120 labelled messages to learn from.
"""

import dspy

from contracts.classify import Label
from modules.program import Program, Thought


class Sort(dspy.Signature):
    """Sort a support message."""

    message: str = dspy.InputField(desc="What somebody wrote to the support.")
    label: Label = dspy.OutputField(desc="What the message is about.")


class SortMessage(Program):
    """What a support message is about. Predicts `label`."""

    def __init__(self) -> None:
        super().__init__()
        self.sort = dspy.Predict(Sort)

    def think(self, message: str) -> Thought:
        """Sort one message."""
        answer = yield self.sort, {"message": message}
        return dspy.Prediction(label=answer.label)
