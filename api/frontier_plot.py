"""A small picture in SVG: the lanes of a recompile by cost and quality, and the frontier between them."""

from collections.abc import Sequence
from decimal import Decimal
from html import escape

from api.plot import BOTTOM, COLOURS, HEIGHT, LEFT, RIGHT, STYLE, TOP, WIDTH
from contracts.recompile import FrontierPoint

PER = 1000
TICKS = 5


def frontier_svg(title: str, points: Sequence[FrontierPoint]) -> str:
    """Return a picture of points: quality with its interval upwards, the cost of 1,000 answers to the right.

    Points whose cost nobody knows stand at the right edge. The line joins those that are optimal.
    """
    dearest = max((one.cost_usd for one in points if one.cost_usd is not None), default=Decimal(0))
    most = float(dearest * PER) * 1.1 or 1.0
    places = [(one, _x(one, most), _y(one.quality.value)) for one in points]
    parts = [*_axes(most), f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>']
    optimal = sorted((x, y) for one, x, y in places if one.optimal)
    if len(optimal) > 1:
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in optimal)
        parts.append(f'<polyline points="{line}" fill="none" stroke="#9ca3af" stroke-dasharray="4 3"/>')
    for number, (one, x, y) in enumerate(places):
        parts += _point(one, x, y, COLOURS[number % len(COLOURS)], number)
    if not points:
        parts.append(f'<text x="{WIDTH // 2 - 60}" y="{HEIGHT // 2}">Nothing was measured.</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
        f' height="{HEIGHT}" role="img" aria-label="{escape(title)}"><style>{STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>'
    )


def _point(one: FrontierPoint, x: float, y: float, colour: str, number: int) -> list[str]:
    low, high = _y(one.quality.low), _y(one.quality.high)
    cost = "unknown cost" if one.cost_usd is None else f"{float(one.cost_usd * PER):.4g} USD"
    told = f"{one.lane} ({one.deployment or 'as routed'}): {one.quality.value:.0%}, {cost}"
    legend = f'<text x="{LEFT + 8}" y="{HEIGHT - BOTTOM - 12 - 14 * number}" style="fill:{colour}">'
    fill = colour if one.optimal else "#fff"
    dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{fill}" stroke="{colour}" stroke-width="2"/>'
    return [
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}"/>',
        dot,
        f"{legend}{escape(told)}</text>",
    ]


def _axes(most: float) -> list[str]:
    parts = []
    for number in range(TICKS + 1):
        share = number / TICKS
        y, x = _y(share), LEFT + (WIDTH - LEFT - RIGHT) * share
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
        cost = f"{most * share:.3g}"
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{cost}</text>')
    bottom = HEIGHT - BOTTOM
    parts.append(f'<line class="axis" x1="{LEFT}" y1="{bottom}" x2="{WIDTH - RIGHT}" y2="{bottom}"/>')
    what = "US dollars for 1,000 answers"
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 10}" text-anchor="end">{what}</text>')
    return parts


def _x(one: FrontierPoint, most: float) -> float:
    cost = most if one.cost_usd is None else float(one.cost_usd * PER)
    return LEFT + (WIDTH - LEFT - RIGHT) * cost / most


def _y(score: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(max(score, 0.0), 1.0)
