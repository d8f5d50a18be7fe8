"""Gives DSPy modules their model for the length of a step, and nothing that outlives it."""

from collections.abc import Iterator
from contextlib import contextmanager

from flows.durable.run import current_run
from flows.durable.steps import step_calls


@contextmanager
def thinking(role: str) -> Iterator[None]:
    """Let DSPy programs inside use the model of `role`; their calls are recorded under the current step.

    DSPy's history and trace are off: they grow without bound and keep people's text. Never hold this
    across the `yield` of an async generator: the context would leak into whoever drives it.
    """
    import dspy

    lm = current_run().door.lm(role, step_calls())
    with dspy.context(lm=lm, disable_history=True, trace=None, send_stream=None):
        yield
