"""All filters of a stage as small squares: how active they are, and which are dead."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QEvent, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_cxr.plugin.theme import theme_color

__all__ = ['FilterStrip']

#: Side of a square with its gap, in pixels: small for many filters, large for few.
_SMALL, _LARGE, _FEW = 8, 14, 128


class FilterStrip(QWidget):
    """Squares in the order of the stack; a click or the arrow keys choose one.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: The place in the stack that a person chose.
    chosen = Signal(int)

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._filters = np.zeros(0, dtype=int)
        self._activity = np.zeros(0)
        self._dead = np.zeros(0, dtype=bool)
        self._current = 0
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName('Filters of the stage')

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self._theme = theme
        self.update()

    def set_filters(self, filters: np.ndarray, activity: np.ndarray, dead: np.ndarray) -> None:
        """Show the filters in the order of the stack.

        Parameters
        ----------
        filters : ndarray of int, shape (C,)
            The number of the filter at each place.
        activity : ndarray, shape (C,)
            How active each place's filter is, at least 0.
        dead : ndarray of bool, shape (C,)
            Whether it is dead.
        """
        self._filters, self._activity, self._dead = filters, activity, dead
        self.setAccessibleDescription(f'{len(filters)} filters, {int(dead.sum())} of them dead')
        self.updateGeometry()
        self.update()

    def set_current(self, place: int) -> None:
        """Mark one place without saying so to anyone."""
        self._current = place
        self.update()

    def words(self, place: int) -> str:
        """Return what there is to say about the filter at a place of the stack."""
        state = 'dead' if self._dead[place] else f'mean activity {self._activity[place]:.3g}'
        return f'Filter {self._filters[place]} · {state}'

    def place_at(self, x: float, y: float) -> int | None:
        """Return the place in the stack that is drawn at a point, or None."""
        column, row = int(x // self._side), int(y // self._side)
        place = row * self._columns(self.width()) + column
        inside = 0 <= column < self._columns(self.width()) and 0 <= place < len(self._filters)
        return place if inside else None

    def hasHeightForWidth(self) -> bool:
        """Return that the height follows from the width."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Return the height at which all squares fit."""
        rows = -(-len(self._filters) // self._columns(width))
        return max(1, rows * self._side)

    def sizeHint(self) -> QSize:
        """Return a size at which all squares fit."""
        return QSize(256, self.heightForWidth(256))

    def minimumSizeHint(self) -> QSize:
        """Return the least width, with the height that the present width needs."""
        return QSize(120, self.heightForWidth(max(self.width(), 120)))

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Choose the filter under the mouse."""
        if event is None or event.button() != Qt.MouseButton.LeftButton:
            return
        place = self.place_at(event.position().x(), event.position().y())
        if place is not None:
            self._choose(place)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Move the choice with the arrow keys."""
        if event is None:
            return
        line = self._columns(self.width())
        step = {
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_Up: -line,
            Qt.Key.Key_Down: line,
        }.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
        elif 0 <= self._current + step < len(self._filters):
            self._choose(self._current + step)

    def event(self, event: QEvent | None) -> bool:
        """Tell the number and activity of the filter under the mouse."""
        if isinstance(event, QHelpEvent):
            place = self.place_at(event.pos().x(), event.pos().y())
            if place is not None:
                QToolTip.showText(event.globalPos(), self.words(place), self)
                return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw a square a filter: the stronger, the more active; crossed out if dead."""
        empty, full, dead, around = (
            theme_color(self._theme, role)
            for role in ('foreground', 'text', 'error', 'background')
        )
        painter = QPainter(self)
        columns, side = self._columns(self.width()), self._side
        strongest = max(float(self._activity.max(initial=0)), 1e-12)
        for place in range(len(self._filters)):
            row, column = divmod(place, columns)
            square = QRectF(column * side, row * side, side - 1, side - 1)
            share = float(self._activity[place] / strongest)
            painter.fillRect(square, empty if self._dead[place] else _mixed(empty, full, share))
            if self._dead[place]:
                painter.setPen(QPen(dead, 1.5))
                painter.drawLine(square.topLeft(), square.bottomRight())
                painter.drawLine(square.topRight(), square.bottomLeft())
        if len(self._filters):
            row, column = divmod(self._current, columns)
            square = QRectF(column * side, row * side, side - 1, side - 1)
            painter.setPen(QPen(full, 2))
            painter.drawRect(square)
            painter.setPen(QPen(around, 1))  # so that it shows on a full square as well
            painter.drawRect(square.adjusted(1.5, 1.5, -1.5, -1.5))
        painter.end()

    @property
    def _side(self) -> int:
        return _LARGE if len(self._filters) <= _FEW else _SMALL

    def _columns(self, width: int) -> int:
        return max(1, width // self._side)

    def _choose(self, place: int) -> None:
        self.set_current(place)
        self.chosen.emit(place)


def _mixed(first: QColor, second: QColor, share: float) -> QColor:
    """Return a colour between two, `share` of the way to the second."""
    parts = [
        round((1 - share) * a + share * b)
        for a, b in zip(first.getRgb()[:3], second.getRgb()[:3], strict=True)
    ]
    return QColor(*parts)
