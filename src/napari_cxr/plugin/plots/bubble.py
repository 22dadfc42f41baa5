"""The box with values that follows the mouse."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPainter, QPen

from napari_cxr.plugin.plots.plot import Plot

__all__ = ['draw_bubble']

_PAD, _DOT, _BETWEEN = 7.0, 8.0, 10.0


def draw_bubble(
    painter: QPainter,
    bounds: QRectF,
    at: QPointF,
    rows: Sequence[tuple[str, str, QColor | None]],
    plot: Plot,
) -> None:
    """Draw rows of text in a box beside a point, within bounds.

    Parameters
    ----------
    painter : QPainter
        What to draw with.
    bounds : QRectF
        What the box stays in.
    at : QPointF
        The box stands to the right of it, or to the left where there is no room.
    rows : sequence of (str, str, QColor or None)
        Name, value, and the colour of the dot before them. Long names are shortened.
    plot : Plot
        Whose colours it has.
    """
    metrics = QFontMetricsF(painter.font())
    dot = _DOT + 5 if any(color is not None for _, _, color in rows) else 0.0
    values = max(metrics.horizontalAdvance(value) for _, value, _ in rows)
    room = bounds.width() - 2 * _PAD - dot - values - _BETWEEN - 4
    room = min(room, 32 * metrics.averageCharWidth())
    names = [metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, room) for name, _, _ in rows]
    widest = max(metrics.horizontalAdvance(name) for name in names)
    width = 2 * _PAD + dot + widest + _BETWEEN + values + 2
    height = len(rows) * metrics.height() + _PAD
    left = at.x() + 10
    if left + width > bounds.right():
        left = at.x() - 10 - width
    left = min(max(left, bounds.left() + 1), bounds.right() - width - 1)
    top = min(max(at.y(), bounds.top() + 1), bounds.bottom() - height - 1)
    box = QRectF(left, top, width, height)
    painter.setPen(QPen(plot.color('highlight'), 1))
    painter.setBrush(plot.color('foreground'))
    painter.drawRoundedRect(box, 4, 4)
    for i, ((_, value, color), name) in enumerate(zip(rows, names, strict=True)):
        y = box.top() + _PAD / 2 + i * metrics.height()
        indent = _PAD
        if color is not None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(color)
            middle = QPointF(box.left() + _PAD + _DOT / 2, y + metrics.height() / 2)
            painter.drawEllipse(middle, _DOT / 2, _DOT / 2)
            indent += dot
        painter.setPen(plot.color('text'))
        line = QRectF(box.left() + indent, y, width - indent - _PAD, metrics.height())
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, name)
        painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, value)
