"""Racers: told apart, whatever they are."""

from contracts.optimization import Bootstrap, Gepa
from flows.learning.racing import racers


def test_racers_of_one_name_are_told_apart_by_place_and_name():
    race = racers([Bootstrap(), Gepa(), Bootstrap(labeled=2), Bootstrap(labeled=4)])
    assert [one.name for one in race] == ["bootstrap", "gepa", "bootstrap (2)", "bootstrap (3)"]
    assert [one.place for one in race] == [1, 2, 3, 4]
    assert race[2].told() == {"place": 3, "racer": "bootstrap (2)", "optimizer": "bootstrap"}
