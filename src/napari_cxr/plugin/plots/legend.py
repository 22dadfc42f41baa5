"""A legend in rows that never lies over a plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPainter

__all__ = ['Entry', 'Legend']

_SIGN, _GAP, _BETWEEN = 22.0, 5.0, 14.0


@dataclass(frozen=True)
class Entry:
    """A name, its colour, and how the sign beside it is drawn into a rectangle."""

    name: str
    color: QColor
    sign: Callable[[QPainter, QRectF], None]


class Legend:
    """Entries laid out in rows as wide as the plot.

    Parameters
    ----------
    entries : sequence of Entry
        In their order.
    metrics : QFontMetricsF
        Of the font that they are written in.
    width : float
        Pixels that a row may take.
    """

    def __init__(self, entries: Sequence[Entry], metrics: QFontMetricsF, width: float) -> None:
        self._metrics = metrics
        self._placed: list[tuple[QRectF, Entry, str]] = []
        row_height = metrics.height() + 3
        # Two beside each other even where both names are long.
        room = max(width / 2 - _SIGN - _GAP - _BETWEEN, 30.0)
        if len(entries) == 1:
            room = max(width - _SIGN - _GAP, 30.0)
        x = y = 0.0
        for entry in entries:
            name = metrics.elidedText(entry.name, Qt.TextElideMode.ElideMiddle, room)
            needed = _SIGN + _GAP + metrics.horizontalAdvance(name) + 1
            if x and x + needed > width:
                x, y = 0.0, y + row_height
            self._placed.append((QRectF(x, y, needed, row_height), entry, name))
            x += needed + _BETWEEN
        self.height = y + row_height if entries else 0.0

    def draw(self, painter: QPainter, left: float, top: float, text: QColor) -> None:
        """Draw it with its upper left corner there."""
        for box, entry, name in self._placed:
            box = box.translated(left, top)
            entry.sign(painter, QRectF(box.left(), box.top(), _SIGN, box.height()))
            painter.setPen(text)
            painter.drawText(
                box.adjusted(_SIGN + _GAP, 0, 2, 0),
                Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
                name,
            )

    def name_at(self, x: float, y: float) -> str:
        """Return the whole name under a point, seen from the legend's corner, or ''."""
        return next((e.name for box, e, _ in self._placed if box.contains(x, y)), '')
