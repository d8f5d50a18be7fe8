"""Echo: the smallest program that makes a model call, for probes and timings."""

import dspy


class Repeat(dspy.Signature):  # type: ignore[misc]  # DSPy has no types
    """Repeat the text."""

    text: str = dspy.InputField()
    repeated: str = dspy.OutputField()


async def echo(text: str) -> str:
    """Return what the model makes of the request to repeat a text; one model call."""
    answer = await dspy.Predict(Repeat).acall(text=text)
    return str(answer.repeated)
