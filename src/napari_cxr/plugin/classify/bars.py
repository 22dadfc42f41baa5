"""A bar for each class with its probability, one of which can be chosen."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFontMetricsF, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cxr.plugin.theme import theme_color

__all__ = ['ProbabilityBars']

_MARGIN = 8
_BAR = 6


class ProbabilityBars(QWidget):
    """Labels, numbers and bars; a click or the arrow keys choose one.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: The label that a person chose.
    chosen = Signal(str)

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: list[tuple[str, float]] = []
        self._current = ''
        self._theme = theme
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName('Probability of each class')
        self.setToolTip('Click a class to see where its evidence lies')

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self._theme = theme
        self.update()

    def set_rows(self, rows: Sequence[tuple[str, float]], current: str = '') -> None:
        """Show labels with probabilities, in the order given; `current` is marked."""
        self._rows = list(rows)
        self._current = current
        self.setAccessibleDescription(', '.join(f'{name} {p:.1%}' for name, p in rows))
        self.setFixedHeight(max(1, round(self._row_height() * len(self._rows))))
        self.updateGeometry()
        self.update()

    @property
    def rows(self) -> list[tuple[str, float]]:
        """Labels with probabilities, as shown."""
        return list(self._rows)

    def set_current(self, label: str) -> None:
        """Mark one class as chosen without saying so to anyone."""
        self._current = label
        self.update()

    def sizeHint(self) -> QSize:
        """Return a width at which usual labels fit."""
        return QSize(220, max(1, round(self._row_height() * len(self._rows))))

    def minimumSizeHint(self) -> QSize:
        """Return the least width; long labels are shortened with an ellipsis."""
        return QSize(120, self.sizeHint().height())

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Choose the row under the mouse."""
        if event is None or event.button() != Qt.MouseButton.LeftButton:
            return
        self._choose(int(event.position().y() // self._row_height()))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Move the choice with the arrow keys."""
        if event is None:
            return
        step = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()))
        if step is None or not self._rows:
            super().keyPressEvent(event)
            return
        labels = [label for label, _ in self._rows]
        at = labels.index(self._current) if self._current in labels else 0
        self._choose(min(max(at + step, 0), len(labels) - 1))

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw a row a class: label, number, and the bar below them."""
        text, muted, marked, plain = (
            theme_color(self._theme, role) for role in ('text', 'foreground', 'current', 'primary')
        )
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        height = self._row_height()
        metrics = QFontMetricsF(self.font())
        for i, (label, probability) in enumerate(self._rows):
            is_current = label == self._current
            top = i * height
            if is_current:
                veil = QColor(marked)
                veil.setAlpha(36)
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(veil)
                painter.drawRoundedRect(QRectF(0, top + 1, self.width(), height - 2), 4, 4)
            line = QRectF(_MARGIN, top + 4, self.width() - 2 * _MARGIN, metrics.height())
            number = f'{100 * probability:.1f} %'
            room = line.width() - metrics.horizontalAdvance(number) - _MARGIN
            painter.setPen(text)
            font = self.font()
            font.setBold(is_current)
            painter.setFont(font)
            short = metrics.elidedText(label, Qt.TextElideMode.ElideRight, room)
            painter.drawText(line, Qt.AlignmentFlag.AlignLeft, short)
            painter.drawText(line, Qt.AlignmentFlag.AlignRight, number)
            track = QRectF(line.left(), line.bottom() + 3, line.width(), _BAR)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(muted)
            painter.drawRoundedRect(track, _BAR / 2, _BAR / 2)
            # At least a dot, so that an empty bar is not taken for a missing one.
            track.setWidth(max(_BAR, track.width() * probability))
            painter.setBrush(marked if is_current else plain)
            painter.drawRoundedRect(track, _BAR / 2, _BAR / 2)
        if self.hasFocus():
            painter.setPen(marked)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            frame = QRectF(0.5, 0.5, self.width() - 1, self.height() - 1)
            painter.drawRoundedRect(frame, 4, 4)
        painter.end()

    def _row_height(self) -> float:
        return QFontMetricsF(self.font()).height() + _BAR + 14

    def _choose(self, row: int) -> None:
        if 0 <= row < len(self._rows) and self._rows[row][0] != self._current:
            self._current = self._rows[row][0]
            self.update()
            self.chosen.emit(self._current)
