"""One optimizer on one program: its examples, its metric, its caps, and its best when it is stopped."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import dspy

from contracts.demo_values import fits
from contracts.examples import Example
from contracts.optimization import Optimizer
from contracts.program_states import DEMO_MARKS, checked_state
from contracts.programs import Signature, State
from contracts.runs import EventKind
from flows.durable.run import current_run
from flows.durable.steps import step_calls
from flows.learning.caps import Caps, Interrupted, Stopped
from flows.learning.metrics import JUDGED, as_text, metric_named, scored
from flows.learning.optimizers import ERRORS, Lesson, compiled
from flows.learning.quiet import quieten
from flows.learning.racing import Racer
from flows.learning.watching import Trial, Watch, watch_batches
from llm.errors import translate
from llm.routing import Wanted
from modules.judging import BothOrders, SemanticF1
from modules.programs import PROGRAMS, Kind, answered, call_inputs, signature_of, state_of, with_state
from runtime.errors import MillraceError


@dataclass(frozen=True, slots=True)
class Taught:
    """What an optimizer came to; `state` is none when it was stopped before it had tried anything.

    `score` is the best of its own trials, 0 to 1; none where it makes none.
    """

    state: State | None
    calls: int
    usd: Decimal
    stopped: str | None
    score: float | None = None


async def taught(  # noqa: PLR0913  an optimizer needs all of it
    choice: Optimizer,
    program: str,
    state: State,
    train: list[Example],
    validation: list[Example],
    *,
    metric: str,
    caps: Caps,
    seed: int,
    threads: int,
    wanted: Wanted | None = None,
    racer: Racer | None = None,
) -> Taught:
    """Let an optimizer improve a state, in a thread, its calls recorded under the current step.

    A call that fails and may succeed later ends the try: the next one is answered by the ledger up to there.
    Trials are told of the `racer`; without one, the optimizer is alone.
    """
    run, kind, loop = current_run(), PROGRAMS[program], asyncio.get_running_loop()
    calls = step_calls()
    caps.guard(calls)
    models = {role: run.door.lm(role, calls) for role in ("reflector", "judge")}
    answering = run.door.lm(kind.role, calls, wanted)
    racer = racer or Racer(1, choice.name, choice.name)

    def tell(trial: Trial) -> None:
        data = {
            **racer.told(),
            "trial": trial.number,
            "score": round(trial.score, 4),
            "best": round(trial.best, 4),
            "examples": trial.examples,
            "calls": caps.made,
            "usd": format(caps.spent, "f"),
        }
        loop.call_soon_threadsafe(lambda: run.tell(EventKind.TRIAL, **data))

    watch = Watch(tell)
    lesson = Lesson(
        program=with_state(kind.build(), state),
        train=[as_dspy(kind, one) for one in train],
        validation=[as_dspy(kind, one) for one in validation],
        metric=metric_for(choice, kind, metric, models["judge"], watch),
        reflector=models["reflector"],
        seed=seed,
        threads=threads,
    )

    def work() -> State | None:
        quieten()
        watch_batches()
        with dspy.context(
            lm=answering,
            callbacks=[watch],
            disable_history=True,
            trace=None,
            send_stream=None,
            max_errors=ERRORS,
        ):
            try:
                return state_of(compiled(choice, lesson))
            except Stopped:
                return watch.best.state if watch.best else None
            except Interrupted as cut:
                raise cut.error from None

    try:
        async with calls.written_behind():
            try:
                found = await asyncio.to_thread(work)
            except asyncio.CancelledError:
                # The thread hears of it at its next call.
                caps.reached = caps.reached or "cancelled"
                raise
    except Interrupted as cut:  # the last answer could not be written
        raise cut.error from None
    if found is not None:
        signature = signature_of(lesson.program)
        found = checked_state(without_strangers(found, signature), signature)
    return Taught(found, caps.made, caps.spent, caps.reached, watch.best.score if watch.best else None)


def as_dspy(kind: Kind, example: Example) -> dspy.Example:
    """Return an example as DSPy has them."""
    inputs = call_inputs(kind, example.inputs)
    return dspy.Example(**inputs, **example.expected).with_inputs(*inputs)


def metric_for(choice: Optimizer, kind: Kind, metric: str, judge: Any, watch: Watch) -> Callable[..., Any]:
    """Return a metric as an optimizer calls it; GEPA wants to be told what was wrong as well.

    SIMBA's has its `watch` with it, see `watch_batches`.
    """

    def score(
        example: Any, prediction: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None
    ) -> Any:
        del trace, pred_name, pred_trace
        expected = {name: example[name] for name in kind.expects if name in example}
        given = answered(kind, prediction)
        try:
            if metric in JUDGED:
                found = _judged(metric, as_text(dict(example.inputs())), given, expected, judge)
            else:
                found = scored(metric_named(metric), metric, expected, given)
        except Exception as cause:
            # An answer that cannot be scored counts as wrong; a fault of ours would make all of them wrong.
            if (error := translate(cause)).code == MillraceError.code:
                raise Interrupted(error) from cause
            raise
        if choice.name != "gepa":
            return found
        right = found >= 1
        feedback = "Correct." if right else f"Wrong: expected {as_text(expected)} but got {as_text(given)}."
        return dspy.Prediction(score=found, feedback=feedback)

    vars(score)["watch"] = watch
    return score


def without_strangers(state: State, signature: Signature) -> State:
    """Return a state whose demos hold fields of their predictor only, and both a question and an answer.

    Optimizers put whole examples into predictors; those of a program with several predictors, or with other
    inputs than its predictors', do not fit all of them; and one whose values are of another type than the
    fields' would show a model a form that it must not answer in.
    """
    cleaned = {}
    for name, predictor in state.items():
        inputs = {field.name for field in signature[name] if field.side == "input"}
        outputs = {field.name for field in signature[name] if field.side == "output"}
        demos = [
            {key: value for key, value in demo.items() if key in inputs | outputs | DEMO_MARKS}
            for demo in predictor["demos"]
        ]
        cleaned[name] = {
            **predictor,
            "demos": [
                demo
                for demo in demos
                if set(demo) & inputs and set(demo) & outputs and fits(demo, signature[name])
            ],
        }
    return cleaned


def _judged(metric: str, question: str, given: Any, expected: Any, judge: Any) -> float:
    with dspy.context(lm=judge):
        if metric == "judge":
            said = BothOrders()(question=question, answer=as_text(given), other=as_text(expected))
        else:
            said = SemanticF1()(question=question, reference=as_text(expected), answer=as_text(given))
    return float(said.score)
