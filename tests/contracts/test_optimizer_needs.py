"""What optimizers need is known before any money is spent."""

from decimal import Decimal

import pytest

from contracts.examples import Split
from contracts.optimization import OptimizationEstimate, OptimizeParams, Work
from contracts.optimizer_needs import measuring, needs_of, refuse_few, refuse_small_caps
from runtime.errors import BadInput

SIMBA = {"name": "simba", "batch": 16}


def asked(*optimizers: dict, **values: object) -> OptimizeParams:
    return OptimizeParams.model_validate(
        {"program": "support.sort", **values, **({"optimizers": list(optimizers)} if optimizers else {})}
    )


def counts(train: int, validation: int, test: int) -> dict[Split, int]:
    return dict(zip(Split, (train, validation, test), strict=True))


@pytest.mark.parametrize(
    ("found", "split"),
    [
        ((3, 0, 0), "validation"),
        ((1, 1, 1), "train"),
        ((2, 1, 0), "test"),
        ((0, 3, 0), "train"),
        ((60, 0, 20), "validation"),
    ],
)
def test_three_examples_or_an_empty_split_are_refused_by_name(found: tuple[int, int, int], split: str):
    with pytest.raises(BadInput, match=f"in the split `{split}`") as caught:
        refuse_few(asked(), counts(*found))
    assert caught.value.code == "too_few_examples"


def test_the_optimizer_that_needs_most_decides():
    refuse_few(asked(SIMBA, {"name": "labeled"}), counts(16, 1, 1))
    with pytest.raises(BadInput, match="16 are needed for simba"):
        refuse_few(asked({"name": "labeled"}, SIMBA), counts(15, 1, 1))


def test_gepa_is_refused_when_its_calls_would_only_measure_the_base():
    gepa = {"name": "gepa", "metric_calls": 20, "minibatch": 3}
    with pytest.raises(BadInput, match="gepa needs 21 metric_calls") as caught:
        refuse_few(asked(gepa), counts(40, 15, 1))
    assert caught.value.code == "too_few_metric_calls"
    refuse_few(asked(gepa), counts(40, 14, 1))
    refuse_few(asked(gepa, most_validation=14), counts(40, 15, 1))


def test_a_judge_and_a_reflector_are_counted_beside_the_program():
    (mipro,) = asked({"name": "mipro", "trials": 8}).optimizers
    needs = needs_of(mipro, 40, 10, 8)
    assert needs.calls(1, "exact") == 10 * 10 + 35
    assert needs.calls(2, "judge") == 10 * 10 * 4 + 35
    assert measuring(asked(SIMBA, {"name": "labeled"}), 10, 20).calls(1, "exact") == 3 * 10 + 2 * 20


def estimate(calls: int, usd: str | None, seconds: float | None) -> OptimizationEstimate:
    return OptimizationEstimate(
        examples=counts(10, 10, 10),
        parts=[Work(name="measuring", calls=calls, usd=usd, seconds=seconds)],
        calls=calls,
        usd=usd,
        seconds=seconds,
        needed_calls=calls,
        needed_usd=usd,
    )


@pytest.mark.parametrize(
    ("cap", "told"),
    [
        ({"cap_calls": 99}, "needs cap_calls of 100, and 99 is given"),
        ({"cap_usd": "0.49"}, "needs cap_usd of 0.5, and 0.49 is given"),
        ({"cap_minutes": 1.9}, "needs cap_minutes of 2.0, and 1.9 is given"),
    ],
)
def test_a_cap_below_the_estimate_is_refused_unless_it_was_meant(cap: dict, told: str):
    found = estimate(100, "0.5", 120.0)
    with pytest.raises(BadInput, match=told) as caught:
        refuse_small_caps(asked(**cap), found)
    assert caught.value.code == "budget_below_estimate"
    refuse_small_caps(asked(**cap, below_estimate=True), found)
    refuse_small_caps(asked(cap_calls=100, cap_usd=Decimal("0.5"), cap_minutes=2), found)


def test_what_nobody_can_estimate_is_not_refused():
    refuse_small_caps(asked(cap_usd="0.01", cap_minutes=1), estimate(100, None, None))
