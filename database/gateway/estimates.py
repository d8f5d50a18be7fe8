"""What work will take, by what such calls took lately."""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

import sqlalchemy as sa

from contracts.evaluation import JUDGE_CALLS, Estimate, EvaluationParams
from contracts.examples import Split
from contracts.near_duplicates import near_duplicates
from contracts.optimization import OptimizationEstimate, OptimizeParams, Work
from contracts.optimizer_needs import Needs, measuring, needs_of, refuse_few
from contracts.programs import ProgramDetail
from contracts.runs import CallStatus
from database.engine import ReadSession
from database.learning.examples import all_examples
from database.learning.programs import get_program
from database.tables import CallRow, ModelRow, RunRow, core

_CALLS = core(CallRow)
_RUNS = core(RunRow)
_MODELS = core(ModelRow)
LATELY = 200
_MILLION = Decimal(1_000_000)


class Usual(NamedTuple):
    """The mean price in US dollars and the mean seconds of a call; none while nobody knows."""

    usd: Decimal | None
    seconds: float | None


async def estimated(session: ReadSession, owner: str, params: EvaluationParams) -> Estimate:
    """Return what an evaluation will take: one call per predictor and example, and the judge's.

    Raises:
        NotFound: `unknown_program`.
    """
    program = await get_program(session, owner, params.program)
    counts = await usable_examples(session, owner, params.program)
    examples = min(counts[params.split], params.most)
    versions = 1 if params.against is None else 2
    usual = await usual_calls(session, owner, program, params.deployment)
    needs = Needs(examples * versions, at_once=params.at_once)
    work = work_of("evaluation", needs, program, params.metric, usual)
    return Estimate(examples=examples, calls=work.calls, usd=work.usd, seconds=work.seconds)


async def estimated_optimization(
    session: ReadSession, owner: str, params: OptimizeParams
) -> OptimizationEstimate:
    """Return what an optimization will take: each optimizer, and the measuring beside them.

    Raises:
        NotFound: `unknown_program`.
        BadInput: `too_few_examples`.
    """
    program = await get_program(session, owner, params.program)
    counts = await usable_examples(session, owner, params.program)
    refuse_few(params, counts)
    train = min(counts[Split.TRAIN], params.most_train)
    validation = min(counts[Split.VALIDATION], params.most_validation)
    usual = await usual_calls(session, owner, program, params.deployment)
    parts = [
        work_of(
            choice.name, needs_of(choice, train, validation, params.at_once), program, params.metric, usual
        )
        for choice in params.optimizers
    ]
    last = work_of(
        "measuring", measuring(params, validation, counts[Split.TEST]), program, params.metric, usual
    )
    share = len(parts)
    sums, times = [part.usd for part in (*parts, last)], [part.seconds for part in (*parts, last)]
    usd, seconds = [one for one in sums if one is not None], [one for one in times if one is not None]
    priced = len(usd) == len(sums)
    least = share * max(part.least_usd for part in parts) + last.least_usd
    # The last of each is the measuring, and the optimizers before it run at the same time.
    slowest = round(max(seconds[:-1]) + seconds[-1], 1) if len(seconds) == len(times) else None
    return OptimizationEstimate(
        examples={Split.TRAIN: train, Split.VALIDATION: validation, Split.TEST: counts[Split.TEST]},
        parts=[*parts, last],
        calls=sum(part.calls for part in (*parts, last)),
        usd=sum(usd, Decimal(0)) if priced else None,
        seconds=slowest,
        needed_calls=share * max(part.calls for part in parts) + last.calls,
        needed_usd=least if priced or least else None,
    )


async def estimated_move(
    session: ReadSession, owner: str, params: OptimizeParams, old: EvaluationParams | None
) -> OptimizationEstimate:
    """Return what taking a program to another model will take: the optimization, and the old model's answers.

    While one of the two has no known price, `needed_usd` is that of the other: less is surely too little.

    Args:
        session: to read with.
        owner: whose program it is.
        params: of the optimization for the new model.
        old: what the old model answers besides; none when it is not asked.

    Raises:
        NotFound: `unknown_program`.
        BadInput: `too_few_examples`.
    """
    found = await estimated_optimization(session, owner, params)
    if old is None:
        return found
    lane = await estimated(session, owner, old)
    both, times = (found.usd, lane.usd), (found.seconds, lane.seconds)
    known = [one for one in (found.needed_usd, lane.usd) if one is not None]
    part = Work(name="old", calls=lane.calls, usd=lane.usd, seconds=lane.seconds)
    return found.model_copy(
        update={
            "parts": [*found.parts, part],
            "calls": found.calls + lane.calls,
            "usd": None if None in both else sum((one for one in both if one is not None), Decimal(0)),
            "seconds": None if None in times else round(sum(one for one in times if one is not None), 1),
            "needed_calls": found.needed_calls + lane.calls,
            "needed_usd": sum(known, Decimal(0)) if known else None,
        }
    )


