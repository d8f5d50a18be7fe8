# mypy: allow-subclassing-any
"""Watch an optimizer: each program that it tries, its score, and the best so far."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from dspy.utils.callback import BaseCallback

from contracts.programs import State
from modules.programs import state_of

Ask = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Trial:
    """One program that was tried. `score` is its mean over `examples`, 0 to 1."""

    number: int
    score: float
    examples: int
    best: float
    state: State


class Watch(BaseCallback):
    """Hears of DSPy's evaluations. The best is that of those on the most examples, the first among equals."""

    def __init__(self, told: Callable[[Trial], None]) -> None:
        self.told = told
        self.trials = 0
        self.best: Trial | None = None
        self._tried: dict[str, tuple[Any, int]] = {}
        self._batches: dict[int, Batch] = {}
        self._lock = threading.Lock()

    def on_evaluate_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Remember which program is tried."""
        examples = inputs.get("devset") or instance.devset
        self._tried[call_id] = (inputs["program"], len(examples))

    def on_evaluate_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        """Take the score of a trial that came to its end."""
        program, examples = self._tried.pop(call_id)
        if exception is not None or outputs is None:
            return
        self.ended(program, float(outputs.score) / 100, examples)

    def asked(self, program: Any) -> "Batch":
        """Return where the answers of a program are counted that SIMBA tries on one example more."""
        with self._lock:
            batch = self._batches.setdefault(id(program), Batch(program))
            batch.asked += 1
        return batch

    def answered(self, batch: "Batch", score: float) -> None:
        """Count an answer; the last one of those that were asked for ends the trial."""
        with self._lock:
            batch.scores.append(score)
            if len(batch.scores) == batch.asked:
                self.ended(batch.program, sum(batch.scores) / batch.asked, batch.asked)

    def ended(self, program: Any, score: float, examples: int) -> None:
        """Take a trial that came to its end, its score 0 to 1."""
        self.trials += 1
        before = self.best
        better = before is None or (examples, score) > (before.examples, before.score)
        best = score if before is None or examples > before.examples else max(before.score, score)
        trial = Trial(self.trials, score, examples, best, state_of(program))
        if better:
            self.best = trial
        self.told(trial)


@dataclass(slots=True)
class Batch:
    """A program that is tried on a batch of examples. It is kept, so that its id names no other one."""

    program: Any
    asked: int = 0
    scores: list[float] = field(default_factory=list)


def watch_batches() -> None:
    """Let the watch of SIMBA's metric hear of the programs that SIMBA tries, in this process.

    SIMBA evaluates without `dspy.Evaluate`, and tells nothing before its end. It asks for every answer of a
    program before the first one is made. Copies with a model of their own are samples of one example each.
    """
    simba: Any = vars(import_module("dspy.teleprompt.simba"))
    wrap = simba["wrap_program"]
    if hasattr(wrap, "watched"):
        return

    def watched(program: Any, metric: Any) -> Ask:
        ask: Ask = wrap(program, metric)
        watch: Watch | None = getattr(metric, "watch", None)
        if watch is None or any(one.lm is not None for one in program.predictors()):
            return ask
        batch = watch.asked(program)

        def answered(example: Any) -> dict[str, Any]:
            found = ask(example)
            watch.answered(batch, float(found["score"]))
            return found

        return answered

    vars(watched)["watched"] = True
    simba["wrap_program"] = watched
