"""Lanes of the gate: what one side answered to all cases, and how two sides differ on the same ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from contracts.gate import Difference, Lane
from flows.learning.answering import Outcome
from flows.learning.statistics import compared, mean_interval


@dataclass(frozen=True, slots=True)
class Answer:
    """One lane's answer to one case, with what it took in US dollars and milliseconds."""

    outcome: Outcome
    cost_usd: Decimal | None
    latency_ms: float | None


def lane_of(answers: Sequence[Answer], graded: Sequence[bool]) -> Lane:
    """Return what a lane came to."""
    scores = [one.outcome.score for one, known in zip(answers, graded, strict=True) if known]
    costs = [float(one.cost_usd) for one in answers if one.cost_usd is not None]
    times = [one.latency_ms for one in answers if one.latency_ms is not None]
    return Lane(
        cases=len(answers),
        failures=sum(one.outcome.error is not None for one in answers),
        quality=mean_interval(scores) if scores else None,
        cost_usd=mean_interval(costs) if costs else None,
        latency_ms=mean_interval(times) if times else None,
    )


def difference(mine: Sequence[Answer], theirs: Sequence[Answer], quality: dict[int, float]) -> Difference:
    """Return how one lane differs from another on the cases that `quality` tells of, each with itself."""
    pairs = [(mine[number], theirs[number]) for number in quality]
    values = list(quality.values())

    def paired(of: Callable[[Answer], Decimal | float | None]) -> list[float]:
        found = [(of(new), of(old)) for new, old in pairs]
        return [float(new) - float(old) for new, old in found if new is not None and old is not None]

    costs, times = paired(lambda one: one.cost_usd), paired(lambda one: one.latency_ms)
    return Difference(
        quality=compared(values, [0.0] * len(values)) if values else None,
        cost_usd=mean_interval(costs) if costs else None,
        latency_ms=mean_interval(times) if times else None,
    )
