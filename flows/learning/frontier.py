"""Quality against cost: which of several ways to answer the same cases is worth its price."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from contracts.evaluation import ExampleResult
from contracts.recompile import FrontierCase, FrontierPoint, LaneName
from flows.learning.statistics import compared, mean_interval


@dataclass(frozen=True, slots=True)
class Lane:
    """All cases of one lane, by example."""

    version: int | None
    deployment: str
    cases: Mapping[UUID, ExampleResult]


Lanes = Mapping[LaneName, Lane]


def points_of(lanes: Lanes) -> list[FrontierPoint]:
    """Return a point for each lane, and which of them are optimal."""
    points = [_point(name, lane, lanes) for name, lane in lanes.items()]
    return [
        one.model_copy(update={"optimal": not any(dominates(other, one) for other in points)})
        for one in points
    ]


def dominates(one: FrontierPoint, other: FrontierPoint) -> bool:
    """Return whether a point is at least as good and as cheap, and better or cheaper (Pareto).

    A cost that nobody knows is neither more nor less than another.
    """
    if one.cost_usd is None or other.cost_usd is None:
        return False
    mine, theirs = (one.quality.value, -one.cost_usd), (other.quality.value, -other.cost_usd)
    return mine != theirs and mine[0] >= theirs[0] and mine[1] >= theirs[1]


def cases_of(lanes: Lanes) -> list[FrontierCase]:
    """Return each case in all lanes, those first on which the new model loses most."""
    found = [
        FrontierCase(
            example_id=example,
            scores={name: lane.cases[example].score for name, lane in lanes.items()},
            cost_usd={name: lane.cases[example].cost_usd for name, lane in lanes.items()},
            latency_ms={name: lane.cases[example].latency_ms for name, lane in lanes.items()},
        )
        for example in next(iter(lanes.values())).cases
    ]
    return sorted(found, key=lambda one: (_gain(one), str(one.example_id)))


def best_of(points: Sequence[FrontierPoint]) -> FrontierPoint | None:
    """Return the better of the points on the new model; of equal ones the cheaper, then the one as it was."""
    new = [one for one in points if one.lane is not LaneName.OLD]
    order = [LaneName.MOVED, LaneName.CANDIDATE]
    return min(
        new,
        key=lambda one: (-one.quality.value, one.cost_usd is None, one.cost_usd or 0, order.index(one.lane)),
        default=None,
    )


def _point(name: LaneName, lane: Lane, lanes: Lanes) -> FrontierPoint:
    cases = list(lane.cases.values())
    costs = [one.cost_usd for one in cases if one.cost_usd is not None]
    times = [one.latency_ms for one in cases if one.latency_ms is not None]
    old = lanes.get(LaneName.OLD)
    against = None
    if old is not None and name is not LaneName.OLD:
        against = compared([one.score for one in cases], [old.cases[example].score for example in lane.cases])
    return FrontierPoint(
        lane=name,
        version=lane.version,
        deployment=lane.deployment,
        quality=mean_interval([one.score for one in cases]),
        # Failures may have no price; of answers without one nothing is said.
        cost_usd=round(sum(costs, Decimal(0)) / len(costs), 10) if costs else None,
        latency_ms=round(sum(times) / len(times), 3) if times else None,
        failures=sum(one.error is not None for one in cases),
        optimal=False,
        against_old=against,
    )


def _gain(case: FrontierCase) -> float:
    new = case.scores.get(LaneName.CANDIDATE, case.scores.get(LaneName.MOVED, 0.0))
    return new - case.scores.get(LaneName.OLD, 0.0)
