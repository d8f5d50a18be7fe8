"""What an experiment has shown: one value a subject, means of each arm, and bounds that hold at every look.

The bounds are those of `contracts.sequential`. With several arms each is compared with the first one, and
alpha is shared among the comparisons (Bonferroni), so that the chance of any wrong one is alpha at most.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from operator import itemgetter

from contracts.evaluation import Interval
from contracts.experiments import ArmComparison, ArmResult, Experiment, ExperimentResult, Measured, Metric
from contracts.sequential import CELLS, Difference

Z = 1.959964  # of a two-sided interval of 95 %
# From so many values on every second point of the grid: half the work, and the same capitals at the others.
MANY = 2_000
COARSE_CELLS = CELLS // 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run that met an arm; what is not known yet, or never will be, is none.

    `unpriced` counts its model calls of unknown cost.
    """

    subject: str
    arm: str
    ended_at: datetime | None = None
    succeeded: bool | None = None
    cost_usd: Decimal | None = None
    unpriced: int = 0
    latency_ms: float | None = None
    score: float | None = None
    scored_at: datetime | None = None

    def value(self, metric: Metric) -> tuple[datetime, float] | None:
        """Return when the value of a metric was known, and the value."""
        if metric is Metric.FEEDBACK:
            return None if self.score is None or self.scored_at is None else (self.scored_at, self.score)
        told: Decimal | float | None = {
            Metric.SUCCESS: self.succeeded,
            Metric.COST: None if self.unpriced else self.cost_usd,
            Metric.LATENCY: self.latency_ms,
        }[metric]
        return None if self.ended_at is None or told is None else (self.ended_at, float(told))


def result_of(experiment: Experiment, outcomes: Sequence[Outcome], *, full: bool = False) -> ExperimentResult:
    """Return what is known of an experiment by what became of its runs."""
    values = {metric: first_values(outcomes, metric) for metric in Metric}
    deciding = values[experiment.metric]
    control, *others = (arm.name for arm in experiment.arms)
    comparisons = [
        _compared(experiment, name, control, deciding, experiment.alpha / len(others)) for name in others
    ]
    runs = Counter(one.arm for one in outcomes)
    subjects = Counter(arm for _, arm in {(one.subject, one.arm) for one in outcomes})
    unpriced = Counter(one.arm for one in outcomes if one.unpriced)
    results = [
        ArmResult(
            name=arm.name,
            weight=arm.weight,
            subjects=subjects[arm.name],
            runs=runs[arm.name],
            unpriced=unpriced[arm.name],
            **{str(metric): measured(values[metric].get(arm.name, [])) for metric in Metric},
        )
        for arm in experiment.arms
    ]
    return ExperimentResult(
        **experiment.model_dump(),
        results=results,
        comparisons=comparisons,
        leader=_leader(experiment, comparisons),
        full=full,
    )


def first_values(outcomes: Sequence[Outcome], metric: Metric) -> dict[str, list[float]]:
    """Return the values of each arm in the order in which they were known: of each subject its first one.

    More of one subject would be no independent results, and a mean that is revised no sequence of results.
    """
    known = [(*told, one) for one in outcomes if (told := one.value(metric)) is not None]
    found: dict[str, list[float]] = {}
    met: set[str] = set()
    for _, value, one in sorted(known, key=itemgetter(0)):
        if one.subject not in met:
            met.add(one.subject)
            found.setdefault(one.arm, []).append(value)
    return found


def measured(values: Sequence[float]) -> Measured:
    """Return a mean with its interval by the normal approximation; none of fewer than two values."""
    n = len(values)
    if not n:
        return Measured(n=0)
    mean = math.fsum(values) / n
    if n == 1:
        return Measured(n=1, mean=mean)
    reach = Z * math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)
    return Measured(n=n, mean=mean, low=mean - reach, high=mean + reach)


def _compared(
    experiment: Experiment, arm: str, control: str, values: dict[str, list[float]], alpha: float
) -> ArmComparison:
    mine, theirs = values.get(arm, []), values.get(control, [])
    cells = COARSE_CELLS if len(mine) + len(theirs) > MANY else CELLS
    seen = Difference(alpha, most=experiment.largest or 1.0, cells=cells).add(mine, theirs).bounds()
    above = True if seen.low > 0 else False if seen.high < 0 else None
    return ArmComparison(
        arm=arm,
        against=control,
        n=len(mine),
        n_against=len(theirs),
        difference=Interval(value=seen.value, low=seen.low, high=seen.high),
        alpha=alpha,
        better=above if above is None or experiment.metric.bounded else not above,
    )


def _leader(experiment: Experiment, comparisons: Sequence[ArmComparison]) -> str | None:
    """Return the best of those that are better than the first arm; the first when all others are worse."""
    better = [one for one in comparisons if one.better]
    if better:
        sign = 1 if experiment.metric.bounded else -1
        return max(better, key=lambda one: sign * one.difference.value).arm
    return comparisons[0].against if all(one.better is False for one in comparisons) else None
