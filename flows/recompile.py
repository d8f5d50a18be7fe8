"""Recompile: take a program to another model, optimize it for that, and compare quality and cost."""

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from contracts.evaluation import EvaluationParams, EvaluationResult, VersionScore
from contracts.examples import Example, Split
from contracts.gate import Lineage
from contracts.optimization import OptimizeParams, OptimizeResult
from contracts.optimizer_needs import refuse_few, refuse_small_caps
from contracts.pipelines import OPTIMIZE, RECOMPILE
from contracts.programs import State, Version, VersionOrigin
from contracts.recompile import FrontierPoint, LaneName, RecompileParams, RecompileResult
from database.engine import WriteSession
from database.gateway.estimates import estimated_move
from database.learning.evaluations import (
    begin_evaluation,
    end_evaluation,
    keep_results,
    results_of,
    step_costs,
)
from database.learning.programs import NewVersion, add_version, get_version
from flows.durable.children import child_result, start_child
from flows.durable.pipeline import pipeline
from flows.durable.run import current_run
from flows.durable.steps import step
from flows.learning.answering import answer_all, paid_by_step, score_all
from flows.learning.caps import Caps
from flows.learning.frontier import Lane, best_of, cases_of, points_of
from flows.learning.material import examples_of, measured_with, refuse_unknown, version_of
from flows.learning.measuring import Column, results
from flows.learning.metrics import tried
from flows.learning.passing_on import pass_on
from flows.learning.statistics import compared, mean_interval
from flows.policies import STORE
from runtime.errors import BadInput
from runtime.ids import derived_id


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes where: the version of today, the cases that all lanes answer, and the optimization."""

    base: Version
    cases: list[Example]
    left_out: int
    optimization: OptimizeParams


@pipeline(RECOMPILE)
async def recompile(params: RecompileParams) -> RecompileResult:
    """Measure the old model, optimize for the new one, and put both on the frontier of quality and cost."""
    plan = await prepare(params)
    caps = Caps(usd=params.cap_usd)
    lanes: dict[LaneName, Lane] = {}
    if not params.gone:
        old = await lane(params, plan, LaneName.OLD, plan.base.state, caps)
        if old is not None:
            lanes[LaneName.OLD] = old
    child, found = await optimized(params, plan, caps)
    caps.spent += await spent_by(child)
    lanes |= await new_lanes(params, plan, found, caps)
    points = points_of(lanes)
    best = best_of(points)
    version = evaluation_id = None
    if best is not None:
        version = await stored(params, plan, found, best)
        if LaneName.OLD in lanes:
            evaluation_id = await remember(params, plan, lanes[best.lane], lanes[LaneName.OLD], version)
    handed: dict[str, UUID] = {}
    if version is not None and params.gate:
        handed = await pass_on(
            *(version, params.metric, Lineage.RECOMPILE), at_once=params.at_once, cap_usd=params.cap_usd
        )
    return RecompileResult(
        program=params.program,
        deployment=params.deployment,
        metric=params.metric,
        base_version=plan.base.version,
        points=[named(one, best, version) for one in points],
        cases=cases_of(lanes) if lanes else [],
        best=None if best is None else best.lane,
        version=None if version is None else version.version,
        version_id=None if version is None else version.id,
        evaluation_id=evaluation_id,
        optimize_run_id=child,
        gate_run_id=handed.get("gate_run_id"),
        recommendation_id=handed.get("recommendation_id"),
        left_out=plan.left_out,
        stopped="usd" if caps.reached else None,
        models=sorted({*current_run().deployments, *found.models}),
    )


@step(STORE)
async def prepare(params: RecompileParams) -> Plan:
    """Find the version and its cases, and refuse what cannot end well, before any money is spent."""
    run = current_run()
    base = await version_of(run, params.program, params.version)
    refuse_unknown(run, params.deployment)
    if base.deployment == params.deployment:
        raise BadInput(
            f"Version {base.version} of {params.program} is made for {params.deployment} already.",
            "same_deployment",
        )
    optimization = OptimizeParams(
        program=params.program,
        version=base.version,
        deployment=params.deployment,
        optimizers=params.optimizers,
        metric=params.metric,
        most_train=params.most_train,
        most_validation=params.most_validation,
        below_estimate=params.below_estimate,
        gate=False,
        cap_usd=params.cap_usd,
        at_once=params.at_once,
        seed=params.seed,
    )
    material = await examples_of(run, params.program)
    refuse_few(optimization, {split: len(found) for split, found in material.splits.items()})
    cases = material.splits[Split.TEST][: params.most]
    await asyncio.to_thread(tried, params.metric, [one.expected for one in cases])
    old = None if params.gone else asked_of_the_old(params, base)
    refuse_small_caps(optimization, await run.read(estimated_move, run.owner, optimization, old))
    return Plan(base, cases, material.left_out[Split.TEST], optimization)


def asked_of_the_old(params: RecompileParams, base: Version) -> EvaluationParams:
    """Return what the lane of today's model comes to, as an evaluation: the cap is for that as well."""
    return EvaluationParams(
        program=params.program,
        version=base.version,
        split=Split.TEST,
        metric=params.metric,
        deployment=base.deployment or None,
        most=params.most,
        at_once=params.at_once,
    )


