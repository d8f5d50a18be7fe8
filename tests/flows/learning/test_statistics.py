"""Intervals and p-values, against what can be computed by hand or is known of them."""

import random
from itertools import product

import numpy as np
import pytest

from flows.learning.statistics import compared, mean_interval, permutation_p


def test_an_interval_holds_its_mean_and_narrows_with_more_examples():
    few, many = mean_interval([0, 1] * 10), mean_interval([0, 1] * 500)
    assert (few.value, many.value) == (0.5, 0.5)
    assert few.low < many.low < 0.5 < many.high < few.high
    # The normal approximation: 1.96 times the standard error, 0.5 / sqrt(1000).
    assert many.high - 0.5 == pytest.approx(1.96 * 0.5 / 1000**0.5, rel=0.1)


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    dice = random.Random(1)
    covered = 0
    for _ in range(100):
        found = mean_interval([float(dice.random() < 0.7) for _ in range(60)])
        covered += found.low <= 0.7 <= found.high
    assert covered >= 88


def test_the_same_values_give_the_same_interval():
    values = [random.Random(2).random() for _ in range(50)]
    assert mean_interval(values) == mean_interval(values)


def test_nothing_is_known_of_nothing():
    found = mean_interval([])
    assert (found.low, found.high) == (0, 1)


def test_few_differences_give_the_exact_p_value():
    differences = [1.0, 1.0, 0.5, -0.25, 0.75]
    seen = abs(sum(differences))
    patterns = list(product((-1, 1), repeat=5))
    far = sum(
        abs(sum(sign * one for sign, one in zip(signs, differences, strict=True))) >= seen
        for signs in patterns
    )
    assert permutation_p(np.array(differences)) == pytest.approx(far / len(patterns))


def test_equal_versions_are_not_different_and_unlike_ones_are():
    assert compared([1, 0, 1], [1, 0, 1]).p_value == 1
    found = compared([1.0] * 30 + [0.0] * 10, [0.0] * 30 + [0.0] * 10)
    assert (found.better, found.worse, found.equal) == (30, 0, 10)
    assert found.difference.value == 0.75
    assert 0 < found.p_value < 0.001


def test_no_difference_is_called_one_as_seldom_as_it_should():
    """Of true null hypotheses, about one in twenty has a p-value under 0.05."""
    dice = random.Random(3)
    wrong = 0
    for _ in range(200):
        left = [float(dice.random() < 0.6) for _ in range(40)]
        right = [float(dice.random() < 0.6) for _ in range(40)]
        wrong += compared(left, right).p_value < 0.05
    assert wrong <= 20
