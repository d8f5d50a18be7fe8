"""What the evidence comes to: the benefit, how sure it is, and whether it may act by itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.evaluation import Interval
from contracts.gate import Confidence, Difference, Evidence, Lane, Lineage
from contracts.program_policies import PolicyMode, ProgramPolicy, Severity
from flows.learning.statistics import mean_interval


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to say about a candidate.

    Args:
        benefit: what quality gains by it.
        confidence: how far the evidence carries.
        better: whether it is worth anybody's look; `reason` says why not.
        automatic: whether the policy lets it begin by itself.
        reason: why it is so, in a sentence.
        notes: what to know besides.
    """

    benefit: Interval | None
    confidence: Confidence
    better: bool
    automatic: bool
    reason: str
    notes: list[str]


def verdict_of(
    policy: ProgramPolicy,
    severity: Severity,
    evidence: Evidence,
    on_test: Sequence[float],
    on_replay: Sequence[float],
    *,
    lineage: Lineage = Lineage.MANUAL,
) -> Verdict:
    """Return what evidence comes to under a policy.

    The benefit is what the test split says; where that has too few cases, what both say together. Recorded
    runs that surely got worse outvote it.

    Args:
        policy: of the program.
        severity: of the change.
        evidence: what was measured.
        on_test: the difference of quality on each example of the test split.
        on_replay: the same on each recorded run.
        lineage: how the candidate was made: one for another model may be worth it for its price alone.
    """
    few = len(on_test) < policy.minimum_cases
    cases = [*on_test, *on_replay] if few else list(on_test)
    benefit = mean_interval(cases) if cases else None
    notes = []
    if too_few := len(cases) < policy.minimum_cases:
        notes.append(
            f"Only {len(cases)} cases, and {policy.minimum_cases} are wanted: nothing happens by itself."
        )
    elif few:
        notes.append(f"The test split has only {len(on_test)} examples: recorded runs count with them.")
    notes += drifted(evidence)
    over = over_bounds(policy, evidence)
    notes += over
    refusal = _refusal(policy, benefit, evidence)
    if refusal is not None and lineage is Lineage.RECOMPILE and _saves(benefit, evidence):
        notes.append(f"{refusal} It is surely cheaper and not surely worse: that is for a person to weigh.")
        refusal = None
    if too_few or benefit is None:
        confidence = Confidence.LOW
    else:
        confidence = Confidence.HIGH if benefit.low > 0 else Confidence.MEDIUM
    automatic = (
        policy.mode is PolicyMode.AUTO_LOW_RISK
        and severity is Severity.LOW
        and confidence is Confidence.HIGH
        and not over
        and refusal is None
    )
    reason = refusal or (
        "Low severity, surely better and within the bounds: the policy lets it begin by itself."
        if automatic
        else ""
    )
    return Verdict(benefit, confidence, refusal is None, automatic, reason, notes)


def over_bounds(policy: ProgramPolicy, evidence: Evidence) -> list[str]:
    """Return which bounds of cost and time the candidate passes, in sentences; unknown prices do, too."""
    found = []
    for where, progress, active in _compared(evidence):
        for what, bound, change, base in (
            ("cost", policy.most_cost_increase, progress.cost_usd, active.cost_usd),
            ("time", policy.most_latency_increase, progress.latency_ms, active.latency_ms),
        ):
            if change is None or base is None:
                found.append(f"The {what} of an answer is not known on {where}.")
            elif change.value > bound * base.value:
                more = f"{change.value / base.value:.0%} more" if base.value else "more than nothing"
                found.append(
                    f"An answer takes {more} {what} on {where}; the policy lets {bound:.0%} through."
                )
    return found


def drifted(evidence: Evidence) -> list[str]:
    """Return a warning when the active version answers otherwise today than it was recorded."""
    if evidence.replay is None or (moved := evidence.replay.drift.quality) is None:
        return []
    step = moved.difference
    if step.low <= 0 <= step.high:
        return []
    way = "better" if step.value > 0 else "worse"
    moved_by = f"The active version itself answers {way} today than was recorded ({step.value:+.3f})"
    return [f"{moved_by}: the model or the data changed. It counts neither for nor against the candidate."]


def _refusal(policy: ProgramPolicy, benefit: Interval | None, evidence: Evidence) -> str | None:
    if benefit is None:
        return "Nothing could be compared."
    if benefit.value <= 0:
        return f"It is not better than the active version ({benefit.value:+.3f})."
    if benefit.value < policy.minimum_improvement:
        return f"It gains {benefit.value:+.3f}, and the policy wants {policy.minimum_improvement:+.3f}."
    replay = evidence.replay.progress.quality if evidence.replay else None
    if replay is not None and replay.difference.high < 0:
        return f"It is surely worse on recorded runs ({replay.difference.value:+.3f})."
    return None


def _saves(benefit: Interval | None, evidence: Evidence) -> bool:
    """Return whether answers are surely cheaper, and quality is not surely worse, where it was compared."""
    costs = [progress.cost_usd for _where, progress, _active in _compared(evidence)]
    quality = [progress.quality for _where, progress, _active in _compared(evidence)]
    return (
        benefit is not None
        and benefit.high >= 0
        and bool(costs)
        and all(one is not None and one.high < 0 for one in costs)
        and all(one is None or one.difference.high >= 0 for one in quality)
    )


def _compared(evidence: Evidence) -> list[tuple[str, Difference, Lane]]:
    found = []
    if evidence.test is not None:
        found.append(("the test split", evidence.test.progress, evidence.test.active))
    if evidence.replay is not None:
        found.append(("recorded runs", evidence.replay.progress, evidence.replay.active))
    return found