async def lane(params: RecompileParams, plan: Plan, name: LaneName, state: State, caps: Caps) -> Lane | None:
    """Let one lane answer all cases; none when the cap ended it: half a lane compares with nothing."""
    deployment = plan.base.deployment if name is LaneName.OLD else params.deployment
    wanted = measured_with(current_run(), deployment)
    answers = await answer_all(
        *(params.program, name, state, plan.cases, caps), at_once=params.at_once, wanted=wanted
    )
    outcomes = await score_all(
        *(params.metric, name, plan.cases, answers, None, caps), at_once=params.at_once
    )
    if not all(one.measured for one in outcomes):
        return None
    paid = await paid_by_step(current_run())
    found = results(Column(plan.base, name, outcomes), plan.cases, paid)
    version = plan.base.version if name is LaneName.OLD else None
    return Lane(version, deployment, {one.example_id: one for one in found})


async def optimized(params: RecompileParams, plan: Plan, caps: Caps) -> tuple[UUID, OptimizeResult]:
    """Optimize for the new model in a run of its own, with what is left of the cap, and wait for it."""
    asked = plan.optimization
    if params.cap_usd is not None:
        asked = asked.model_copy(update={"cap_usd": max(params.cap_usd - caps.spent, Decimal(0))})
    # It was compared with the estimate before anything was spent.
    asked = asked.model_copy(update={"below_estimate": True})
    child = await start_child(OPTIMIZE, asked, key="optimize")
    return child, OptimizeResult.model_validate(await child_result(child))


async def spent_by(run_id: UUID) -> Decimal:
    """Return what the calls of a run did cost."""
    paid = await current_run().read(step_costs, run_id)
    return sum((cost or Decimal(0) for cost, _ in paid.values()), Decimal(0))


async def new_lanes(
    params: RecompileParams, plan: Plan, found: OptimizeResult, caps: Caps
) -> dict[LaneName, Lane]:
    """Return the lanes on the new model: as the optimization measured them, else measured now."""
    run = current_run()
    if found.evaluation_id is not None and found.version_id is not None:
        sides = {LaneName.MOVED: plan.base.id, LaneName.CANDIDATE: found.version_id}
        kept = {}
        for name, version_id in sides.items():
            proof = await run.read(results_of, found.evaluation_id, version_id)
            kept[name] = {case.id: proof[case.id] for case in plan.cases if case.id in proof}
        if all(len(cases) == len(plan.cases) for cases in kept.values()):
            numbers = {LaneName.MOVED: None, LaneName.CANDIDATE: found.version}
            return {name: Lane(numbers[name], params.deployment, cases) for name, cases in kept.items()}
    moved = await lane(params, plan, LaneName.MOVED, plan.base.state, caps)
    return {} if moved is None else {LaneName.MOVED: moved}


@step(STORE)
async def stored(params: RecompileParams, plan: Plan, found: OptimizeResult, best: FrontierPoint) -> Version:
    """Return the candidate on the new model; the version of today is stored for it when nothing is better."""
    run, base = current_run(), plan.base
    new = NewVersion(
        base.state,
        base.signature,
        VersionOrigin.RECOMPILE,
        parent_id=base.id,
        origin_run_id=run.id,
        scores={"metric": params.metric, "test": best.model_dump(mode="json")},
        note=f"Version {base.version} as it is, for {params.deployment}.",
        deployment=params.deployment,
    )

    async def add(session: WriteSession) -> Version:
        if best.lane is LaneName.CANDIDATE and found.version is not None:
            return await get_version(session, run.owner, params.program, found.version)
        version, _created = await add_version(session, run.owner, params.program, new)
        return version

    return await run.write(add)


@step(STORE)
async def remember(params: RecompileParams, plan: Plan, best: Lane, old: Lane, version: Version) -> UUID:
    """Keep both as an evaluation, each on its own model: the gate takes it up instead of measuring again."""
    run = current_run()
    evaluation_id = derived_id(run.id, "evaluation")
    asked = EvaluationParams(
        program=params.program,
        version=version.version,
        against=plan.base.version,
        split=Split.TEST,
        metric=params.metric,
        most=params.most,
    )
    sides = {version.id: best, plan.base.id: old}
    await run.write(
        begin_evaluation,
        run.owner,
        evaluation_id=evaluation_id,
        run_id=run.id,
        params=asked,
        versions=list(sides),
    )
    scores = []
    for version_id, side in sides.items():
        found = [one.model_copy(update={"version_id": version_id}) for one in side.cases.values()]
        await run.write(keep_results, evaluation_id, found)
        number = version.version if version_id == version.id else plan.base.version
        scores.append(score_of(number, side))
    result = EvaluationResult(
        evaluation_id=evaluation_id,
        program=params.program,
        split=Split.TEST,
        metric=params.metric,
        scores=scores,
        comparison=compared(
            [one.score for one in best.cases.values()], [old.cases[case].score for case in best.cases]
        ),
        left_out=plan.left_out,
        models=sorted({side.deployment for side in sides.values()} - {""}),
    )
    await run.write(end_evaluation, evaluation_id, result)
    return evaluation_id


def score_of(version: int, side: Lane) -> VersionScore:
    """Return how a version did in its lane."""
    cases = list(side.cases.values())
    costs = [one.cost_usd for one in cases if one.cost_usd is not None]
    times = [one.latency_ms for one in cases if one.latency_ms is not None]
    return VersionScore(
        version=version,
        score=mean_interval([one.score for one in cases]),
        examples=len(cases),
        failures=sum(one.error is not None for one in cases),
        cost_usd=sum(costs, Decimal(0)) if costs else None,
        latency_ms=round(sum(times) / len(times), 3) if times else None,
    )


def named(point: FrontierPoint, best: FrontierPoint | None, version: Version | None) -> FrontierPoint:
    """Return a point with the number that its version was stored under."""
    if best is None or version is None or point.lane is not best.lane:
        return point
    return point.model_copy(update={"version": version.version})
