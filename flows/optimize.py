"""Optimize: let optimizers improve a program on its examples, and keep what is really better."""

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal

from contracts.examples import Split
from contracts.optimization import OptimizationEstimate, OptimizeParams, Optimizer, OptimizeResult
from contracts.optimizer_needs import refuse_few, refuse_small_caps
from contracts.pipelines import OPTIMIZE
from contracts.runs import EventKind
from database.gateway.estimates import estimated_optimization
from database.queue.runs import get_run
from flows.durable.pipeline import pipeline
from flows.durable.run import Run, current_run
from flows.durable.steps import in_parallel, step
from flows.learning.caps import Caps
from flows.learning.material import examples_of, measured_with, refuse_unknown, version_of
from flows.learning.metrics import tried
from flows.learning.optimizers import refuse_missing
from flows.learning.proving import Plan, decide
from flows.learning.racing import Racer, racers
from flows.learning.teaching import Taught, taught
from flows.policies import OPTIMIZER, STORE
from runtime.errors import MillraceError

TOLD_SECONDS = 1.0


@pipeline(OPTIMIZE)
async def optimize(params: OptimizeParams) -> OptimizeResult:
    """Check everything, run the optimizers, choose on the validation split, prove it on the test split."""
    plan, race = await prepare(params), racers(params.optimizers)

    async def one(number: int, choice: Optimizer) -> Taught | MillraceError:
        racer = race[number]
        try:
            return await improve(racer.key, racer, choice, params, plan)
        except MillraceError as error:
            # The others of the race go on; alone, it is the run that failed.
            if len(params.optimizers) == 1:
                raise
            return error

    found = await in_parallel(one, params.optimizers, at_most=len(params.optimizers))
    return await decide(params, plan, found)


@step(STORE)
async def prepare(params: OptimizeParams) -> Plan:
    """Find the program and its examples, and refuse what cannot end well, before any money is spent."""
    run = current_run()
    base = await version_of(run, params.program, params.version)
    refuse_unknown(run, params.deployment)
    for choice in params.optimizers:
        refuse_missing(choice)
    material = await examples_of(run, params.program)
    train = material.splits[Split.TRAIN][: params.most_train]
    validation = material.splits[Split.VALIDATION][: params.most_validation]
    test = material.splits[Split.TEST]
    refuse_few(params, {split: len(found) for split, found in material.splits.items()})
    await asyncio.to_thread(tried, params.metric, [one.expected for one in (*train, *validation, *test)])
    estimate = await run.read(estimated_optimization, run.owner, params)
    refuse_small_caps(params, estimate)
    deployment, began = params.deployment or base.deployment, await began_at(run)
    return Plan(
        base=base,
        train=train,
        validation=validation,
        test=test,
        left_out=sum(material.left_out.values()),
        deployment=deployment,
        wanted=measured_with(run, deployment),
        whole=Caps(
            usd=params.cap_usd,
            calls=params.cap_calls,
            until=None if params.cap_minutes is None else began + timedelta(minutes=params.cap_minutes),
        ),
        shares=shares(params, estimate, began),
        expected=[part.calls for part in estimate.parts],
    )


def shares(params: OptimizeParams, estimate: OptimizationEstimate, began: datetime) -> list[Caps]:
    """Return what each optimizer may take: equal shares of the caps, less what the measuring takes after."""
    number, last = len(params.optimizers), estimate.parts[-1]
    usd = calls = until = None
    if params.cap_usd is not None:
        usd = max(params.cap_usd - (last.usd or 0), Decimal(0)) / number
    if params.cap_calls is not None:
        calls = max(params.cap_calls - last.calls, 0) // number
    if params.cap_minutes is not None:
        until = began + timedelta(seconds=max(params.cap_minutes * 60 - (last.seconds or 0.0), 0.0))
    return [Caps(usd=usd, calls=calls, until=until, hard=True) for _ in range(number)]


@step(OPTIMIZER, key="place")
async def improve(
    place: str,  # noqa: ARG001  it is the key
    racer: Racer,
    choice: Optimizer,
    params: OptimizeParams,
    plan: Plan,
) -> Taught:
    """Run one optimizer to its end or to its caps, and tell how far it is."""
    # A try of its own: calls that the ledger answers count again, so a repeated try ends at the same call.
    limits = plan.shares[racer.place - 1]
    caps = Caps(usd=limits.usd, calls=limits.calls, until=limits.until, hard=True)
    telling = asyncio.create_task(tell_calls(caps, plan.expected[racer.place - 1], racer.name))
    try:
        return await taught(
            choice,
            params.program,
            plan.base.state,
            plan.train,
            plan.validation,
            metric=params.metric,
            caps=caps,
            seed=params.seed,
            threads=params.at_once,
            wanted=plan.wanted,
            racer=racer,
        )
    finally:
        telling.cancel()


async def tell_calls(caps: Caps, expected: int, name: str) -> None:
    """Tell how many calls an optimizer has made, as long as it makes them."""
    told = 0
    while True:
        await asyncio.sleep(TOLD_SECONDS)
        if caps.made != told:
            told = caps.made
            current_run().tell(
                EventKind.PROGRESS, done=told, total=max(expected, told), of=f"calls of {name}"
            )


async def began_at(run: Run) -> datetime:
    """Return when the first attempt of a run began."""
    found = await run.read(get_run, run.owner, run.id)
    return found.started_at or found.created_at
