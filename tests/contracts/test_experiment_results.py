"""What an experiment has shown: pure, on outcomes made by hand."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from contracts.experiment_results import Outcome, first_values, measured, result_of
from contracts.experiments import (
    Arm,
    By,
    Experiment,
    ExperimentStatus,
    Kind,
    Metric,
    NewExperiment,
)
from runtime.ids import new_id

AT = datetime(2026, 11, 21, tzinfo=UTC)


def experiment(*arms: str, metric: Metric = Metric.FEEDBACK, largest: float | None = None) -> Experiment:
    return Experiment(
        id=new_id(),
        name="",
        kind=Kind.MODEL,
        target="chat",
        arms=[Arm(name=name, weight=1, deployment=name) for name in arms],
        by=By.CHAT,
        metric=metric,
        largest=largest,
        alpha=0.05,
        auto_stop=True,
        status=ExperimentStatus.RUNNING,
        winner=None,
        started_by="local",
        started_at=AT,
        ended_at=None,
        ended_why=None,
    )


def outcome(number: int, arm: str, **told: object) -> Outcome:
    at = AT + timedelta(seconds=number)
    values = {"subject": f"chat:{number}", "arm": arm, "ended_at": at, "scored_at": at, **told}
    return Outcome(**values)  # type: ignore[arg-type]


def test_a_subject_counts_once_with_its_first_value():
    """Ten turns of one chat are no ten independent results."""
    told = [
        outcome(1, "a", score=None, succeeded=True),
        outcome(3, "a", subject="chat:1", score=0.2, succeeded=False),
        outcome(2, "a", subject="chat:1", score=0.9, succeeded=False),
        outcome(4, "b", score=0.5),
    ]

    assert first_values(told, Metric.FEEDBACK) == {"a": [0.9], "b": [0.5]}
    assert first_values(told, Metric.SUCCESS) == {"a": [1.0]}


def test_a_run_with_calls_of_unknown_cost_has_no_cost_and_is_counted():
    """Else the model without a price would win by being free."""
    told = [
        outcome(1, "a", cost_usd=Decimal("0.25")),
        outcome(2, "b", cost_usd=Decimal("0.01"), unpriced=1),
        outcome(3, "b"),
    ]

    found = result_of(experiment("a", "b", metric=Metric.COST, largest=1), told)

    assert [one.cost_usd.n for one in found.results] == [1, 0]
    assert [one.unpriced for one in found.results] == [0, 1]
    assert [one.runs for one in found.results] == [1, 2]


def test_a_mean_by_hand():
    told = measured([1.0, 2.0, 3.0])

    assert (told.n, told.mean) == (3, 2)
    assert told.low == pytest.approx(2 - 1.959964 / 3**0.5)
    assert measured([]).mean is None
    assert (measured([4.0]).mean, measured([4.0]).low) == (4, None)


def test_the_better_arm_wins_and_nobody_before_there_is_evidence():
    dice = random.Random(5)
    told = [outcome(n, "ab"[n % 2], score=float(dice.random() < (0.2, 0.8)[n % 2])) for n in range(400)]

    assert result_of(experiment("a", "b"), told[:6]).leader is None
    found = result_of(experiment("a", "b"), told)

    assert found.leader == "b"
    (only,) = found.comparisons
    assert (only.arm, only.against, only.better, only.n + only.n_against) == ("b", "a", True, 400)
    assert 0 < only.difference.low < 0.6 < only.difference.high
    turned = result_of(experiment("b", "a"), told)
    assert (turned.leader, turned.comparisons[0].better) == ("b", False)


def test_less_is_better_of_cost_and_time():
    told = [outcome(n, "ab"[n % 2], latency_ms=(900.0, 100.0)[n % 2]) for n in range(200)]

    found = result_of(experiment("a", "b", metric=Metric.LATENCY, largest=1000), told)

    assert (found.leader, found.comparisons[0].better) == ("b", True)
    assert found.comparisons[0].difference.high < 0


def test_several_arms_share_alpha_and_the_furthest_leads():
    dice = random.Random(6)
    chances = {"a": 0.2, "b": 0.7, "c": 0.95}
    told = [outcome(n, arm := "abc"[n % 3], score=float(dice.random() < chances[arm])) for n in range(900)]

    found = result_of(experiment(*"abc"), told)

    assert [one.alpha for one in found.comparisons] == [0.025, 0.025]
    assert [one.better for one in found.comparisons] == [True, True]
    assert found.leader == "c"


def test_equal_arms_are_rarely_told_apart_however_often_somebody_looks():
    """A hundred experiments of equal arms, each looked at four times: with alpha 0.05 at most a few err."""
    wrong = 0
    for seed in range(100):
        dice = random.Random(seed)
        told = [outcome(n, "ab"[n % 2], score=float(dice.random() < 0.5)) for n in range(100)]
        wrong += any(
            result_of(experiment("a", "b"), told[:looked]).leader is not None for looked in range(5, 105, 25)
        )

    assert wrong <= 5


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"arms": [{"version": 1}, {"version": 2}]}, "either program or role"),
        (
            {"program": "p", "role": "chat", "arms": [{"version": 1}, {"version": 2}]},
            "either program or role",
        ),
        ({"program": "p", "arms": [{"version": 1}, {"deployment": "gpt"}]}, "needs a version"),
        ({"role": "chat", "arms": [{"deployment": "gpt"}, {"deployment": "gpt"}]}, "stands in two arms"),
        ({"role": "chat", "arms": [{"deployment": "gpt"}]}, "at least 2"),
        (
            {"role": "chat", "arms": [{"deployment": "a"}, {"deployment": "b"}], "metric": "cost_usd"},
            "cost_usd needs `largest`",
        ),
        (
            {"role": "chat", "arms": [{"deployment": "a"}, {"deployment": "b"}], "largest": 2},
            "only cost_usd and latency_ms take",
        ),
    ],
)
def test_an_experiment_that_means_nothing_is_refused(told: dict[str, object], why: str):
    with pytest.raises(ValidationError, match=why):
        NewExperiment.model_validate(told)
