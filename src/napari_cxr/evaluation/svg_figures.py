"""Small figures as SVG, from lists of numbers, for a page that needs no other file.

Every text in them is escaped. A figure has a title for screen readers, and colours that differ in
lightness too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ['COLOURS', 'Curve', 'bar_figure', 'interval_figure', 'line_figure']

#: Blue, orange, green and purple of Okabe and Ito (2008), then grey: told apart by most eyes.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#8f5a9c', '#6b6f76')
_INK, _FAINT = '#3b4148', '#d5d9de'
_WIDTH, _HEIGHT = 258, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 28, 44


@dataclass(frozen=True)
class Curve:
    """A curve in a square from 0 to 1.

    Parameters
    ----------
    name : str
        For the legend.
    x, y : sequence of float
        Its points.
    low, high : sequence of float
        A band around it; empty for none.
    dots : bool
        Whether the points are marked, with their bands as bars.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    dots: bool = False


def line_figure(
    title: str, x_name: str, y_name: str, lines: Sequence[Curve], diagonal: bool = False
) -> str:
    """Draw curves in a square from 0 to 1.

    Parameters
    ----------
    title, x_name, y_name : str
        Of the figure and its axes.
    lines : sequence of Curve
        The curves, one colour each.
    diagonal : bool
        Whether to draw the line from corner to corner.
    """
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    parts = [_frame(title, x_name, y_name)]
    if diagonal:
        parts.append(
            f'<line x1="{_LEFT}" y1="{_TOP + height}" x2="{_LEFT + width}" y2="{_TOP}" '
            f'stroke="{_FAINT}" stroke-dasharray="4 3"/>'
        )

    def at(x: float, y: float) -> str:
        return f'{_LEFT + x * width:.1f},{_TOP + (1 - y) * height:.1f}'

    for line, colour in zip(lines, _colours(len(lines)), strict=True):
        points = list(zip(line.x, line.y, strict=True))
        band = list(zip(line.x, line.low, line.high, strict=True)) if line.low else []
        if line.dots:
            for x, low, high in band:
                one, other = at(x, low).split(','), at(x, high).split(',')
                parts.append(
                    f'<line x1="{one[0]}" y1="{one[1]}" x2="{other[0]}" y2="{other[1]}" '
                    f'stroke="{colour}" stroke-opacity=".55"/>'
                )
            parts += [
                '<circle cx="{}" cy="{}" r="2.6" fill="{}"/>'.format(*at(x, y).split(','), colour)
                for x, y in points
            ]
        elif band:
            edge = [at(x, high) for x, _, high in band]
            edge += [at(x, low) for x, low, _ in reversed(band)]
            parts.append(
                f'<polygon points="{" ".join(edge)}" fill="{colour}" fill-opacity=".15"/>'
            )
        path = ' '.join(at(x, y) for x, y in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        )
    parts.append(_legend([line.name for line in lines]))
    return _svg(title, parts)


def bar_figure(title: str, x_name: str, bars: Mapping[str, Sequence[int]]) -> str:
    """Draw a histogram from 0 to 1 for each of some groups, as fractions of the group.

    Parameters
    ----------
    title, x_name : str
        Of the figure and its horizontal axis.
    bars : mapping of str to sequence of int
        By group, how many there are in each bin of equal width.
    """
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    shares = {k: [n / max(1, sum(own)) for n in own] for k, own in bars.items()}
    top = max((max(own) for own in shares.values()), default=1.0) or 1.0
    parts = [_frame(title, x_name, 'fraction of the images', top)]
    for own, colour in zip(shares.values(), _colours(len(shares)), strict=True):
        step = width / len(own)
        points = [f'{_LEFT:.1f},{_TOP + height:.1f}']
        for i, share in enumerate(own):
            y = _TOP + (1 - share / top) * height
            points += [f'{_LEFT + i * step:.1f},{y:.1f}', f'{_LEFT + (i + 1) * step:.1f},{y:.1f}']
        points.append(f'{_LEFT + width:.1f},{_TOP + height:.1f}')
        parts.append(
            f'<polygon points="{" ".join(points)}" fill="{colour}" fill-opacity=".14" '
            f'stroke="{colour}" stroke-width="1.3"/>'
        )
    parts.append(_legend(list(shares)))
    return _svg(title, parts)


