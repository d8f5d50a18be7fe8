"""Bounds of a difference that hold at every look: by simulation, with fixed seeds."""

import math
import random

import pytest

from contracts.sequential import Difference

PATHS = 120


def coin(dice, chance):
    return lambda: float(dice.random() < chance)


def strayed(dice, one, other, difference, *, results=150, share=0.5, **how):
    """Return whether the bounds, looked at after every third result, ever missed the true difference."""
    seen = Difference(**{"cells": 40, **how})
    for n in range(results):
        seen.add([one()]) if dice.random() < share else seen.add((), [other()])
        if n % 3 == 0:
            bounds = seen.bounds()
            if not bounds.low <= difference <= bounds.high:
                return True
    return False


@pytest.mark.parametrize(("one", "other", "share"), [(0.5, 0.5, 0.5), (0.05, 0.05, 0.1), (0.9, 0.6, 0.3)])
def test_a_difference_strays_from_its_bounds_less_often_than_was_named(one, other, share):
    """However often it is looked at."""
    dice = random.Random(7)
    wrong = sum(
        strayed(dice, coin(dice, one), coin(dice, other), one - other, share=share, alpha=0.2)
        for _ in range(PATHS)
    )
    assert wrong / PATHS <= 0.2


def test_results_of_one_distribution_are_seldom_told_apart_whatever_it_is():
    dice = random.Random(8)

    def skewed():
        return min(dice.lognormvariate(0, 1), 20)

    wrong = sum(strayed(dice, skewed, skewed, 0, alpha=0.2, least=0, most=20) for _ in range(PATHS))
    assert wrong / PATHS <= 0.2


def test_three_answers_of_one_chat_in_a_row_are_borne():
    """Answers of one chat resemble each other (intraclass correlation 0.4): not what the theorem assumes."""
    dice = random.Random(9)

    def chats():
        drawn = []

        def answer():
            if not drawn:
                mood = dice.betavariate(0.75, 0.75)
                drawn.extend(float(dice.random() < mood) for _ in range(3))
            return drawn.pop()

        return answer

    wrong = sum(strayed(dice, chats(), chats(), 0, alpha=0.2) for _ in range(PATHS))
    assert wrong / PATHS <= 0.2


def test_a_real_difference_is_found_and_soon():
    """A program that was right in 85 of 100 and is now in 40."""
    dice = random.Random(10)
    needed = []
    for _ in range(20):
        seen = Difference(0.05)
        while seen.bounds().high >= 0:
            seen.add([coin(dice, 0.4)()], [coin(dice, 0.85)()])
        needed.append(seen.counts[0])
    assert max(needed) < 150


def test_what_is_the_same_is_shown_to_be_no_worse_than_a_margin():
    """No failure in 130 answers of each arm: less than 5 in 100 more."""
    seen = Difference(0.025).add([0.0] * 130, [0.0] * 130)
    assert seen.bounds().value == 0
    assert -0.06 < seen.bounds().low < 0 < seen.bounds().high < 0.06


def test_bounds_are_in_the_unit_of_the_results():
    """Latencies as logarithms, from a tenth to ten times the usual one; one arm takes twice as long."""
    dice = random.Random(11)
    seen = Difference(0.05, least=-math.log(10), most=math.log(10))
    seen.add([dice.gauss(math.log(2), 0.3) for _ in range(400)], [dice.gauss(0, 0.3) for _ in range(400)])
    bounds = seen.bounds()
    assert 1.6 < math.exp(bounds.low) < math.exp(bounds.value) < math.exp(bounds.high) < 2.5
    assert seen.means[0] == pytest.approx(math.log(2), abs=0.05)


def test_the_order_of_the_arms_does_not_matter_and_their_names_only_turn_the_sign():
    dice = random.Random(12)
    one, other = ([float(dice.random() < p) for _ in range(80)] for p in (0.3, 0.7))
    mixed = Difference()
    for a, b in zip(one, other, strict=True):
        mixed.add((), [b]).add([a])
    together = Difference().add(one, other).bounds()
    turned = Difference().add(other, one).bounds()
    assert mixed.bounds() == together
    assert (turned.value, turned.low, turned.high) == pytest.approx(
        (-together.value, -together.high, -together.low)
    )


def test_nothing_is_known_of_no_results():
    nothing = Difference()
    assert (nothing.bounds().low, nothing.bounds().high, nothing.means) == (-1, 1, (None, None))
    one_arm = Difference().add([1.0] * 200)
    assert one_arm.bounds().low < 0 < one_arm.bounds().high


def test_a_result_beyond_the_named_bounds_counts_as_the_bound():
    assert Difference(least=0, most=2).add([7.0, -3.0]).means[0] == 1
