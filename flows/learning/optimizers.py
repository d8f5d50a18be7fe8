"""DSPy's optimizers by name: what each needs, about how many calls it makes, and how it is run."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dspy

from contracts.optimization import (
    Bootstrap,
    BootstrapRandomSearch,
    Copro,
    Gepa,
    Labeled,
    Mipro,
    Optimizer,
    Simba,
)
from flows.learning.caps import Stopped
from modules.program import Program
from runtime.errors import BadInput

# An answer of at least this score is good enough to be a demo.
GOOD = 0.5
# Wrong answers are what optimizers learn from: no number of them ends one.
ERRORS = 1_000_000


@dataclass(frozen=True, slots=True)
class Lesson:
    """What an optimizer is given."""

    program: Program
    train: list[dspy.Example]
    validation: list[dspy.Example]
    metric: Callable[..., Any]
    reflector: Any
    seed: int
    threads: int


def refuse_missing(choice: Optimizer) -> None:
    """Do nothing when the worker has the packages of an optimizer.

    Raises:
        BadInput: `missing_package`, before any money is spent.
    """
    for package in _PACKAGES.get(choice.name, ()):
        if importlib.util.find_spec(package) is None:
            raise BadInput(
                f"The optimizer {choice.name} needs the package {package}: install Millrace's worker extra.",
                "missing_package",
            )


def compiled(choice: Optimizer, lesson: Lesson) -> Program:
    """Run an optimizer to its end, in a thread, inside `dspy.context(lm=...)`, and return its program."""
    train, validation = {"trainset": lesson.train}, {"valset": lesson.validation}
    search = {"metric": lesson.metric, "num_threads": lesson.threads}
    demos = {"metric_threshold": GOOD, "max_errors": ERRORS}
    found: Any
    match choice:
        case Labeled():
            found = dspy.LabeledFewShot(k=choice.demos).compile(lesson.program, **train)
        case Bootstrap():
            found = bootstrapped(
                dspy.BootstrapFewShot(
                    metric=lesson.metric,
                    max_bootstrapped_demos=choice.bootstrapped,
                    max_labeled_demos=choice.labeled,
                    max_rounds=choice.rounds,
                    **demos,
                ),
                lesson,
            )
        case BootstrapRandomSearch():
            found = dspy.BootstrapFewShotWithRandomSearch(
                max_bootstrapped_demos=choice.bootstrapped,
                max_labeled_demos=choice.labeled,
                num_candidate_programs=choice.candidates,
                **search,
                **demos,
            ).compile(lesson.program, **train, **validation)
        case Mipro():
            found = dspy.MIPROv2(
                prompt_model=lesson.reflector,
                max_bootstrapped_demos=choice.bootstrapped,
                max_labeled_demos=choice.labeled,
                auto=None,
                num_candidates=choice.candidates,
                seed=lesson.seed,
                **search,
                **demos,
            ).compile(
                lesson.program,
                num_trials=choice.trials,
                minibatch=False,
                seed=lesson.seed,
                **train,
                **validation,
            )
        case Gepa():
            found = dspy.GEPA(
                max_metric_calls=choice.metric_calls,
                reflection_minibatch_size=choice.minibatch,
                reflection_lm=lesson.reflector,
                seed=lesson.seed,
                **search,
            ).compile(lesson.program, **train, **validation)
        case Simba():
            found = dspy.SIMBA(
                bsize=choice.batch,
                num_candidates=choice.candidates,
                max_steps=choice.steps,
                max_demos=choice.demos,
                prompt_model=lesson.reflector,
                **search,
            ).compile(lesson.program, seed=lesson.seed, **train)
        case Copro():
            found = dspy.COPRO(
                metric=lesson.metric,
                prompt_model=lesson.reflector,
                breadth=choice.breadth,
                depth=choice.depth,
            ).compile(lesson.program, eval_kwargs={"num_threads": lesson.threads}, **train)
    program: Program = found
    return program


def bootstrapped(optimizer: Any, lesson: Lesson) -> Any:
    """Return the program of a bootstrap; at a cap that with the demos that were found up to there.

    A bootstrap tries no program before its end, so its demos so far are its best so far. What is done with
    them at the cap is what `compile` does at its end.
    """
    try:
        return optimizer.compile(lesson.program, trainset=lesson.train)
    except Stopped:
        traces = getattr(optimizer, "name2traces", {})
        if not any(traces.values()):
            raise
        asked = [demo.toDict() for demos in traces.values() for demo in demos]
        optimizer.validation = [
            one
            for one in lesson.train
            if not any(dict(one.inputs()).items() <= demo.items() for demo in asked)
        ]
        return optimizer._train()  # noqa: SLF001  DSPy has no public name for it


_PACKAGES: dict[str, tuple[str, ...]] = {"mipro": ("optuna", "numpy"), "simba": ("numpy",), "gepa": ("gepa",)}
