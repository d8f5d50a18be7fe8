"""What optimizers came to: measured on the validation split, the best proved on the test split and stored."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, cast

from contracts.evaluation import EvaluationParams, EvaluationResult
from contracts.examples import Example, Split
from contracts.gate import Lineage
from contracts.optimization import OptimizeParams, Optimizer, OptimizeResult, OptimizerReport
from contracts.program_states import content_hash
from contracts.programs import State, Version, VersionOrigin
from database.engine import WriteSession
from database.learning.evaluations import taken_by
from database.learning.lineage import made_with
from database.learning.programs import NewVersion, add_version
from flows.durable.run import current_run
from flows.durable.steps import step
from flows.learning.answering import Outcome, answer_all, score_all
from flows.learning.caps import Caps
from flows.learning.measuring import Column, keep_measured
from flows.learning.passing_on import pass_on
from flows.learning.racing import BASE, Racer, racers, tell_score
from flows.learning.statistics import compared
from flows.learning.teaching import Taught
from flows.policies import STORE
from llm.routing import Wanted
from runtime.errors import MillraceError

Cap = Literal["usd", "calls", "minutes"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is improved, with what it learns from, who answers, and what all of it may take.

    `whole` caps the run, `shares` each optimizer; `expected` counts the calls of each, and of the measuring.
    """

    base: Version
    train: list[Example]
    validation: list[Example]
    test: list[Example]
    left_out: int
    deployment: str
    wanted: Wanted | None
    whole: Caps
    shares: list[Caps]
    expected: list[int]


@dataclass(frozen=True, slots=True)
class Best:
    """The best of what the optimizers made; `score` is its mean on the validation split."""

    optimizer: str
    state: State
    score: float | None


async def decide(params: OptimizeParams, plan: Plan, found: list[Taught | MillraceError]) -> OptimizeResult:
    """Measure what the optimizers gave on the validation split, and the best of it on the test split.

    What a cap keeps from being measured counts as its optimizer saw it, and is stored without proof.
    """
    race = racers(params.optimizers)
    caps = await left_of(race, plan.whole, found)
    base_score = mean(await outcomes(params, plan, "base", plan.base.state, plan.validation, caps))
    await tell_score(BASE, base_score, len(plan.validation), 0, Decimal(0))
    reports, candidates = [], []
    for racer, choice, one in zip(race, params.optimizers, found, strict=True):
        score = None
        if isinstance(one, Taught) and one.state is not None:
            score = mean(await outcomes(params, plan, racer.key, one.state, plan.validation, caps))
            await tell_score(racer, score, len(plan.validation), one.calls, one.usd)
            seen = score if score is not None else one.score or 0.0
            if content_hash(one.state) != plan.base.content_hash:
                candidates.append((seen, -racer.place, Best(choice.name, one.state, score)))
        reports.append(reported(choice, one, score))
    best = max(candidates, default=None, key=lambda one: one[:2])
    result = OptimizeResult(
        program=params.program,
        base_version=plan.base.version,
        version=None,
        version_id=None,
        optimizer=None,
        base_validation=base_score,
        optimizers=reports,
        deployment=plan.deployment,
        stopped=cast("Cap | None", caps.reached),
        left_out=plan.left_out,
        models=[],
    )
    if best is not None and (base_score is None or best[2].score is None or best[0] > base_score):
        result = await prove(params, plan, result, best[2], caps)
    return result.model_copy(update={"models": sorted(current_run().deployments)})


async def prove(
    params: OptimizeParams, plan: Plan, result: OptimizeResult, best: Best, caps: Caps
) -> OptimizeResult:
    """Compare the best with its base on the test split, which nobody has seen, and store it."""
    new = await outcomes(params, plan, "test.best", best.state, plan.test, caps)
    old = await outcomes(params, plan, "test.base", plan.base.state, plan.test, caps)
    proved = all(one.measured for one in (*new, *old))
    comparison = compared([one.score for one in new], [one.score for one in old]) if proved else None
    scores: dict[str, object] = {
        "metric": params.metric,
        "validation": {"base": result.base_validation, "candidate": best.score},
        "test": comparison.model_dump(mode="json") if comparison else None,
        "base_version": plan.base.version,
        "optimizer": best.optimizer,
    }
    version = await store(params, plan, best.state, scores)
    told: dict[str, Any] = {
        "optimizer": best.optimizer,
        "version": version.version,
        "version_id": version.id,
        "stopped": caps.reached,
    }
    if comparison is not None:
        kept = await remember(params, plan, version, (new, old))
        told |= {"comparison": comparison, "test": kept.scores, "evaluation_id": kept.evaluation_id}
        if params.gate:
            told |= await pass_on(
                *(version, params.metric, Lineage.OPTIMIZATION),
                at_once=params.at_once,
                cap_usd=params.cap_usd,
            )
    return result.model_copy(update=told)


