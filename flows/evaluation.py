"""Evaluation: let versions of a program answer a split of examples, and say how well they do."""

import asyncio
from dataclasses import dataclass
from decimal import Decimal

from contracts.evaluation import EvaluationParams, EvaluationResult
from contracts.examples import Example
from contracts.pipelines import EVALUATION
from contracts.programs import Version
from database.gateway.estimates import estimated
from database.learning.evaluations import begin_evaluation
from flows.durable.pipeline import pipeline
from flows.durable.run import current_run
from flows.durable.steps import step
from flows.learning.answering import Outcome, answer_all, score_all
from flows.learning.caps import Caps
from flows.learning.material import enough, examples_of, measured_with, refuse_unknown, version_of
from flows.learning.measuring import Column, keep_measured
from flows.learning.metrics import tried
from flows.policies import STORE
from runtime.errors import BadInput
from runtime.ids import derived_id


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured."""

    versions: list[Version]
    examples: list[Example]
    left_out: int


@pipeline(EVALUATION)
async def evaluation(params: EvaluationParams) -> EvaluationResult:
    """Check everything, let each version answer, score the answers, and compare.

    What was measured when the cap was reached is kept.
    """
    plan = await prepare(params)
    return await measure(params, plan, Caps(usd=params.cap_usd))


async def measure(params: EvaluationParams, plan: Plan, caps: Caps) -> EvaluationResult:
    """Let each version answer, score the answers, and store what came out."""
    run = current_run()
    answers = [
        await answer_all(
            *(params.program, label(version), version.state, plan.examples, caps),
            at_once=params.at_once,
            wanted=measured_with(run, params.deployment or version.deployment),
        )
        for version in plan.versions
    ]
    outcomes = [
        await score_all(
            *(params.metric, label(version), plan.examples, mine, other(answers, number), caps),
            at_once=params.at_once,
        )
        for number, (version, mine) in enumerate(zip(plan.versions, answers, strict=True))
    ]
    return await remember(params, plan, outcomes)


@step(STORE)
async def prepare(params: EvaluationParams) -> Plan:
    """Find versions and examples, try the metric, and refuse what would cost too much or prove nothing."""
    run = current_run()
    versions = [await version_of(run, params.program, params.version)]
    if params.against is not None:
        versions.append(await version_of(run, params.program, params.against))
    material = await examples_of(run, params.program)
    examples = material.splits[params.split][: params.most]
    enough(examples, 1, params.split, params.program)
    refuse_unknown(run, params.deployment)
    await asyncio.to_thread(tried, params.metric, [one.expected for one in examples])
    refuse_over_cap((await run.read(estimated, run.owner, params)).usd, params.cap_usd)
    await run.write(
        begin_evaluation,
        run.owner,
        evaluation_id=derived_id(run.id, "evaluation"),
        run_id=run.id,
        params=params,
        versions=[version.id for version in versions],
    )
    return Plan(versions, examples, material.left_out[params.split])


@step(STORE)
async def remember(params: EvaluationParams, plan: Plan, outcomes: list[list[Outcome]]) -> EvaluationResult:
    """Store each example's result with its cost and time, and sum up."""
    columns = [
        Column(version, label(version), mine) for version, mine in zip(plan.versions, outcomes, strict=True)
    ]
    return await keep_measured(params, plan.examples, columns, plan.left_out)


def refuse_over_cap(usd: Decimal | None, cap_usd: Decimal | None) -> None:
    """Do nothing when the estimate is within the cap, or one of the two is not known.

    Raises:
        BadInput: `estimate_over_cap`.
    """
    if cap_usd is not None and usd is not None and usd > cap_usd:
        raise BadInput(
            f"It would cost about {usd:f} USD, more than the cap of {cap_usd:f}. Raise the cap, or measure"
            " fewer cases with `most`.",
            "estimate_over_cap",
        )


def other(answers: list[list[Outcome]], number: int) -> list[Outcome] | None:
    """Return the other version's answers, when there is another one."""
    return answers[1 - number] if len(answers) > 1 else None


def label(version: Version) -> str:
    """Return the name of a version in the ledger."""
    return f"v{version.version}"