def interval_figure(
    title: str, rows: Sequence[tuple[str, float, tuple[float, float] | None]], least: float = 0.0
) -> str:
    """Draw values with their intervals, one below the other (a forest plot).

    Parameters
    ----------
    title : str
        Of the figure.
    rows : sequence of (str, float, (float, float) or None)
        Name, value, and interval of each.
    least : float
        Where the axis begins; it ends at 1.
    """
    left, right, step = 190, 60, 22
    width, height = 520, _TOP + step * len(rows) + 34
    inner = width - left - right

    def at(value: float) -> float:
        return left + (min(max(value, least), 1) - least) / (1 - least) * inner

    parts = [f'<text x="0" y="16" font-weight="600">{escape(title)}</text>']
    bottom = _TOP + step * len(rows)
    for i in range(6):
        value = least + (1 - least) * i / 5
        x = at(value)
        parts.append(
            f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}" stroke="{_FAINT}"/>'
            f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{value:.2g}</text>'
        )
    for i, (name, value, interval) in enumerate(rows):
        y = _TOP + step * (i + 0.5)
        shown = name if len(name) <= 30 else f'{name[:29]}…'
        parts.append(
            f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(shown)}</text>'
        )
        if interval is not None:
            low, high = interval
            parts.append(
                f'<line x1="{at(low):.1f}" y1="{y:.1f}" x2="{at(high):.1f}" y2="{y:.1f}" '
                f'stroke="{COLOURS[0]}" stroke-width="2"/>'
            )
        parts.append(
            f'<circle cx="{at(value):.1f}" cy="{y:.1f}" r="4" fill="{COLOURS[0]}"/>'
            f'<text x="{width - right + 8}" y="{y + 4:.1f}">{value:.3f}</text>'
        )
    return _svg(title, parts, width, height)


def _colours(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def _frame(title: str, x_name: str, y_name: str, top: float = 1.0) -> str:
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    parts = [f'<text x="{_LEFT}" y="16" font-weight="600">{escape(title)}</text>']
    digits = 1 if top == 1 else 2 if top > 0.1 else 3
    for i in range(6):
        x, y = _LEFT + width * i / 5, _TOP + height * (1 - i / 5)
        parts.append(
            f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_TOP + height}" stroke="{_FAINT}" '
            f'stroke-width=".6"/><line x1="{_LEFT}" y1="{y:.1f}" x2="{_LEFT + width}" '
            f'y2="{y:.1f}" stroke="{_FAINT}" stroke-width=".6"/>'
            f'<text x="{x:.1f}" y="{_TOP + height + 15}" text-anchor="middle">{i / 5:.1f}</text>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f'{top * i / 5:.{digits}f}</text>'
        )
    middle = _TOP + height / 2
    parts.append(
        f'<text x="{_LEFT + width / 2:.1f}" y="{_HEIGHT - 10}" text-anchor="middle">'
        f'{escape(x_name)}</text><text x="12" y="{middle:.1f}" text-anchor="middle" '
        f'transform="rotate(-90 12 {middle:.1f})">{escape(y_name)}</text>'
    )
    return ''.join(parts)


def _legend(names: Sequence[str]) -> str:
    if len(names) < 2:
        return ''
    parts = []
    x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * 0.38
    for i, (name, colour) in enumerate(zip(names, _colours(len(names)), strict=True)):
        y = _TOP + 14 + 14 * i
        shown = name if len(name) <= 16 else f'{name[:15]}…'
        parts.append(
            f'<rect x="{x:.1f}" y="{y - 8}" width="10" height="10" fill="{colour}"/>'
            f'<text x="{x + 14:.1f}" y="{y + 1}">{escape(shown)}</text>'
        )
    return ''.join(parts)


def _svg(title: str, parts: Sequence[str], width: int = _WIDTH, height: int = _HEIGHT) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" font-family="sans-serif" font-size="11" fill="{_INK}">'
        f'<title>{escape(title)}</title>{"".join(parts)}</svg>'
    )
