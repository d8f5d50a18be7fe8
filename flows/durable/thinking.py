"""Gives DSPy modules their model for the length of a step, and nothing that outlives it."""

from collections.abc import Iterator
from contextlib import contextmanager

from flows.durable.run import current_run
from flows.durable.steps import step_calls
from llm.routing import Wanted
from modules.program import Program
from modules.programs import PROGRAMS, with_state


@contextmanager
def thinking(role: str, wanted: Wanted | None = None) -> Iterator[None]:
    """Let DSPy programs inside use the model of `role`; their calls are recorded under the current step.

    Args:
        role: as in config/providers.yaml.
        wanted: the deployment that is asked before the role's own, or alone.

    DSPy's history and trace are off: they grow without bound and keep people's text. Never hold this
    across the `yield` of an async generator: the context would leak into whoever drives it.
    """
    import dspy

    lm = current_run().door.lm(role, step_calls(), wanted or wanted_of(role))
    with dspy.context(lm=lm, disable_history=True, trace=None, send_stream=None):
        yield


def wanted_of(role: str) -> Wanted | None:
    """Return the deployment that an experiment lets the run ask for a role before its own.

    None as well where the file does not have it any more: the run is answered as usual, and does not count.
    """
    run, what = current_run(), f"model:{role}"
    if (met := run.arms.get(what)) is None or met.arm.deployment not in run.door.providers.enabled():
        return None
    run.arm_of(what)
    return Wanted(met.arm.deployment)


@contextmanager
def thinking_with(name: str) -> Iterator[Program]:
    """Yield a program in the version that the run is bound to, and its role's model, see `thinking`."""
    kind = PROGRAMS[name]
    run = current_run()
    pinned = run.programs[name]
    run.arm_of(f"program:{name}")
    calls = step_calls()
    before, calls.program = calls.program, f"{name}:{pinned.version_id}"
    try:
        program = with_state(kind.build(), pinned.state)
        with thinking(kind.role, Wanted(pinned.deployment) if pinned.deployment else None):
            yield program
    finally:
        calls.program = before