@step(STORE)
async def store(params: OptimizeParams, plan: Plan, state: State, scores: dict[str, object]) -> Version:
    """Store the candidate with its parent, this run and its scores; the same content is stored once."""
    run = current_run()
    new = NewVersion(
        state,
        plan.base.signature,
        VersionOrigin.OPTIMIZATION,
        parent_id=plan.base.id,
        origin_run_id=run.id,
        scores=scores,
        note=f"Made by {scores['optimizer']} from version {plan.base.version}.",
        deployment=plan.deployment,
    )

    used = [one.id for one in (*plan.train, *plan.validation, *plan.test)]

    async def add(session: WriteSession) -> Version:
        version, _created = await add_version(session, run.owner, params.program, new)
        await made_with(session, version.id, used)
        return version

    return await run.write(add)


@step(STORE)
async def remember(
    params: OptimizeParams, plan: Plan, version: Version, found: tuple[list[Outcome], list[Outcome]]
) -> EvaluationResult:
    """Store the proof as an evaluation, which the gate takes up instead of measuring again."""
    asked = EvaluationParams(
        program=params.program,
        version=version.version,
        against=plan.base.version,
        split=Split.TEST,
        metric=params.metric,
        at_once=params.at_once,
        # Nothing else than this tells a measurement on another model from one as people would be answered.
        deployment=plan.deployment if plan.deployment != plan.base.deployment else None,
    )
    new, old = found
    columns = [Column(version, "test.best", new), Column(plan.base, "test.base", old)]
    return await keep_measured(asked, plan.test, columns, plan.left_out)


async def outcomes(
    params: OptimizeParams, plan: Plan, label: str, state: State, examples: list[Example], caps: Caps
) -> list[Outcome]:
    """Let a state answer examples and score the answers."""
    answers = await answer_all(
        *(params.program, label, state, examples, caps), at_once=params.at_once, wanted=plan.wanted
    )
    return await score_all(params.metric, label, examples, answers, None, caps, at_once=params.at_once)


async def left_of(race: list[Racer], whole: Caps, found: list[Taught | MillraceError]) -> Caps:
    """Return what the optimizers leave of the run's caps; what one that failed took, the ledger knows."""
    run = current_run()
    left = Caps(usd=whole.usd, calls=whole.calls, until=whole.until)
    for racer, one in zip(race, found, strict=True):
        if isinstance(one, Taught):
            calls, usd = one.calls, one.usd
        else:
            # Of its step alone: a run that goes on may have measured already, which counts as it is replayed.
            calls, usd = await run.read(taken_by, run.id, f"improve[{racer.key}]")
        left.made += calls
        left.spent += usd
    return left


def reported(choice: Optimizer, one: Taught | MillraceError, score: float | None) -> OptimizerReport:
    """Return what an optimizer came to, for people."""
    if isinstance(one, MillraceError):
        return OptimizerReport(
            name=choice.name,
            validation=None,
            content_hash=None,
            calls=0,
            usd=Decimal(0),
            stopped=None,
            error=f"{one.message} ({one.code})",
        )
    return OptimizerReport(
        name=choice.name,
        validation=score,
        content_hash=None if one.state is None else content_hash(one.state),
        calls=one.calls,
        usd=one.usd,
        stopped=cast("Cap | None", one.stopped),
        error="It was stopped before it had tried anything." if one.state is None else None,
    )


def mean(outcomes: list[Outcome]) -> float | None:
    """Return the mean score, failures as 0; none when a cap kept some from being measured."""
    if not all(one.measured for one in outcomes):
        return None
    return round(sum(one.score for one in outcomes) / len(outcomes), 6)
