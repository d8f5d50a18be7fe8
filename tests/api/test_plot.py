"""The picture of an optimization: what is drawn of which events."""

import re
from collections.abc import Iterable
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree as ET

from api.plot import trials_svg
from contracts.runs import Event, EventKind
from runtime.clock import utcnow

SVG = "{http://www.w3.org/2000/svg}"
BASE = {"place": 0, "optimizer": None, "racer": "as it was"}


def test_two_racers_of_one_name_have_a_curve_each():
    first, second = racer(1, "bootstrap"), racer(3, "bootstrap", "bootstrap (2)")
    told = [trial(second, 1, 0.9), trial(first, 1, 0.2), trial(second, 2, 0.8, 0.9), trial(first, 2, 0.3)]
    drawn = picture(told)
    assert len(drawn.findall(f"{SVG}circle")) == 4
    assert len(drawn.findall(f"{SVG}path")) == 2
    assert legends(drawn) == ["bootstrap: best 30%", "bootstrap (2): best 90%"]


def test_a_killed_run_is_drawn_as_one_that_was_not():
    """It told two trials, died, told both again and went on."""
    who = racer(1, "gepa")
    once = [trial(who, 1, 0.2), trial(who, 2, 0.6), trial(who, 3, 0.4, 0.6)]
    assert trials_svg("a", [*once[:2], *once]) == trials_svg("a", once)
    assert len(picture([*once[:2], *once]).findall(f"{SVG}circle")) == 3


def test_while_a_killed_run_catches_up_its_curve_does_not_run_backwards():
    who = racer(1, "gepa")
    told = [trial(who, 1, 0.2), trial(who, 2, 0.6), trial(who, 3, 0.4, 0.6), trial(who, 1, 0.2)]
    (curve,) = picture(told).findall(f"{SVG}path")
    across = [float(x) for x in re.findall(r"[MH]([0-9.]+)", curve.attrib["d"])]
    assert across == sorted(across)


def test_trials_of_before_racers_had_places_are_drawn():
    drawn = picture([trial({"optimizer": "gepa"}, 1, 0.4), trial({"optimizer": "mipro"}, 1, 0.6)])
    assert legends(drawn) == ["gepa: best 40%", "mipro: best 60%"]


def test_a_race_without_trials_shows_what_each_scored_and_the_base():
    """`labeled` and `bootstrap` evaluate nothing by themselves."""
    told = [score(BASE, 0.4, 0), score(racer(1, "labeled"), 0.9, 0), score(racer(2, "bootstrap"), 0.7, 8)]
    drawn = picture(told)
    assert legends(drawn) == ["as it was: 40%", "labeled: scored 90%", "bootstrap: scored 70%"]
    assert len(drawn.findall(f"{SVG}line[@class='base']")) == 1
    labeled, bootstrap = (one.attrib["d"] for one in drawn.findall(f"{SVG}path[@class='score']"))
    # At its calls: none, and as many as any racer made.
    assert (labeled.partition(",")[0], bootstrap.partition(",")[0]) == ("M56.0", "M704.0")
    assert drawn.findall(f"{SVG}circle") == []


def test_one_that_makes_no_call_has_an_axis_of_whole_calls():
    drawn = picture([score(racer(1, "labeled"), 0.9, 0)])
    middle = [one.text for one in drawn.findall(f"{SVG}text[@text-anchor='middle']")]
    assert middle == ["0", "1", "2", "3", "4", "5"]


def test_a_score_that_is_told_again_is_drawn_once_at_its_last():
    who = racer(1, "gepa")
    before = [trial(who, 1, 0.5), score(BASE, 0.3, 0), score(who, 0.4, 10)]
    drawn = picture([*before, score(BASE, 0.2, 0), score(who, 0.6, 12)])
    assert legends(drawn) == ["as it was: 20%", "gepa: scored 60%"]
    assert len(drawn.findall(f"{SVG}path[@class='score']")) == 1
    assert len(drawn.findall(f"{SVG}circle")) == 1


def test_racers_keep_their_order_whether_or_not_they_tell_trials():
    told = [trial(racer(2, "gepa"), 1, 0.5), score(racer(1, "labeled"), 0.9, 0)]
    assert legends(picture(told)) == ["labeled: scored 90%", "gepa: best 50%"]


def test_a_base_alone_is_a_picture_already():
    assert legends(picture([score(BASE, 0.25, 0)])) == ["as it was: 25%"]
    assert "No trial has ended yet." in trials_svg("support.sort", [])


def racer(place: int, optimizer: str, name: str | None = None) -> dict[str, Any]:
    """Return whom an event is about."""
    return {"place": place, "optimizer": optimizer, "racer": name or optimizer}


def trial(who: dict[str, Any], number: int, score: float, best: float | None = None) -> Event:
    """Return a trial after ten calls for each one; the best so far, unless it says another."""
    told = {"trial": number, "score": score, "best": best or score, "calls": 10 * number}
    return event(EventKind.TRIAL, **who, **told)


def score(who: dict[str, Any], value: float, calls: int) -> Event:
    """Return what a racer's program was measured at."""
    return event(EventKind.SCORE, **who, score=value, examples=20, calls=calls, usd="0")


def event(kind: EventKind, **data: Any) -> Event:
    """Return an event of some run."""
    return Event(run_id=uuid4(), seq=1, kind=kind, data=data, at=utcnow())


def picture(told: Iterable[Event]) -> ET.Element:
    """Return what is drawn, as a tree."""
    return ET.fromstring(trials_svg("support.sort", list(told)))  # noqa: S314  our own plot


def legends(drawn: ET.Element) -> list[str]:
    """Return what is said in words, without the title and the axes."""
    words = [str(one.text) for one in drawn.findall(f"{SVG}text")]
    return [one for one in words if ":" in one]
