"""A small picture in SVG: an optimization's trials, the best so far, and what came of it."""

from collections.abc import Sequence
from html import escape
from typing import Any

from contracts.runs import Event, EventKind

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 40, 48
COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#4d7c0f")
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#374151}.axis{stroke:#9ca3af}.grid{stroke:#e5e7eb}"
    ".title{font-size:14px;font-weight:600}.base{stroke:#6b7280;stroke-dasharray:6 4}.score{stroke:#fff}"
)
# Calls so far, the score, and the best so far.
Point = tuple[float, float, float]


def trials_svg(title: str, told: Sequence[Event]) -> str:
    """Return a picture of `trial` and `score` events.

    A dot for each trial and a line for each racer's best so far; a diamond for what its program scored on the
    validation split, and a dashed line for what the base did.
    """
    # By place: which racer is heard of first is chance.
    told = sorted(told, key=lambda one: one.data.get("place", 0))
    trials, scores = _trials(told), {_name(one): one.data for one in told if one.kind is EventKind.SCORE}
    calls = [calls for points in trials.values() for calls, _, _ in points]
    # Five, so that the axis of what makes no call counts whole ones.
    most = max([*calls, *(float(data["calls"]) for data in scores.values())], default=0.0) or 5.0
    parts = [*_axes(most), f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>']
    for data in scores.values():
        parts += _base(data) if data["optimizer"] is None else []
    racers = dict.fromkeys(_name(one) for one in told if one.data["optimizer"] is not None)
    for number, name in enumerate(racers):
        parts += _racer(number, name, trials.get(name, []), scores.get(name), most)
    if not told:
        parts.append(f'<text x="{WIDTH // 2 - 60}" y="{HEIGHT // 2}">No trial has ended yet.</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
        f' height="{HEIGHT}" role="img" aria-label="{escape(title)}"><style>{STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>'
    )


def _trials(told: Sequence[Event]) -> dict[str, list[Point]]:
    """Return each racer's trials in their order.

    A run that was killed, and a step that is tried again, tell their trials from the first one on: the last
    word on a trial counts.
    """
    found: dict[str, dict[int, Point]] = {}
    for event in told:
        if event.kind is EventKind.TRIAL:
            data = event.data
            point = (float(data["calls"]), float(data["score"]), float(data["best"]))
            found.setdefault(_name(event), {})[int(data["trial"])] = point
    return {name: [points[number] for number in sorted(points)] for name, points in found.items()}


def _name(event: Event) -> str:
    """Return a racer's name; before racers had one, it was the optimizer's."""
    return str(event.data.get("racer", event.data["optimizer"]))


def _axes(most: float) -> list[str]:
    parts = []
    for fifth in range(6):
        y = _y(fifth / 5)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{fifth * 20} %</text>')
        x, calls = _x(most * fifth / 5, most), round(most * fifth / 5)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{calls}</text>')
    bottom = HEIGHT - BOTTOM
    parts.append(f'<line class="axis" x1="{LEFT}" y1="{bottom}" x2="{WIDTH - RIGHT}" y2="{bottom}"/>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 10}" text-anchor="end">model calls</text>')
    return parts


def _base(data: dict[str, Any]) -> list[str]:
    y, right, score = _y(float(data["score"])), WIDTH - RIGHT, float(data["score"])
    return [
        f'<line class="base" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>',
        f'<text x="{right}" y="{y - 5:.1f}" text-anchor="end">{escape(data["racer"])}: {score:.0%}</text>',
    ]


def _racer(
    number: int, name: str, points: list[Point], scored: dict[str, Any] | None, most: float
) -> list[str]:
    colour = COLOURS[number % len(COLOURS)]
    parts = _curve(colour, points, most) if points else []
    if scored is None:
        legend = f"best {points[-1][2]:.0%}"
    else:
        legend = f"scored {float(scored['score']):.0%}"
        x, y = _x(float(scored["calls"]), most), _y(float(scored["score"]))
        diamond = f"M{x:.1f},{y - 6:.1f} l6,6 l-6,6 l-6,-6 z"
        parts.append(f'<path class="score" d="{diamond}" fill="{colour}"/>')
    x, y = LEFT + 8 + 230 * (number % 3), TOP + 2 + 14 * (number // 3)
    return [*parts, f'<text x="{x}" y="{y}" style="fill:{colour}">{escape(name)}: {legend}</text>']


def _curve(colour: str, points: list[Point], most: float) -> list[str]:
    path = f"M{_x(points[0][0], most):.1f},{_y(points[0][2]):.1f}"
    path += "".join(f" H{_x(calls, most):.1f} V{_y(best):.1f}" for calls, _, best in points[1:])
    path += f" H{WIDTH - RIGHT}"
    dots = [
        f'<circle cx="{_x(calls, most):.1f}" cy="{_y(score):.1f}" r="3" fill="{colour}" fill-opacity="0.5"/>'
        for calls, score, _ in points
    ]
    return [f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>', *dots]


def _x(calls: float, most: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * calls / most


def _y(score: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - 20 - BOTTOM) * score
