"""Figures with their intervals on one scale."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QFontMetricsF, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cxr.plugin.plots.palette import class_color
from napari_cxr.plugin.plots.plot import faint_text, quiet_text
from napari_cxr.plugin.theme import theme_color

__all__ = ['Intervals']

_PAD = 2.0
_TRACK = 16.0


class Intervals(QWidget):
    """A row a figure: its name and numbers, and below them a dot on its interval.

    The scale runs from chance to perfect, 0.5 to 1 of an area under the curve, or from 0
    where a figure is below chance.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._rows: list[tuple[str, tuple[float, float, float]]] = []
        self.setMinimumWidth(220)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName('Area under the curve without anatomy')
        self.setToolTip(
            'Area under the curve: 0.5 is chance, 1 is perfect. The line is the 95 % interval.'
        )
        self._fit_height()

    def set_intervals(self, figures: Mapping[str, tuple[float, float, float]]) -> None:
        """Show figures: name to value, low and high."""
        self._rows = list(figures.items())
        self.setAccessibleDescription(', '.join(f'{n} {_text(f)}' for n, f in self._rows))
        self._fit_height()
        self.update()

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:
        """Return a size at which usual names fit."""
        return QSize(360, self.height())

    def _row_height(self) -> float:
        return QFontMetricsF(self.font()).height() + _TRACK + 4

    def _fit_height(self) -> None:
        scale = QFontMetricsF(self.font()).height()
        self.setFixedHeight(max(1, round(len(self._rows) * self._row_height() + scale)))

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the rows, and the scale below them."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = QFontMetricsF(self.font())
        text, accent = theme_color(self._theme, 'text'), class_color(self._theme, 0)
        finite = [v for _, figures in self._rows for v in figures if np.isfinite(v)]
        low = 0.5 if min(finite, default=0.5) >= 0.5 else 0.0
        left, width = _PAD, self.width() - 2 * _PAD
        # The dots at the ends stay whole.
        first, length = left + 4, width - 8

        def place(value: float) -> float:
            return first + length * (min(max(value, low), 1.0) - low) / (1.0 - low)

        for i, (name, figures) in enumerate(self._rows):
            top = i * self._row_height()
            line = QRectF(left, top, width, metrics.height())
            numbers = _text(figures)
            room = width - metrics.horizontalAdvance(numbers) - 10
            painter.setPen(text)
            short = metrics.elidedText(name, Qt.TextElideMode.ElideRight, room)
            painter.drawText(line, Qt.AlignmentFlag.AlignLeft, short)
            painter.drawText(line, Qt.AlignmentFlag.AlignRight, numbers)
            y = line.bottom() + _TRACK / 2
            painter.setPen(QPen(faint_text(self._theme), 1))
            painter.drawLine(QPointF(left, y), QPointF(left + width, y))
            value, lower, upper = figures
            if np.isfinite(figures).all():
                pen = QPen(accent, 3)
                pen.setCapStyle(Qt.PenCapStyle.RoundCap)
                painter.setPen(pen)
                painter.drawLine(QPointF(place(lower), y), QPointF(place(upper), y))
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(text)
                painter.drawEllipse(QPointF(place(value), y), 4, 4)
        painter.setPen(quiet_text(self._theme))
        bottom = QRectF(left, self.height() - metrics.height(), width, metrics.height())
        if self._rows:
            start = '0.5, chance' if low else '0'
            painter.drawText(bottom, Qt.AlignmentFlag.AlignLeft, start)
            painter.drawText(bottom, Qt.AlignmentFlag.AlignRight, '1, perfect')
        painter.end()


def _text(figures: tuple[float, float, float]) -> str:
    value, low, high = figures
    return f'{value:.2f} ({low:.2f}–{high:.2f})'
