# mypy: allow-subclassing-any
"""How a program thinks: one line of thought, written once, run with or without an event loop."""

from collections.abc import Callable, Generator
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from modules.wording import defused

# A thought asks a predictor with these inputs, gets its prediction back, and ends with the program's own.
Thought = Generator[tuple[dspy.Predict, dict[str, Any]], dspy.Prediction, dspy.Prediction]


class Program(dspy.Module):
    """A DSPy program whose `think` yields `(predictor, inputs)` and is sent the prediction.

    Optimizers call programs without an event loop, flows call them with one: `forward` and `aforward` follow
    the same thought. Predictors are plain attributes, so their names in saved states are those in the source.
    """

    think: Callable[..., Thought]

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Follow the thought with blocking calls."""
        thought, prediction = self.think(**inputs), None
        while True:
            try:
                predictor, given = thought.send(prediction)
            except StopIteration as end:
                return end.value
            prediction = predictor(**defused(given))

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """Follow the thought with awaited calls."""
        thought, prediction = self.think(**inputs), None
        while True:
            try:
                predictor, given = thought.send(prediction)
            except StopIteration as end:
                return end.value
            prediction = await _asked(predictor, defused(given))


async def _asked(predictor: dspy.Predict, given: dict[str, Any]) -> dspy.Prediction:
    """Ask a predictor; when its streamed answer has no form at all, ask once more for JSON.

    DSPy does that by itself for answers that are not streamed. It leaves streamed ones alone because
    somebody may have seen a part already; here nobody has while no listener has met the beginning of its
    field.
    """
    try:
        return await predictor.acall(**given)
    except AdapterParseError:
        mine = [one for one in dspy.settings.stream_listeners or [] if one.predict is predictor]
        if dspy.settings.send_stream is None or not mine or any(one.stream_start for one in mine):
            raise
    with dspy.context(send_stream=None, adapter=dspy.JSONAdapter()):
        return await predictor.acall(**given)
