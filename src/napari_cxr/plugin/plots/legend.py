"""A legend in rows that never lies over a plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPainter

__all__ = ['Entry', 'Legend']

_GAP, _BETWEEN = 5.0, 14.0


@dataclass(frozen=True)
class Entry:
    """A name, and how the sign beside it is drawn into a rectangle so wide."""

    name: str
    sign: Callable[[QPainter, QRectF], None]
    width: float = 22.0


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
        x = y = 0.0
        for entry in entries:
            # Two beside each other even where both names are long.
            share = width if len(entries) == 1 else width / 2 - _BETWEEN
            room = max(share - entry.width - _GAP, 30.0)
            name = metrics.elidedText(entry.name, Qt.TextElideMode.ElideMiddle, room)
            needed = entry.width + _GAP + metrics.horizontalAdvance(name) + 1
            if x and x + needed > width:
                x, y = 0.0, y + row_height
            self._placed.append((QRectF(x, y, needed, row_height), entry, name))
            x += needed + _BETWEEN
        self.height = y + row_height if entries else 0.0

    def draw(self, painter: QPainter, left: float, top: float, text: QColor) -> None:
        """Draw it with its upper left corner there."""
        for box, entry, name in self._placed:
            box = box.translated(left, top)
            entry.sign(painter, QRectF(box.left(), box.top(), entry.width, box.height()))
            painter.setPen(text)
            painter.drawText(
                box.adjusted(entry.width + _GAP, 0, 2, 0),
                Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
                name,
            )

    def name_at(self, x: float, y: float) -> str:
        """Return the whole name under a point, seen from the legend's corner, or ''."""
        return next((e.name for box, e, _ in self._placed if box.contains(x, y)), '')
