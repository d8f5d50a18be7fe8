"""Gate: compare a candidate with the active version, recommend, and see the recommendation through."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from contracts.evaluation import EvaluationParams
from contracts.examples import Example, Split
from contracts.gate import GateParams, GateResult, NotReplayed, TestEvidence
from contracts.pipelines import GATE
from contracts.program_policies import PolicyMode, ProgramPolicy
from contracts.programs import Version
from database.learning.evaluations import compared_lately, results_of
from database.learning.gate_estimates import estimated_gate
from database.learning.policies import get_policy
from database.learning.recommendations import recommendation_of_run
from database.learning.recorded import Recorded, RecordedCase, recorded_cases
from database.learning.turned_down import turned_down
from flows.durable.pipeline import pipeline
from flows.durable.run import current_run
from flows.durable.steps import step
from flows.evaluation import Plan as EvaluationPlan
from flows.evaluation import measure, refuse_over_cap
from flows.learning.answering import Outcome
from flows.learning.caps import CAP_REACHED, Caps
from flows.learning.lanes import Answer, difference, lane_of
from flows.learning.material import examples_of, version_of
from flows.learning.metrics import tried
from flows.learning.recommending import OnTest, Seen, recommend, see_through, summed_up
from flows.learning.replaying import Replay, replayed
from flows.learning.rerunning import replayable
from flows.policies import STORE
from runtime.clock import utcnow
from runtime.errors import BadInput, Conflict, MillraceError

# A measurement of the same versions on the same examples is used again for so long.
STILL_TRUE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Sides:
    """What is compared; `refusal` says why not."""

    candidate: Version
    active: Version
    policy: ProgramPolicy
    refusal: str | None


@dataclass(frozen=True, slots=True)
class Cases:
    """On what the two are compared.

    Args:
        examples: of the test split.
        left_out: near-duplicates of other splits that it has besides.
        recorded: recorded runs.
        not_replayed: how many of these are not answered anew, by reason.
        measured: an evaluation of today that says all about the examples.
    """

    examples: list[Example]
    left_out: int
    recorded: list[RecordedCase]
    not_replayed: dict[NotReplayed, int]
    measured: UUID | None


@pipeline(GATE)
async def gate(params: GateParams) -> GateResult:
    """Compare on the test split and on recorded runs, recommend, and wait for what is decided."""
    run = current_run()
    # After a wait, what was compared then counts, not what has come since.
    made = await run.read(recommendation_of_run, run.owner, run.id)
    if made is None:
        sides = await prepare(params)
        if sides.refusal is not None:
            return refused_unseen(sides, sides.refusal)
        cases = await collect(params, sides, await recorded_runs(params))
        caps = Caps(usd=params.cap_usd)
        test = await on_test(params, sides, cases, caps)
        replay = await on_replay(params, sides, cases, caps)
        seen = Seen(test, replay, cases.not_replayed)
        made = await recommend(params, sides.candidate, sides.active, sides.policy, seen)
    return summed_up(await see_through(made))


@step(STORE)
async def prepare(params: GateParams) -> Sides:
    """Find both versions and the rules, and refuse what the code cannot load."""
    run = current_run()
    candidate = await version_of(run, params.program, params.version)
    active = await version_of(run, params.program, None)
    if active.id == candidate.id:
        raise Conflict(f"Version {candidate.version} is the active one already.", "nothing_to_compare")
    policy, refusal = await run.read(get_policy, run.owner, params.program), None
    if policy.mode is PolicyMode.REFUSE:
        refusal = f"The policy of {params.program} is to refuse; nothing was compared."
    elif params.origin_run_id is not None:
        # A run that finds the same again every night must not ask, or begin, the same again every night.
        refusal = await run.read(turned_down, run.owner, candidate, active)
    return Sides(candidate, active, policy, refusal)


async def recorded_runs(params: GateParams) -> Recorded:
    """Find the recorded runs that can be answered anew, before any money is spent."""
    run = current_run()
    found = await run.read(recorded_cases, run.owner, params.program, params.most_replays)
    cases, left = await replayable(params.program, found.cases)
    return Recorded(cases, {**found.not_replayed, **(Counter(found.not_replayed) + Counter(left))})


@step(STORE)
async def collect(params: GateParams, sides: Sides, found: Recorded) -> Cases:
    """Find examples and recorded runs; too few, or too dear ones, are refused before any money is spent."""
    run = current_run()
    material = await examples_of(run, params.program)
    examples = material.splits[Split.TEST][: params.most]
    recorded = found.cases
    if not examples and not recorded:
        raise BadInput(
            f"{params.program} has no example in the split `test` and no recorded run to answer anew."
            " Import examples, or let it answer for a while.",
            "too_few_examples",
        )
    expected = [one.expected for one in examples] + [one.expected for one in recorded if one.expected]
    if expected:
        await asyncio.to_thread(tried, params.metric, expected)
    measured = await measured_lately(params, sides, {one.id for one in examples})
    known = measured is not None
    estimate = await run.read(estimated_gate, run.owner, params, measured=known)
    refuse_over_cap(estimate.usd, params.cap_usd)
    return Cases(examples, material.left_out[Split.TEST], recorded, found.not_replayed, measured)


async def measured_lately(params: GateParams, sides: Sides, examples: set[UUID]) -> UUID | None:
    """Return an evaluation of today that compared the same versions on the same examples."""
    run = current_run()
    both = (sides.candidate.id, sides.active.id)
    since = utcnow() - STILL_TRUE
    found = await run.read(compared_lately, run.owner, *both, params.metric, since)
    if found is None:
        return None
    # One that stopped at its cap has them for one version only, or for some of them.
    known = [set(await run.read(results_of, found.id, version_id)) for version_id in both]
    return found.id if all(one == examples for one in known) else None


async def on_test(params: GateParams, sides: Sides, cases: Cases, caps: Caps) -> OnTest:
    """Return what the untouched test split says; a measurement of today is used again."""
    run = current_run()
    if not cases.examples:
        return OnTest()
    evaluation_id = cases.measured
    if evaluation_id is None:
        asked = EvaluationParams(
            program=params.program,
            version=sides.candidate.version,
            against=sides.active.version,
            split=Split.TEST,
            metric=params.metric,
            most=params.most,
            at_once=params.at_once,
        )
        versions = [sides.candidate, sides.active]
        found = await measure(asked, EvaluationPlan(versions, cases.examples, cases.left_out), caps)
        if found.stopped:
            raise MillraceError("The cap of this run is reached before all was compared.", CAP_REACHED)
        evaluation_id = found.evaluation_id
    lanes = []
    for version_id in (sides.candidate.id, sides.active.id):
        results = await run.read(results_of, evaluation_id, version_id)
        lanes.append(
            [
                Answer(Outcome(one.answer, one.score, one.error), one.cost_usd, one.latency_ms)
                for one in (results[example.id] for example in cases.examples)
            ]
        )
    new, old = lanes
    gained = [mine.outcome.score - theirs.outcome.score for mine, theirs in zip(new, old, strict=True)]
    evidence = TestEvidence(
        evaluation_id=evaluation_id,
        metric=params.metric,
        left_out=cases.left_out,
        candidate=lane_of(new, [True] * len(new)),
        active=lane_of(old, [True] * len(old)),
        progress=difference(new, old, dict(enumerate(gained))),
    )
    examples = (example.id for example in cases.examples)
    return OnTest(evidence, dict(zip(examples, gained, strict=True)))


async def on_replay(params: GateParams, sides: Sides, cases: Cases, caps: Caps) -> Replay | None:
    """Return what recorded runs say; none when there are none."""
    if not cases.recorded:
        return None
    return await replayed(
        *(
            params.program,
            params.metric,
            sides.active,
            sides.candidate,
            cases.recorded,
            cases.not_replayed.get(NotReplayed.LEARNED_FROM, 0),
            caps,
        ),
        at_once=params.at_once,
    )


def refused_unseen(sides: Sides, reason: str) -> GateResult:
    """Return the result where nothing was compared, and nothing spent."""
    return GateResult(
        program=sides.candidate.program,
        candidate=sides.candidate.version,
        active=sides.active.version,
        outcome="refused",
        reason=reason,
        recommendation_id=None,
    )
