"""What optimizers need before they begin: examples, and about how many model calls (docs/optimization.md)."""

from dataclasses import dataclass

from contracts.evaluation import JUDGE_CALLS
from contracts.examples import Split
from contracts.optimization import (
    Bootstrap,
    BootstrapRandomSearch,
    Copro,
    Gepa,
    Labeled,
    Mipro,
    OptimizationEstimate,
    OptimizeParams,
    Optimizer,
    Simba,
)
from runtime.errors import BadInput

MIPRO_PROPOSALS = 35
FEWEST_TRAIN = 2


@dataclass(frozen=True, slots=True)
class Needs:
    """What a piece of work asks: answers of the program, and proposals of the role `reflector`.

    `at_once`: how many answers it asks for at the same time.
    """

    answers: int
    proposals: int = 0
    at_once: int = 1

    def calls(self, predictors: int, metric: str) -> int:
        """Return about how many model calls that makes, a judge's among them."""
        return self.answers * (predictors + JUDGE_CALLS.get(metric, 0)) + self.proposals


def needs_of(  # noqa: PLR0911  one for each
    choice: Optimizer, train: int, validation: int, at_once: int
) -> Needs:
    """Return about what an optimizer asks with these numbers of examples (measured, DSPy 3.4)."""
    match choice:
        case Labeled():
            return Needs(0, at_once=at_once)
        case Bootstrap():
            return Needs(min(train, 2 * choice.bootstrapped) * choice.rounds)
        case BootstrapRandomSearch():
            answers = (choice.candidates + 3) * validation + (choice.candidates + 1) * choice.bootstrapped
            return Needs(answers, at_once=at_once)
        case Mipro():
            return Needs((choice.trials + 2) * validation, MIPRO_PROPOSALS, at_once)
        case Gepa():
            width = min(choice.minibatch, at_once)
            return Needs(choice.metric_calls + validation, choice.metric_calls // 10, width)
        case Simba():
            tried = choice.steps * choice.batch * (2 * choice.candidates + 1)
            last = (min(choice.candidates, choice.steps) + 1) * train
            return Needs(tried + last, choice.steps * (choice.candidates + 1) // 2, at_once)
        case Copro():
            programs = choice.breadth * choice.depth
            return Needs(programs * train, programs, at_once)


def measuring(params: OptimizeParams, validation: int, test: int) -> Needs:
    """Return what it takes to choose on the validation split and to prove it on the test split."""
    return Needs((1 + len(params.optimizers)) * validation + 2 * test, at_once=params.at_once)


def refuse_few(params: OptimizeParams, counts: dict[Split, int]) -> None:
    """Do nothing when there are examples enough for every optimizer and for the proof.

    Raises:
        BadInput: `too_few_examples`; or `too_few_metric_calls`, GEPA would look at the base only.
    """
    needed = max(
        (choice.batch if isinstance(choice, Simba) else FEWEST_TRAIN, choice.name)
        for choice in params.optimizers
    )
    for split, number, why in (
        (Split.TRAIN, needed[0], f"for {needed[1]}"),
        (Split.VALIDATION, 1, "to choose with"),
        (Split.TEST, 1, "to prove with"),
    ):
        if counts[split] < number:
            raise BadInput(
                f"{params.program} has {counts[split]} examples to use in the split `{split}`, and {number}"
                f" are needed {why}. Import more, or give feedback with corrections (each split gets its"
                " share by the inputs' hash), or choose smaller settings.",
                "too_few_examples",
            )
    validation = min(counts[Split.VALIDATION], params.most_validation)
    for choice in params.optimizers:
        # The base is measured on all of them first, then each instruction on a minibatch, before and after.
        if isinstance(choice, Gepa) and choice.metric_calls < (least := validation + 2 * choice.minibatch):
            raise BadInput(
                f"gepa needs {least} metric_calls to try one instruction with {validation} examples in the"
                f" split `validation`, and {choice.metric_calls} are given. Raise them, or lower"
                " `most_validation`.",
                "too_few_metric_calls",
            )


def refuse_small_caps(params: OptimizeParams, found: OptimizationEstimate) -> None:
    """Do nothing when every cap is at least what the work takes by estimate, or that was accepted.

    Raises:
        BadInput: `budget_below_estimate`, with what to raise it to.
    """
    if params.below_estimate:
        return
    minutes = None if found.seconds is None else round(found.seconds / 60, 3)
    for name, cap, needed in (
        ("cap_calls", params.cap_calls, found.needed_calls),
        ("cap_usd", params.cap_usd, found.needed_usd),
        ("cap_minutes", params.cap_minutes, minutes),
    ):
        if cap is not None and needed is not None and cap < needed:
            raise BadInput(
                f"By estimate this needs {name} of {needed}, and {cap} is given. Raise it, race fewer"
                " optimizers, choose smaller settings, or send `below_estimate`: then the best that was found"
                " up to the cap is kept.",
                "budget_below_estimate",
            )