async def usable_examples(session: ReadSession, owner: str, program: str) -> dict[Split, int]:
    """Return how many examples each split has, near-duplicates left out."""
    found = await all_examples(session, owner, program)
    doubles = {one.example_id for one in near_duplicates(found)}
    usable = [one for one in found if one.id not in doubles]
    return {split: sum(one.split == split for one in usable) for split in Split}


async def usual_calls(
    session: ReadSession, owner: str, program: ProgramDetail, deployment: str | None = None
) -> dict[str, Usual]:
    """Return what a call of the program, of a judge and of the reflector takes, as `program judge reflector`.

    Args:
        session: to read with.
        owner: whose calls count.
        program: its role's calls count, or those of the deployment.
        deployment: who alone will answer.
    """
    return {
        "program": await usual_call(session, owner, program.role, deployment),
        "judge": await usual_call(session, owner, "judge"),
        "reflector": await usual_call(session, owner, "reflector"),
    }


def work_of(name: str, needs: Needs, program: ProgramDetail, metric: str, usual: dict[str, Usual]) -> Work:
    """Return what a part of the work takes."""
    predictors = len(program.signature)
    asked = {
        "program": needs.answers * predictors,
        "judge": needs.answers * JUDGE_CALLS.get(metric, 0),
        "reflector": needs.proposals,
    }
    usd, seconds = Decimal(0), 0.0
    priced = timed = True
    for who, calls in asked.items():
        if calls:
            one = usual[who]
            priced, timed = priced and one.usd is not None, timed and one.seconds is not None
            usd += calls * (one.usd or 0)
            seconds += calls * (one.seconds or 0.0) / (1 if who == "reflector" else needs.at_once)
    return Work(
        name=name,
        calls=needs.calls(predictors, metric),
        usd=round(usd, 10) if priced else None,
        least_usd=round(usd, 10),
        seconds=round(seconds, 1) if timed else None,
    )


async def usual_call(session: ReadSession, owner: str, role: str, deployment: str | None = None) -> Usual:
    """Return what the owner's last calls of a role took; those of the deployment when one is named.

    A deployment that was never asked is estimated by its price and by the tokens of the role's calls.
    """
    last = (
        sa.select(
            *(_CALLS.c.cost_usd, _CALLS.c.latency_ms, _CALLS.c.input_tokens, _CALLS.c.output_tokens),
        )
        .join_from(_CALLS, _RUNS, _RUNS.c.id == _CALLS.c.run_id)
        .where(_RUNS.c.owner == owner, _CALLS.c.role == role, _CALLS.c.status == CallStatus.SUCCEEDED)
        .order_by(_CALLS.c.id.desc())
        .limit(LATELY)
    )
    asked = last if deployment is None else last.where(_CALLS.c.deployment == deployment)
    rows = (await session.execute(asked)).all()
    if rows or deployment is None:
        return Usual(_mean(row.cost_usd for row in rows), _seconds(row.latency_ms for row in rows))
    prices = sa.select(_MODELS.c.input_per_million, _MODELS.c.output_per_million)
    price = (await session.execute(prices.where(_MODELS.c.name == deployment))).one_or_none()
    others = (await session.execute(last)).all()
    tokens_in = _mean(Decimal(row.input_tokens) for row in others if row.input_tokens is not None)
    tokens_out = _mean(Decimal(row.output_tokens) for row in others if row.output_tokens is not None)
    if price is None or price[0] is None or price[1] is None or tokens_in is None or tokens_out is None:
        return Usual(None, None)
    return Usual((tokens_in * price[0] + tokens_out * price[1]) / _MILLION, None)


def _mean(values: Iterable[Decimal | None]) -> Decimal | None:
    known = [one for one in values if one is not None]
    return sum(known, Decimal(0)) / len(known) if known else None


def _seconds(values: Iterable[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return sum(known) / len(known) / 1000 if known else None
