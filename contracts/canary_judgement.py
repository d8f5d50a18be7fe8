"""What the results of a canary say: worse, fine, or nothing yet. Pure: results in, a look out.

Every measure gets bounds of confidence 1 - alpha / 2 that hold at every look (`contracts.sequential`), so
each of their sides is wrong with probability alpha / 4. There are four measures and any of them can end a
canary: one that is as good is rolled back with alpha at most (Bonferroni). All of them must agree to promote
one: it is promoted although a measure is worse than its margin with alpha / 4 at most (intersection-union).

Cost and latency are compared as logarithms of what a run took over what the active version usually takes,
cut at a tenth and ten times that: the method needs bounds, and one run of an hour does not decide. The
active version's first ten results say what is usual, and do not count further.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from uuid import UUID

from contracts.canaries import CanaryPolicy, Decision, Look, Measure, Measured, Undecided, Verdict
from contracts.sequential import Difference

# Answers of one chat resemble each other: more of them say little more, and the bounds do not expect it.
PER_CHAT = 3
SETS_SCALE = 10
WIDEST = math.log(10)
# Below these a run costs nothing and takes no time: without them there is no logarithm of 0.
LEAST = {Measure.COST: 1e-6, Measure.LATENCY: 1e-3}


@dataclass(frozen=True, slots=True)
class Answer:
    """A run that has ended, of either version, in the order of their ends.

    Args:
        canary: whether the canary answered it, or else the active version.
        chat: what it belongs to; its own id for a run that belongs to no chat.
        failed: it failed or died.
        usd: what its model calls cost; none while unknown, and when a kept answer was used.
        seconds: how long its model calls took together; none as for the cost.
    """

    canary: bool
    chat: UUID
    failed: bool
    usd: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Opinion:
    """What somebody thinks of an answer, 0 to 1, in the order in which they said so."""

    canary: bool
    chat: UUID
    score: float


def judge(
    policy: CanaryPolicy, answers: Sequence[Answer], opinions: Sequence[Opinion], age: timedelta
) -> Look:
    """Compare both versions and say what follows.

    Args:
        policy: of the program.
        answers: of both versions since the canary began.
        opinions: on those answers.
        age: of the canary.
    """
    fine = [one for one in answers if not one.failed]
    measures = [
        shares(policy, Measure.FAILURES, ((one.canary, one.chat, float(one.failed)) for one in answers)),
        shares(policy, Measure.FEEDBACK, ((one.canary, one.chat, one.score) for one in opinions)),
        ratios(policy, Measure.COST, ((one.canary, one.chat, one.usd) for one in fine)),
        ratios(policy, Measure.LATENCY, ((one.canary, one.chat, one.seconds) for one in fine)),
    ]
    number = sum(one.canary for one in answers)
    decision, why = decide(policy, measures, number, age)
    return Look(
        answers=number,
        active_answers=len(answers) - number,
        opinions=len(opinions),
        measures=measures,
        decision=decision,
        why=why,
    )


def decide(
    policy: CanaryPolicy, measures: Sequence[Measured], answers: int, age: timedelta
) -> tuple[Decision, str]:
    """Return what follows from the measures, and why, in a sentence for people."""
    hours = age.total_seconds() / 3600
    if worse := [one for one in measures if one.verdict is Verdict.WORSE]:
        return Decision.ROLLBACK, "; ".join(f"{told(one)}, which is worse" for one in worse) + "."
    unsure = [one for one in measures if one.verdict is Verdict.OPEN]
    missing = [f"{one.measure} may still be worse ({told(one)})" for one in unsure]
    if answers < policy.fewest:
        missing.append(f"it has answered {answers} of {policy.fewest} runs")
    if hours < policy.hours_at_least:
        missing.append(f"it is younger than {policy.hours_at_least:g} h")
    if not missing:
        heard = [one for one in measures if one.verdict is Verdict.FINE]
        return Decision.PROMOTE, f"No worse than allowed: {'; '.join(told(one) for one in heard)}."
    open_questions = "; ".join(missing)
    if hours < policy.hours_at_most or policy.undecided is Undecided.KEEP:
        return Decision.WAIT, f"Undecided: {open_questions}."
    decision = Decision(policy.undecided)
    return decision, f"Still undecided after {policy.hours_at_most:g} h: {open_questions}."


def shares(policy: CanaryPolicy, measure: Measure, results: Iterable[tuple[bool, UUID, float]]) -> Measured:
    """Compare results from 0 to 1, each with whether it is the canary's and the chat that it belongs to."""
    canary, active = parted(results)
    seen = Difference(policy.alpha / 2).add(canary, active)
    bounds, means = seen.bounds(), seen.means
    failures = measure is Measure.FAILURES
    margin = policy.failures if failures else policy.feedback
    # How much worse it surely is, and may be.
    least, most = (bounds.low, bounds.high) if failures else (-bounds.high, -bounds.low)
    if least > 0:
        verdict = Verdict.WORSE
    elif not failures and min(seen.counts) < policy.fewest_feedback:
        verdict = Verdict.SILENT
    else:
        verdict = Verdict.FINE if most <= margin else Verdict.OPEN
    return Measured(
        measure=measure,
        canary=means[0],
        active=means[1],
        canary_n=len(canary),
        active_n=len(active),
        difference=bounds.value,
        low=bounds.low,
        high=bounds.high,
        allowed=margin if failures else -margin,
        verdict=verdict,
    )


