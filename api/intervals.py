"""Pictures of intervals in SVG: a line for each value with its bounds; and a small page around one."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from fastapi import Response

from api.plot import COLOURS, STYLE

WIDTH = 720
LEFT, RIGHT, TOP, ROW, BOTTOM = 190, 150, 44, 30, 40
# An SVG or a page can hold scripts; ours hold none, and no browser shall look for any.
SAFE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
PAGE_STYLE = (
    "body{font:14px system-ui,sans-serif;margin:2rem;color:#374151}table{border-collapse:collapse}"
    "td,th{padding:.25rem .9rem .25rem 0;text-align:left}th{border-bottom:1px solid #d1d5db}"
)


@dataclass(frozen=True, slots=True)
class Line:
    """A value between its bounds; none of them is drawn while nothing is known."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    note: str = ""


def intervals_svg(title: str, lines: Sequence[Line], *, zero: float | None = None, unit: str = "") -> str:
    """Return a picture of values with their bounds, one under the other.

    Args:
        title: above it.
        lines: in this order.
        zero: where a vertical line stands that means `no difference`.
        unit: under the axis.
    """
    told = [each for line in lines for each in (line.value, line.low, line.high) if each is not None]
    told += [] if zero is None else [zero]
    low, high = (min(told), max(told)) if told else (0.0, 1.0)
    room = (high - low) * 0.05 or 0.5
    scale = _Scale(low - room, high + room)
    height = TOP + ROW * max(len(lines), 1) + BOTTOM
    parts = [f'<text class="title" x="12" y="22">{escape(title)}</text>', *_axis(scale, height, unit)]
    if zero is not None:
        x = scale.x(zero)
        parts.append(f'<line class="axis" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{height - BOTTOM}"/>')
    for number, line in enumerate(lines):
        parts += _line(line, scale, TOP + ROW * (number + 0.5), COLOURS[number % len(COLOURS)])
    if not lines:
        parts.append(f'<text x="{LEFT}" y="{TOP + 20}">Nothing is known yet.</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        f' height="{height}" role="img" aria-label="{escape(title)}"><style>{STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>'
    )


def page(
    title: str, picture: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, every_seconds: int = 0
) -> str:
    """Return a page with a picture and a table below it, which asks again by itself when told to."""
    again = f'<meta http-equiv="refresh" content="{every_seconds}">' if every_seconds else ""
    head = "".join(f"<th>{escape(each)}</th>" for each in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{again}<title>{escape(title)}</title>'
        f"<style>{PAGE_STYLE}</style></head><body>{picture}<table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></body></html>"
    )


def as_svg(picture: str) -> Response:
    """Return a picture as a response."""
    return Response(picture, media_type="image/svg+xml", headers=SAFE)


def as_page(text: str) -> Response:
    """Return a page as a response."""
    return Response(text, media_type="text/html; charset=utf-8", headers=SAFE)


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - self.low) / (self.high - self.low)


def _axis(scale: _Scale, height: int, unit: str) -> list[str]:
    bottom, parts = height - BOTTOM, []
    for quarter in range(5):
        value = scale.low + (scale.high - scale.low) * quarter / 4
        x = scale.x(value)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{value:.4g}</text>')
    parts.append(f'<text x="{WIDTH - 12}" y="{height - 8}" text-anchor="end">{escape(unit)}</text>')
    return parts


def _line(line: Line, scale: _Scale, y: float, colour: str) -> list[str]:
    name = line.name if len(line.name) <= 26 else f"{line.name[:25]}…"  # noqa: PLR2004  what fits
    parts = [f'<text x="12" y="{y + 4:.1f}">{escape(name)}</text>']
    if line.low is not None and line.high is not None:
        parts.append(
            f'<line x1="{scale.x(line.low):.1f}" y1="{y:.1f}" x2="{scale.x(line.high):.1f}" y2="{y:.1f}"'
            f' stroke="{colour}" stroke-width="3" stroke-opacity="0.5"/>'
        )
    if line.value is not None:
        parts.append(f'<circle cx="{scale.x(line.value):.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
    parts.append(f'<text x="{WIDTH - RIGHT + 10}" y="{y + 4:.1f}">{escape(line.note)}</text>')
    return parts
