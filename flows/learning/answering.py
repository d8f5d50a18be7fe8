"""States of programs on examples: answered, scored and summed up, each example a step of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from contracts.evaluation import VersionScore
from contracts.examples import Example
from contracts.programs import State
from contracts.runs import EventKind, RunError
from database.learning.evaluations import step_costs
from database.patience import outlast
from flows.durable.run import Run, current_run, told
from flows.durable.steps import in_parallel, step, step_calls
from flows.durable.thinking import thinking
from flows.learning.caps import CAP_REACHED, Caps
from flows.learning.metrics import JUDGED, as_text, metric_named, scored
from flows.learning.statistics import mean_interval
from flows.policies import MODEL_CALL
from llm.routing import Wanted
from modules.judging import BothOrders, SemanticF1
from modules.programs import PROGRAMS, answered, call_inputs, with_state
from runtime.errors import MillraceError

Fields = dict[str, Any]
Paid = dict[str, tuple[Decimal | None, float]]
OF_NO_EXAMPLE = frozenset({"price_unknown", "unbounded_tokens", "unknown_deployment"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a state made of one example: its answer, or why there is none."""

    answer: Fields | None = None
    score: float = 0.0
    error: RunError | None = None

    @property
    def measured(self) -> bool:
        """Whether it counts: what a cap kept from being asked or judged does not."""
        return self.error is None or self.error.code != CAP_REACHED


async def answer_all(
    program: str,
    label: str,
    state: State,
    examples: list[Example],
    caps: Caps,
    *,
    at_once: int,
    wanted: Wanted | None = None,
) -> list[Outcome]:
    """Let a state answer every example, some at once; what fails is counted with its reason.

    At a cap the rest is not asked, and says so (`Outcome.measured`).

    Args:
        program: whose state it is.
        label: names the state in this run; the answers are recorded under it.
        state: instructions and demos.
        examples: what is asked.
        caps: what all of it may take.
        at_once: how many examples are answered at the same time.
        wanted: the deployment that is asked before the role's own, or alone.
    """
    done = 0

    async def one(_number: int, example: Example) -> Outcome:
        nonlocal done
        try:
            found = Outcome(answer=await answer(place(label, example), program, state, example, caps, wanted))
        except MillraceError as error:
            found = Outcome(error=counted(error))
        done += 1
        current_run().tell(EventKind.PROGRESS, done=done, total=len(examples), of=f"answers of {label}")
        return found

    return await in_parallel(one, examples, at_most=at_once)


async def score_all(
    metric: str,
    label: str,
    examples: list[Example],
    mine: list[Outcome],
    others: list[Outcome] | None,
    caps: Caps,
    *,
    at_once: int,
) -> list[Outcome]:
    """Score answers; the metric `judge` compares them with those of others when there are any."""

    async def one(number: int, example: Example) -> Outcome:
        found, other = mine[number], example.expected
        if found.answer is None:
            return found
        if others is not None and metric == "judge":
            theirs = others[number].answer
            if theirs is None:
                return replace(found, score=1.0)
            other = theirs
        try:
            if metric in JUDGED:
                question = as_text(example.inputs)
                score = await judge(place(label, example), metric, question, found.answer, other, caps)
            else:
                score = scored(metric_named(metric), metric, example.expected, found.answer)
        except MillraceError as error:
            return replace(found, error=counted(error))
        return replace(found, score=score)

    return await in_parallel(one, examples, at_most=at_once)


@step(MODEL_CALL, key="place")
async def answer(
    place: str,  # noqa: ARG001  it is the key
    program: str,
    state: State,
    example: Example,
    caps: Caps,
    wanted: Wanted | None = None,
) -> Fields:
    """Let a state answer one example."""
    kind = PROGRAMS[program]
    built = with_state(kind.build(), state)
    calls = step_calls()
    caps.guard(calls)
    # What is measured is what an answer takes: one that is used again takes nothing.
    calls.owner = None
    with thinking(kind.role, wanted):
        prediction = await built.acall(**call_inputs(kind, example.inputs))
    return answered(kind, prediction)


@step(MODEL_CALL, key="place")
async def judge(
    place: str,  # noqa: ARG001  it is the key
    metric: str,
    question: str,
    answer: Fields,
    other: Fields,
    caps: Caps,
) -> float:
    """Let the judge score one answer."""
    caps.guard(step_calls())
    with thinking("judge"):
        if metric == "judge":
            said = await BothOrders().acall(question=question, answer=as_text(answer), other=as_text(other))
        else:
            said = await SemanticF1().acall(
                question=question, reference=as_text(other), answer=as_text(answer)
            )
    return float(said.score)


async def paid_by_step(run: Run) -> Paid:
    """Return what each step of the run did cost in US dollars and milliseconds, by the ledger."""

    async def read() -> Paid:
        async with run.database.read() as session:
            return await step_costs(session, run.id)

    return await outlast(read)


async def measured(
    run: Run, version: int, label: str, examples: list[Example], outcomes: list[Outcome]
) -> VersionScore:
    """Return how a version did over the examples that count: score, failures, cost and time of answers."""
    paid = await paid_by_step(run)
    pairs = [pair for pair in zip(examples, outcomes, strict=True) if pair[1].measured]
    examples, outcomes = [example for example, _ in pairs], [outcome for _, outcome in pairs]
    mine = [paid.get(answer_step(label, example), (None, None)) for example in examples]
    costs = [cost for cost, _ in mine if cost is not None]
    times = [latency for _, latency in mine if latency is not None]
    return VersionScore(
        version=version,
        score=mean_interval([one.score for one in outcomes]),
        examples=len(examples),
        failures=sum(one.error is not None for one in outcomes),
        cost_usd=sum(costs, Decimal(0)) if costs else None,
        latency_ms=round(sum(times) / len(times), 3) if times else None,
    )


def place(label: str, example: Example) -> str:
    """Return the name of one answer, the same in every attempt."""
    return f"{label}.{example.input_hash[:16]}"


def answer_step(label: str, example: Example) -> str:
    """Return the name of the step under which one answer is recorded."""
    return f"answer[{place(label, example)}]"


def refuse_unmeasured(outcomes: Sequence[Outcome]) -> None:
    """Do nothing when a cap kept nothing from being measured: for comparisons of which half is none.

    Raises:
        MillraceError: `cap_reached`.
    """
    for one in outcomes:
        if one.error is not None and not one.measured:
            raise MillraceError(one.error.message, one.error.code)


def counted(error: MillraceError) -> RunError:
    """Return a failure as it is counted; one that no example is to blame for is raised.

    Raises:
        MillraceError: `price_unknown`, `unbounded_tokens` or `unknown_deployment`.
    """
    if error.code in OF_NO_EXAMPLE:
        raise error
    return told(error)
