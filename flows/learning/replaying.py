"""Recorded runs answered anew, in three lanes kept apart: as recorded, the active version, the candidate.

What differs between the record and the active version's answer of today is drift: of the model, the data or
the version. Only what differs between the two versions, asked at the same time, is the candidate's doing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from contracts.example_texts import split_of
from contracts.examples import Example, ExampleOrigin
from contracts.gate import LaneName, ReplayEvidence
from contracts.programs import Version
from contracts.runs import EventKind
from database.learning.recorded import RecordedCase, ReplayedAnswer, keep_replayed
from flows.analysis import width
from flows.durable.run import current_run
from flows.durable.steps import in_parallel, step, step_calls
from flows.durable.thinking import thinking
from flows.learning.answering import (
    Outcome,
    Paid,
    answer,
    answer_step,
    counted,
    paid_by_step,
    place,
    refuse_unmeasured,
    score_all,
)
from flows.learning.caps import Caps
from flows.learning.lanes import Answer, difference, lane_of
from flows.learning.metrics import as_text
from flows.learning.rerunning import Cast, bound, cast_of, done_anew, same_material
from flows.policies import MODEL_CALL, STORE
from modules.judging import BothOrders
from runtime.clock import utcnow
from runtime.errors import MillraceError

Lanes = dict[LaneName, list[Answer]]


@dataclass(frozen=True, slots=True)
class Replay:
    """The evidence, and the candidate's difference of quality on each recorded run."""

    evidence: ReplayEvidence
    differences: dict[UUID, float]


async def replayed(
    program: str,
    metric: str,
    active: Version,
    candidate: Version,
    cases: list[RecordedCase],
    left_out: int,
    caps: Caps,
    *,
    at_once: int,
) -> Replay:
    """Let both versions answer recorded runs anew, compare, and store what each lane said.

    Args:
        program: whose runs.
        metric: for cases whose right answer is known.
        active: the version that answers today.
        candidate: the other one.
        cases: the recorded runs.
        left_out: how many more there are that the candidate may have learned from.
        caps: what all of it may take.
        at_once: how many are answered at the same time.
    """
    versions = {LaneName.ACTIVE: active, LaneName.CANDIDATE: candidate}
    examples = [as_example(program, case) for case in cases]
    cast = await cast_of(cases, program)
    outcomes = await answered_anew(
        program, versions, list(zip(cases, examples, strict=True)), cast, caps, at_once=at_once
    )
    outcomes[LaneName.OBSERVED] = [Outcome(answer=case.said) for case in cases]
    graded = [number for number, case in enumerate(cases) if case.expected is not None]
    known = [examples[number] for number in graded]
    for lane, mine in outcomes.items():
        label = f"replay.{lane}"
        scored = await score_all(
            *(metric, label, known, [mine[number] for number in graded], None, caps), at_once=at_once
        )
        refuse_unmeasured(scored)
        for number, found in zip(graded, scored, strict=True):
            mine[number] = found
    same_version = [
        number
        for number, case in enumerate(cases)
        if case.version_id == active.id and case.as_then and same_material(case)
    ]
    every = range(len(cases))
    new, old = LaneName.CANDIDATE, LaneName.ACTIVE
    progress = await preferences(cases, examples, outcomes, every, (new, old), caps, at_once=at_once)
    moved = (LaneName.ACTIVE, LaneName.OBSERVED)
    drift = await preferences(cases, examples, outcomes, same_version, moved, caps, at_once=at_once)
    return await kept(
        *(cases, examples, outcomes, progress, drift, left_out), judged=judged_cases(cases, outcomes)
    )