def ratios(
    policy: CanaryPolicy, measure: Measure, results: Iterable[tuple[bool, UUID, float | None]]
) -> Measured:
    """Compare amounts by their logarithms, see `shares`; those that are unknown do not count."""
    known = [(canary, chat, amount) for canary, chat, amount in results if amount is not None]
    first = [amount for canary, _, amount in known if not canary][:SETS_SCALE]
    usual = (median(first) if first else 0.0) + LEAST[measure]
    canary, active = parted(
        (canary, chat, math.log((amount + LEAST[measure]) / usual)) for canary, chat, amount in known
    )
    active = active[SETS_SCALE:]
    seen = Difference(policy.alpha / 2, least=-WIDEST, most=WIDEST).add(canary, active)
    bounds = seen.bounds()
    allowed = policy.cost if measure is Measure.COST else policy.latency
    if math.exp(bounds.low) > allowed:
        verdict = Verdict.WORSE
    elif not canary or not active:
        verdict = Verdict.SILENT
    else:
        verdict = Verdict.FINE if math.exp(bounds.high) <= allowed else Verdict.OPEN
    typical = [
        None if mean is None else max(usual * math.exp(mean) - LEAST[measure], 0.0) for mean in seen.means
    ]
    return Measured(
        measure=measure,
        canary=typical[0],
        active=typical[1],
        canary_n=len(canary),
        active_n=len(active),
        difference=math.exp(bounds.value),
        low=math.exp(bounds.low),
        high=math.exp(bounds.high),
        allowed=allowed,
        verdict=verdict,
    )


def parted(results: Iterable[tuple[bool, UUID, float]]) -> tuple[list[float], list[float]]:
    """Return the canary's results and the active version's, a few of each chat."""
    taken: Counter[UUID] = Counter()
    canary: list[float] = []
    active: list[float] = []
    for of_canary, chat, result in results:
        taken[chat] += 1
        if taken[chat] <= PER_CHAT:
            (canary if of_canary else active).append(result)
    return canary, active


def told(one: Measured) -> str:
    """Return a measure in words."""
    if one.canary is None or one.active is None:
        return f"{one.measure}: {one.canary_n} and {one.active_n} results"
    if one.measure is Measure.FAILURES:
        span = f"{one.low:+.1%} to {one.high:+.1%}"
        return f"failures {one.canary:.1%} beside {one.active:.1%} ({span})"
    if one.measure is Measure.FEEDBACK:
        return f"feedback {one.canary:.2f} beside {one.active:.2f} ({one.low:+.2f} to {one.high:+.2f})"
    return f"{one.measure} {one.difference:.2f} times ({one.low:.2f} to {one.high:.2f})"
