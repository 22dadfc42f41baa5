"""The colours and marks of classes, told apart by colour-blind people too, in any theme."""

from __future__ import annotations

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPolygonF

from napari_cxr.plugin.theme import theme_color

__all__ = ['COLORS', 'class_color', 'draw_mark', 'red']

#: Eight colours on a dark and eight on a light background, found by maximising the
#: smallest CIEDE2000 difference of any two as seen with normal, protan, deutan and tritan
#: vision (Machado et al., IEEE TVCG 15(6), 2009), with a contrast of 3 at least
#: (WCAG 2.2, 1.4.11) to the background of napari's theme.
#: In both, these are blue, brown, pink, green, yellow, violet, red and neutral.
COLORS = {
    'dark': (
        '#56cefd', '#d6ad6c', '#c73092', '#2b8661', '#ffff16', '#846eff', '#e10003', '#e2fef2',
    ),
    'light': (
        '#147dfb', '#744e04', '#b06394', '#007a5b', '#88870e', '#513093', '#480000', '#030c1d',
    ),
}  # fmt: skip
#: After eight classes colours repeat with the next mark.
_MARKS = ('circle', 'square', 'triangle', 'diamond')


def class_color(theme: str, number: int) -> QColor:
    """Return the colour of a class.

    Parameters
    ----------
    theme : str
        Name of napari's theme; one of a person's own counts as dark or light by its
        background.
    number : int
        Of the class, from 0; colours repeat after eight.
    """
    dark = theme_color(theme, 'background').lightnessF() < 0.5
    colors = COLORS['dark' if dark else 'light']
    return QColor(colors[number % len(colors)])


def red(theme: str) -> QColor:
    """Return a red that stands out from the background of a theme."""
    color = theme_color(theme, 'error')
    if theme_color(theme, 'background').lightnessF() < 0.5:
        return QColor.fromHslF(max(color.hslHueF(), 0.0), 0.9, 0.66)
    return QColor.fromHslF(max(color.hslHueF(), 0.0), 0.9, 0.38)


def draw_mark(painter: QPainter, center: QPointF, radius: float, number: int) -> None:
    """Draw the mark of a class with the painter's brush; a disc for the first eight."""
    mark = _MARKS[number // len(COLORS['dark']) % len(_MARKS)]
    x, y, r = center.x(), center.y(), radius
    if mark == 'circle':
        painter.drawEllipse(center, r, r)
    elif mark == 'square':
        painter.drawRect(QRectF(x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r))
    elif mark == 'triangle':
        corners = [
            QPointF(x, y - 1.2 * r),
            QPointF(x + 1.1 * r, y + r),
            QPointF(x - 1.1 * r, y + r),
        ]
        painter.drawPolygon(QPolygonF(corners), Qt.FillRule.OddEvenFill)
    else:
        corners = [
            QPointF(x, y - 1.3 * r),
            QPointF(x + 1.3 * r, y),
            QPointF(x, y + 1.3 * r),
            QPointF(x - 1.3 * r, y),
        ]
        painter.drawPolygon(QPolygonF(corners), Qt.FillRule.OddEvenFill)
