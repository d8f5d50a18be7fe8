"""The promises of docs/guarantees.md under real kills, and proof that the driver notices a broken one."""

from collections import Counter

import pytest

from tests.chaos.driver import run_chaos, too_quiet
from tests.chaos.plan import Mutation, long_form, mutated, short_form

pytestmark = pytest.mark.stack


def test_the_same_seed_makes_the_same_trouble() -> None:
    once, again = long_form(7, 240).timeline(), long_form(7, 240).timeline()
    assert [(at, trouble, chance.random()) for at, trouble, chance in once] == [
        (at, trouble, chance.random()) for at, trouble, chance in again
    ]
    assert once != long_form(8, 240).timeline()
    assert {trouble for _, trouble, _ in short_form(1).timeline()} == set(short_form(1).deck)


def test_a_pace_that_leaves_a_trouble_out_proves_too_little() -> None:
    """A slow machine finds a slow pace by itself: it must not come to a run in which nothing is killed."""
    hurried, slow = long_form(1, 240, pace=5), long_form(1, 240, pace=20)
    assert slow.successes == hurried.successes == 100
    for plan, complete in ((hurried, True), (slow, False)):
        # As if each trouble of the plan had hit.
        hits = Counter(trouble for _, trouble, _ in plan.timeline())
        found = too_quiet(plan, hits, plan.successes)
        assert ([name for name, _ in found] == []) is complete, found


@pytest.mark.timeout(1500)
def test_nothing_is_lost_or_doubled_or_paid_twice_whatever_dies() -> None:
    """The short form: each trouble once. `make chaos` is minutes of them."""
    outcome = run_chaos(short_form(seed=1))
    assert outcome.findings == [], outcome.as_line()


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("mutation", "broken"),
    [
        # The shortest one runs in CI: a driver that notices nothing fails there.
        ("no run key", {"duplicate row"}),
        pytest.param("no call key", {"duplicate row", "paid again"}, marks=pytest.mark.chaos),
        pytest.param("no fence", {"not one end"}, marks=pytest.mark.chaos),
    ],
)
def test_the_driver_fails_when_a_guard_is_taken_away(mutation: Mutation, broken: set[str]) -> None:
    outcome = run_chaos(mutated(mutation, seed=1))
    assert broken <= outcome.names, outcome.as_line()
    assert "too quiet" not in outcome.names, outcome.as_line()
