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


def racer(place: int, optimizer: str, name: str | None = None) -> dict[str, Any]:
    """Return whom an event is about."""
    return {"place": place, "optimizer": optimizer, "racer": name or optimizer}


def trial(who: dict[str, Any], number: int, score: float, best: float | None = None) -> Event:
    """Return a trial after ten calls for each one; the best so far, unless it says another."""
    told = {"trial": number, "score": score, "best": best or score, "calls": 10 * number}
    return event(EventKind.TRIAL, **who, **told)


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
