"""Measurements as they are kept: each example's result of each version, with its cost and its time."""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.evaluation import Comparison, EvaluationParams, EvaluationResult, ExampleResult
from contracts.examples import Example
from contracts.programs import Version
from database.learning.evaluations import begin_evaluation, end_evaluation, keep_results
from flows.durable.run import current_run
from flows.learning.answering import Outcome, Paid, answer_step, measured, paid_by_step
from flows.learning.caps import CAP_REACHED
from flows.learning.statistics import compared
from runtime.errors import MillraceError
from runtime.ids import derived_id


@dataclass(frozen=True, slots=True)
class Column:
    """What one version made of all examples, in their order; its answers are recorded under `label`."""

    version: Version
    label: str
    outcomes: list[Outcome]


async def keep_measured(
    params: EvaluationParams, examples: list[Example], columns: Sequence[Column], left_out: int
) -> EvaluationResult:
    """Store the evaluation of the current run: every result, the scores, and the comparison of two versions.

    What a cap kept from being measured is left out. Call it from a step; done twice it is done once.

    Raises:
        MillraceError: `cap_reached`, nothing was measured.
    """
    run = current_run()
    evaluation_id = derived_id(run.id, "evaluation")
    await run.write(
        begin_evaluation,
        run.owner,
        evaluation_id=evaluation_id,
        run_id=run.id,
        params=params,
        versions=[column.version.id for column in columns],
    )
    every = [outcome for column in columns for outcome in column.outcomes]
    if not any(outcome.measured for outcome in every):
        raise MillraceError("The cap leaves no room for a single answer. Raise it.", CAP_REACHED)
    paid = await paid_by_step(run)
    scores = []
    for column in columns:
        await run.write(keep_results, evaluation_id, results(column, examples, paid))
        scores.append(await measured(run, column.version.version, column.label, examples, column.outcomes))
    result = EvaluationResult(
        evaluation_id=evaluation_id,
        program=params.program,
        split=params.split,
        metric=params.metric,
        scores=scores,
        comparison=comparison_of(columns),
        left_out=left_out,
        stopped=None if all(outcome.measured for outcome in every) else "usd",
        models=sorted(run.deployments),
    )
    await run.write(end_evaluation, evaluation_id, result)
    return result


def comparison_of(columns: Sequence[Column]) -> Comparison | None:
    """Return the first version less the second one on the examples that both were measured on."""
    if len(columns) < 2:  # noqa: PLR2004
        return None
    pairs = zip(*(column.outcomes for column in columns), strict=True)
    both = [(new.score, old.score) for new, old in pairs if new.measured and old.measured]
    return compared([new for new, _ in both], [old for _, old in both]) if both else None


def results(column: Column, examples: list[Example], paid: Paid) -> list[ExampleResult]:
    """Return what each example came to that was measured, as it is stored."""
    found = []
    for example, outcome in zip(examples, column.outcomes, strict=True):
        if not outcome.measured:
            continue
        cost, latency = paid.get(answer_step(column.label, example), (None, None))
        found.append(
            ExampleResult(
                example_id=example.id,
                version_id=column.version.id,
                score=outcome.score,
                answer=outcome.answer,
                error=outcome.error,
                cost_usd=cost,
                latency_ms=latency,
            )
        )
    return found
