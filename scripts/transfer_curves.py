"""Draw the validation curves of scripts/transfer.py as SVG, small and without a library."""

from __future__ import annotations

from html import escape
from typing import Any

#: Colour and dashes of each start; the dashes tell them apart without colour.
LINES = {
    'tuned': ('fine-tuned', '#b5361c', ''),
    'frozen': ('frozen', '#1f5fa8', '7 3'),
    'scratch': ('from scratch', '#5c5c5c', '2 3'),
}
PAPERS = {'nova': 'NOVA', 'kth': 'KTH', 'sagar': 'Sagar'}
#: Of one panel's axes, and what lies around them, in pixels.
WIDTH, HEIGHT, LEFT, TOP, BETWEEN = 220, 150, 44, 56, 34
LOW, HIGH = 0.4, 1.0


def drawing(found: dict[str, Any]) -> str:
    """Return a figure with a row of panels for each source and a column for each recipe.

    Parameters
    ----------
    found : dict
        By source and run, as `transfer.read` returns it; runs that are not there are left out.
    """
    across = LEFT + len(PAPERS) * (WIDTH + BETWEEN)
    down = TOP + len(found) * (HEIGHT + BETWEEN) + 14
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{across}" height="{down}" role="img">',
        '<g font-family="sans-serif" font-size="11">',
        '<title>AUC on the validation images after each epoch</title>',
        f'<rect width="{across}" height="{down}" rx="6" fill="#ffffff"/>',
        *legend(),
    ]
    for row, (source, runs) in enumerate(found.items()):
        for column, (paper, title) in enumerate(PAPERS.items()):
            x = LEFT + column * (WIDTH + BETWEEN)
            y = TOP + row * (HEIGHT + BETWEEN)
            parts += [
                f'<g transform="translate({x} {y})">',
                *panel(f'{title}, {source}', {s: runs.get(f'{paper}-{s}') for s in LINES}),
                '</g>',
            ]
    return '\n'.join([*parts, '</g>', '</svg>', ''])


def legend() -> list[str]:
    parts = [text(LEFT, 18, 'AUC on the validation images after each epoch', weight='bold')]
    for number, (words, colour, dashes) in enumerate(LINES.values()):
        x = LEFT + 330 + 120 * number
        parts += [
            f'<path d="M{x} 14h26" {stroke(colour, dashes)}/>',
            text(x + 32, 18, words),
        ]
    return parts


def panel(title: str, runs: dict[str, Any]) -> list[str]:
    """Draw the axes of one recipe and source, and a line for each start."""
    longest = max((len(run['validation']) for run in runs.values() if run), default=2)
    parts = [text(0, -6, title, weight='bold')]
    for tenth in range(round(LOW * 10), round(HIGH * 10) + 1, 2):
        y = height_of(tenth / 10)
        parts += [
            f'<path d="M0 {y}h{WIDTH}" stroke="#dddddd"/>',
            text(-6, y + 4, f'{tenth / 10:.1f}', anchor='end'),
        ]
    for epoch in sorted({1, (longest + 1) // 2, longest}):
        x = place_of(epoch, longest)
        parts.append(text(x, HEIGHT + 14, str(epoch), anchor='middle'))
    for start, run in runs.items():
        if run:
            _, colour, dashes = LINES[start]
            points = ' '.join(
                f'{place_of(epoch, longest)},{height_of(value)}'
                for epoch, value in enumerate(run['validation'], start=1)
            )
            parts.append(f'<polyline points="{points}" fill="none" {stroke(colour, dashes)}/>')
    return parts


def stroke(colour: str, dashes: str) -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ''
    return f'stroke="{colour}" stroke-width="2"{dashed}'


def place_of(epoch: int, longest: int) -> float:
    return round((epoch - 1) / max(1, longest - 1) * WIDTH, 1)


def height_of(value: float) -> float:
    """Return where an area stands; what is below the axis lies on it."""
    return round(HEIGHT * (HIGH - max(LOW, value)) / (HIGH - LOW), 1)


def text(x: float, y: float, words: str, *, anchor: str = 'start', weight: str = 'normal') -> str:
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="#333333">{escape(words)}</text>'
    )