async def answered_anew(
    program: str,
    versions: dict[LaneName, Version],
    cases: list[tuple[RecordedCase, Example]],
    cast: Cast,
    caps: Caps,
    *,
    at_once: int,
) -> dict[LaneName, list[Outcome]]:
    """Let the versions answer all cases, in turns: what slows a provider down slows both of them."""
    asked = [(lane, *case) for case in cases for lane in versions]
    lanes = {lane: bound(version) for lane, version in versions.items()}
    if cast:
        # Each whole run asks for several answers at once by itself.
        at_once = max(1, at_once // width())
    done = 0

    async def one(_number: int, item: tuple[LaneName, RecordedCase, Example]) -> Outcome:
        nonlocal done
        lane, case, example = item
        where, mine = place(f"replay.{lane}", example), lanes[lane]
        try:
            if case.whole is not None:
                said = await done_anew(where, case, {**cast, program: mine}, caps)
            else:
                said = await answer(where, program, mine.state, example, caps, mine.wanted)
            found = Outcome(answer=said)
        except MillraceError as error:
            found = Outcome(error=counted(error))
        done += 1
        current_run().tell(EventKind.PROGRESS, done=done, total=len(asked), of="recorded runs answered anew")
        return found

    found = await in_parallel(one, asked, at_most=at_once)
    refuse_unmeasured(found)
    return {
        lane: [each for (mine, *_), each in zip(asked, found, strict=True) if mine is lane]
        for lane in versions
    }


async def preferences(
    cases: list[RecordedCase],
    examples: list[Example],
    outcomes: dict[LaneName, list[Outcome]],
    numbers: Sequence[int],
    lanes: tuple[LaneName, LaneName],
    caps: Caps,
    *,
    at_once: int,
) -> dict[int, float]:
    """Return by case how much better one lane is than the other, -1 to 1.

    Where the right answer is known it is the difference of the scores. Else no answer is worse than any,
    equal answers are equal, an answer that somebody called wrong is worse than another one, and about the
    rest the role `judge` is asked, in both orders.
    """
    mine, theirs = (outcomes[lane] for lane in lanes)

    async def one(_position: int, number: int) -> float | None:
        case, example = cases[number], examples[number]
        new, old = mine[number], theirs[number]
        if case.expected is not None:
            return new.score - old.score
        if new.answer is None or old.answer is None:
            return float(new.answer is not None) - float(old.answer is not None)
        if new.answer == old.answer:
            return 0.0
        if case.disliked and case.said in (new.answer, old.answer):
            return 1.0 if old.answer == case.said else -1.0
        where = place(f"replay.{lanes[0]}.{lanes[1]}", example)
        try:
            return await prefer(where, as_text(example.inputs), new.answer, old.answer, caps)
        except MillraceError as error:
            # A judge that fails says nothing of the two.
            refuse_unmeasured([Outcome(error=counted(error))])
            return None

    found = await in_parallel(one, list(numbers), at_most=at_once)
    pairs = zip(numbers, found, strict=True)
    return {number: preference for number, preference in pairs if preference is not None}


@step(MODEL_CALL, key="place")
async def prefer(
    place: str,  # noqa: ARG001  it is the key
    question: str,
    answer: dict[str, Any],
    other: dict[str, Any],
    caps: Caps,
) -> float:
    """Let the judge say which of two answers is better, in both orders."""
    caps.guard(step_calls())
    with thinking("judge"):
        said = await BothOrders().acall(question=question, answer=as_text(answer), other=as_text(other))
    return float(said.preference)


def judged_cases(cases: list[RecordedCase], outcomes: dict[LaneName, list[Outcome]]) -> int:
    """Return in how many cases the two versions gave different answers and nobody knows the right one."""
    pairs = zip(cases, outcomes[LaneName.CANDIDATE], outcomes[LaneName.ACTIVE], strict=True)
    return sum(
        case.expected is None and new.answer != old.answer and None not in (new.answer, old.answer)
        for case, new, old in pairs
    )


@step(STORE)
async def kept(
    cases: list[RecordedCase],
    examples: list[Example],
    outcomes: dict[LaneName, list[Outcome]],
    progress: dict[int, float],
    drift: dict[int, float],
    left_out: int,
    *,
    judged: int,
) -> Replay:
    """Store each lane's answers with cost and time, and sum up."""
    run = current_run()
    paid = await paid_by_step(run)
    lanes: Lanes = {
        LaneName.OBSERVED: [
            Answer(found, case.cost_usd, case.latency_ms)
            for found, case in zip(outcomes[LaneName.OBSERVED], cases, strict=True)
        ]
    }
    for lane in (LaneName.ACTIVE, LaneName.CANDIDATE):
        lanes[lane] = [
            Answer(found, *taken(paid, f"replay.{lane}", case, example))
            for found, case, example in zip(outcomes[lane], cases, examples, strict=True)
        ]
    graded = [case.expected is not None for case in cases]
    rows = [
        ReplayedAnswer(
            *(case.run_id, lane, one.outcome.answer, one.outcome.error),
            *(one.outcome.score if known else None, one.cost_usd, one.latency_ms),
        )
        for lane, mine in lanes.items()
        for case, one, known in zip(cases, mine, graded, strict=True)
    ]
    await run.write(keep_replayed, run.id, rows)
    evidence = ReplayEvidence(
        left_out=left_out,
        graded=sum(graded),
        judged=judged,
        observed=lane_of(lanes[LaneName.OBSERVED], graded),
        active=lane_of(lanes[LaneName.ACTIVE], graded),
        candidate=lane_of(lanes[LaneName.CANDIDATE], graded),
        progress=difference(lanes[LaneName.CANDIDATE], lanes[LaneName.ACTIVE], progress),
        drift=difference(lanes[LaneName.ACTIVE], lanes[LaneName.OBSERVED], drift),
    )
    return Replay(evidence, {cases[number].run_id: value for number, value in progress.items()})


def taken(
    paid: Paid, label: str, case: RecordedCase, example: Example
) -> tuple[Decimal | None, float | None]:
    """Return what a lane's answer to a case did cost in US dollars and milliseconds of its calls."""
    if case.whole is None:
        return paid.get(answer_step(label, example), (None, None))
    begin = f"rethink[{place(label, example)}."
    mine = [cost for name, cost in paid.items() if name.startswith(begin)]
    costs = [usd for usd, _ in mine if usd is not None]
    times = [latency for _, latency in mine if latency is not None]
    # A sum with an unknown price in it is no price.
    usd = sum(costs, Decimal(0)) if costs and len(costs) == len(mine) else None
    return usd, sum(times) if times else None


def as_example(program: str, case: RecordedCase) -> Example:
    """Return a recorded run as an example; its expected answer is empty where nobody knows it."""
    return Example(
        inputs=case.inputs,
        expected=case.expected or {},
        id=case.run_id,
        program=program,
        split=split_of(case.input_hash),
        origin=ExampleOrigin.RUN,
        input_hash=case.input_hash,
        run_id=case.run_id,
        created_at=utcnow(),
    )
