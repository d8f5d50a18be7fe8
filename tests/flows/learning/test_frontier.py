"""Which way of answering is worth its price."""

from decimal import Decimal

import pytest

from contracts.evaluation import ExampleResult
from contracts.recompile import LaneName
from flows.learning.frontier import Lane, best_of, cases_of, points_of
from runtime.ids import new_id

VERSION = new_id()
CASES = [new_id() for _ in range(10)]


def lane(right: int, usd: str | None, deployment: str = "x") -> Lane:
    """A lane that has so many of ten cases right, each for so much."""
    cost = None if usd is None else Decimal(usd)
    cases = {}
    for number, one in enumerate(CASES):
        cases[one] = ExampleResult(
            example_id=one,
            version_id=VERSION,
            score=float(number < right),
            answer={},
            error=None,
            cost_usd=cost,
            latency_ms=10.0,
        )
    return Lane(1, deployment, cases)


def optimal(**lanes: Lane) -> set[str]:
    points = points_of({LaneName(name): found for name, found in lanes.items()})
    return {one.lane for one in points if one.optimal}


@pytest.mark.parametrize(
    ("lanes", "expected"),
    [
        # Cheaper and as good: the old one is not worth its price.
        ({"old": lane(8, "0.02"), "moved": lane(8, "0.01")}, {"moved"}),
        # Cheaper and worse: both have their place.
        ({"old": lane(8, "0.02"), "moved": lane(6, "0.01")}, {"old", "moved"}),
        ({"old": lane(8, "0.02"), "moved": lane(6, "0.01"), "candidate": lane(9, "0.01")}, {"candidate"}),
        ({"old": lane(8, "0.02"), "moved": lane(8, "0.02")}, {"old", "moved"}),
        # What nobody knows is not free.
        ({"old": lane(8, "0.02"), "moved": lane(9, None)}, {"old", "moved"}),
    ],
)
def test_a_point_is_optimal_where_no_other_is_as_good_and_as_cheap(
    lanes: dict[str, Lane], expected: set[str]
):
    assert optimal(**lanes) == expected


def test_points_say_what_they_cost_and_how_they_differ_case_by_case():
    lanes = {LaneName.OLD: lane(4, "0.02"), LaneName.CANDIDATE: lane(9, "0.01")}
    old, new = points_of(lanes)
    assert (old.quality.value, old.cost_usd, old.against_old) == (0.4, Decimal("0.02"), None)
    assert (new.quality.value, new.cost_usd, new.latency_ms) == (0.9, Decimal("0.01"), 10.0)
    assert new.against_old is not None
    assert (new.against_old.better, new.against_old.worse) == (5, 0)


def test_the_cases_that_lose_most_come_first():
    found = cases_of({LaneName.OLD: lane(4, "0.02"), LaneName.MOVED: lane(2, "0.01")})
    assert [one.scores[LaneName.MOVED] - one.scores[LaneName.OLD] for one in found[:3]] == [-1, -1, 0]
    assert found[0].cost_usd == {LaneName.OLD: Decimal("0.02"), LaneName.MOVED: Decimal("0.01")}
    assert len(found) == 10


def test_the_best_on_the_new_model_is_the_better_one_then_the_cheaper_one():
    def best(**lanes: Lane) -> str | None:
        found = best_of(points_of({LaneName(name): one for name, one in lanes.items()}))
        return None if found is None else found.lane

    assert best(old=lane(10, "0.1"), moved=lane(5, "0.01"), candidate=lane(6, "0.02")) == "candidate"
    assert best(moved=lane(6, "0.01"), candidate=lane(6, "0.02")) == "moved"
    assert best(moved=lane(6, "0.02"), candidate=lane(6, None)) == "moved"
    assert best(old=lane(10, "0.1")) is None
