"""A small picture in SVG: the scores of an optimization's trials, and the best so far."""

from collections.abc import Sequence
from html import escape

from contracts.runs import Event

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 40, 48
COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#4d7c0f")
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#374151}.axis{stroke:#9ca3af}.grid{stroke:#e5e7eb}"
    ".title{font-size:14px;font-weight:600}"
)


def trials_svg(title: str, trials: Sequence[Event]) -> str:
    """Return a picture of `trial` events: a dot for each score, a line for each racer's best so far."""
    series = _by_racer(trials)
    most = max((calls for points in series.values() for calls, _, _ in points), default=1.0) or 1.0
    parts = [*_axes(most), f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>']
    for number, (name, points) in enumerate(series.items()):
        parts += _curve(number, name, points, most)
    if not series:
        parts.append(f'<text x="{WIDTH // 2 - 60}" y="{HEIGHT // 2}">No trial has ended yet.</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
        f' height="{HEIGHT}" role="img" aria-label="{escape(title)}"><style>{STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>'
    )


def _by_racer(trials: Sequence[Event]) -> dict[str, list[tuple[float, float, float]]]:
    """Return each racer's calls, scores and bests in the order of its trials.

    A run that was killed, and a step that is tried again, tell their trials from the first one on: the last
    word on a trial counts.
    """
    found: dict[str, dict[int, tuple[float, float, float]]] = {}
    # By place: which racer is heard of first is chance.
    for event in sorted(trials, key=lambda one: one.data.get("place", 0)):
        data = event.data
        point = (float(data["calls"]), float(data["score"]), float(data["best"]))
        found.setdefault(str(data.get("racer", data["optimizer"])), {})[int(data["trial"])] = point
    return {name: [points[number] for number in sorted(points)] for name, points in found.items()}


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


def _curve(number: int, name: str, points: list[tuple[float, float, float]], most: float) -> list[str]:
    colour = COLOURS[number % len(COLOURS)]
    path = f"M{_x(points[0][0], most):.1f},{_y(points[0][2]):.1f}"
    path += "".join(f" H{_x(calls, most):.1f} V{_y(best):.1f}" for calls, _, best in points[1:])
    path += f" H{WIDTH - RIGHT}"
    dots = [
        f'<circle cx="{_x(calls, most):.1f}" cy="{_y(score):.1f}" r="3" fill="{colour}" fill-opacity="0.5"/>'
        for calls, score, _ in points
    ]
    legend_x, legend_y = LEFT + 8 + 230 * (number % 3), TOP + 2 + 14 * (number // 3)
    legend = f"{escape(name)}: best {points[-1][2]:.0%}"
    return [
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *dots,
        f'<text x="{legend_x}" y="{legend_y}" style="fill:{colour}">{legend}</text>',
    ]


def _x(calls: float, most: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * calls / most


def _y(score: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - 20 - BOTTOM) * score
