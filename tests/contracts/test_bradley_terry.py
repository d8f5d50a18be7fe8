"""Ratings from games: by hand, at the edges, and against players whose strength is known."""

import math
import random

import pytest

from contracts.bradley_terry import MEAN, POINTS, Games, Strengths, averaged


def test_two_players_by_hand():
    """7 wins and 3 losses, and a drawn virtual game each.

    By symmetry the two logs are d / 2 and -d / 2. The derivative is 0 where 10 s(d) + s(d / 2) = 7.5, with s
    the logistic function. The information [[a + b, -b], [-b, a + b]], with b = 10 s(d)(1 - s(d)) and
    a = s(d / 2)(1 - s(d / 2)), gives their difference the variance 2 / (a + 2 b).
    """
    low, high = 0.0, 5.0
    for _ in range(100):
        d = (low + high) / 2
        told = 10 / (1 + math.exp(-d)) + 1 / (1 + math.exp(-d / 2))
        low, high = (d, high) if told < 7.5 else (low, d)
    b = 10 * (p := 1 / (1 + math.exp(-d))) * (1 - p)
    a = (q := 1 / (1 + math.exp(-d / 2))) * (1 - q)

    value, least, most = Strengths([Games("ada", "uma", wins=7, losses=3)]).lead("ada", "uma")

    assert d == pytest.approx(0.8007, abs=1e-4)
    assert value == pytest.approx(POINTS * d, abs=1e-6)
    assert most - value == pytest.approx(1.959964 * POINTS * math.sqrt(2 / (a + 2 * b)), abs=1e-6)
    assert value - least == pytest.approx(most - value)


def test_a_tie_is_half_a_win_for_each():
    tied = Strengths([Games("ada", "uma", wins=2, ties=4)])
    halves = Strengths([Games("ada", "uma", wins=4, losses=2)])

    assert tied.logs == pytest.approx(halves.logs)
    assert [one.ties for one in tied.ratings()] == [4, 4]


def test_who_never_lost_has_a_finite_rating_and_who_never_played_the_mean():
    ratings = {
        one.player: one
        for one in Strengths([Games("ada", "uma", wins=50)], players=["ada", "otto", "uma"]).ratings()
    }

    assert ratings["ada"].points > ratings["otto"].points > ratings["uma"].points
    assert ratings["otto"].points == pytest.approx(MEAN)
    assert all(math.isfinite(one.low) and math.isfinite(one.high) for one in ratings.values())
    assert ratings["otto"].high - ratings["otto"].low > 400  # nothing is known of it


def test_the_order_of_games_and_names_means_nothing():
    games = [Games("ada", "uma", 5, 2, 1), Games("uma", "otto", 3, 3), Games("otto", "ada", 1, 4)]
    turned = [Games(one.other, one.one, one.losses, one.wins, one.ties) for one in reversed(games)]

    for one, other in zip(Strengths(games).ratings(), Strengths(turned).ratings(), strict=True):
        assert one.player == other.player
        assert (one.points, one.low, one.high) == pytest.approx((other.points, other.low, other.high))


def test_nobody_and_a_player_alone():
    assert Strengths([]).ratings() == []
    (alone,) = Strengths([], players=["ada"]).ratings()
    assert (alone.points, alone.low, alone.high) == (MEAN, MEAN, MEAN)
    assert Strengths([Games("ada", "ada", wins=3)]).ratings() == [alone]


def test_intervals_hold_the_true_strength_about_as_often_as_they_say():
    """Five players of known strength, forty games a pair, a hundred leagues: 95 % is 475 of 500."""
    dice = random.Random(20_261_121)
    true = {"a": 0.9, "b": 0.4, "c": 0.0, "d": -0.4, "e": -0.9}
    names, held = list(true), 0
    for _ in range(100):
        games = []
        for i, one in enumerate(names):
            for other in names[i + 1 :]:
                chance = 1 / (1 + math.exp(true[other] - true[one]))
                wins = sum(dice.random() < chance for _ in range(40))
                games.append(Games(one, other, wins, 40 - wins))
        held += sum(
            one.low <= MEAN + POINTS * true[one.player] <= one.high for one in Strengths(games).ratings()
        )

    assert 460 <= held <= 490


def test_opinions_on_one_match_are_one_game():
    one = averaged("ada", "uma", wins=3, losses=1, ties=0)
    assert (one.wins, one.losses, one.ties, one.played) == (0.75, 0.25, 0, 1)
    many = averaged("ada", "uma", wins=1, losses=0, ties=1, matches=6)
    assert (many.wins, many.ties, many.played) == (3, 3, 6)
    twice = Strengths([averaged("ada", "uma", wins=7, losses=0, ties=0)])
    assert twice.logs == Strengths([Games("ada", "uma", wins=1)]).logs


@pytest.mark.parametrize(("same", "least", "most"), [(1.0, 460, 490), (0.8, 470, 500), (0.0, 490, 500)])
def test_intervals_hold_the_true_strength_though_seven_people_vote_on_each_match(
    same: float, least: int, most: int
):
    """Each of the seven says with the chance `same` what the answers decide, else what they think themselves.

    Every single opinion has the chance that the strengths say, so these are the truth. Fifteen matches a
    pair: as independent games the same opinions hold it far less often, which is why they are averaged. With
    `same` 0 they are independent, and the intervals are wider than they need be.
    """
    dice = random.Random(20_261_122)
    true = {"a": 0.9, "b": 0.3, "c": -0.3, "d": -0.9}
    names = list(true)
    held = {"averaged": 0, "independent": 0}
    for _ in range(125):
        games: dict[str, list[Games]] = {"averaged": [], "independent": []}
        for i, one in enumerate(names):
            for other in names[i + 1 :]:
                chance = 1 / (1 + math.exp(true[other] - true[one]))
                for _ in range(15):
                    shared = dice.random() < chance
                    wins = sum(shared if dice.random() < same else dice.random() < chance for _ in range(7))
                    games["averaged"].append(averaged(one, other, wins=wins, losses=7 - wins, ties=0))
                    games["independent"].append(Games(one, other, wins, 7 - wins))
        for name, played in games.items():
            held[name] += sum(
                each.low <= MEAN + POINTS * true[each.player] <= each.high
                for each in Strengths(played).ratings()
            )

    assert least <= held["averaged"] <= most
    if same:
        assert held["independent"] < 400
