"""What the Feature maps dock says about a stage: filters as squares, their order, dead ones.

Also the list of a network's stages to choose from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from qtpy.QtCore import QEvent, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QSizePolicy,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.explain.feature_maps import FeatureMaps
from napari_cxr.plugin.style import quiet_label, theme_color
from napari_cxr.plugin.widgets.text import PlainLabel

__all__ = ['FilterActivityStrip', 'FiltersView', 'StageComboBox']

#: Side of a square with its gap, in pixels: small for many filters, large for few.
_SMALL, _LARGE, _FEW = 8, 14, 128


class FilterActivityStrip(QWidget):
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
        """Mark one place, without a signal."""
        self._current = place
        self.update()

    def text_of(self, place: int) -> str:
        """Return number and activity of the filter at a place of the stack."""
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
        """Show number and activity of the filter under the mouse."""
        if isinstance(event, QHelpEvent):
            place = self.place_at(event.pos().x(), event.pos().y())
            if place is not None:
                QToolTip.showText(event.globalPos(), self.text_of(place), self)
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
            fraction = float(self._activity[place] / strongest)
            painter.fillRect(
                square, empty if self._dead[place] else _mixed_colour(empty, full, fraction)
            )
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


def _mixed_colour(first: QColor, second: QColor, fraction: float) -> QColor:
    """Return a colour between two, at a fraction of the distance from first to second."""
    parts = [
        round((1 - fraction) * a + fraction * b)
        for a, b in zip(first.getRgb()[:3], second.getRgb()[:3], strict=True)
    ]
    return QColor(*parts)


class StageComboBox(QComboBox):
    """Stages, first to last, with the number and size of their maps; off while empty."""

    def __init__(self) -> None:
        super().__init__()
        self.setToolTip(
            'The stage of the network, first to last: how many filters it has, and into how '
            'many cells it divides the image'
        )
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.setEnabled(False)

    @property
    def current(self) -> str:
        """Name of the chosen stage; empty if there is none."""
        return cast(str, self.currentData() or '')

    def show_stages(self, shapes: Sequence[tuple[str, int, int, int]]) -> None:
        """List stages, the last one chosen.

        Parameters
        ----------
        shapes : sequence of (str, int, int, int)
            Name, filters, rows and columns of each.
        """
        self.clear()
        for name, filters, rows, columns in shapes:
            self.addItem(f'{name} · {filters} × {columns} × {rows}', name)
        self.setCurrentIndex(self.count() - 1)
        self.setEnabled(bool(shapes))


#: Dead filters that are listed by number; the strip marks them all.
_LISTED = 24


class FiltersView(QWidget):
    """Summary, order, strip and the dead filters by number.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    """

    #: The person chose a filter by its place in the stack.
    chosen = Signal(int)
    #: The person asked for another order of the stack.
    order_changed = Signal()

    def __init__(self, theme: str) -> None:
        super().__init__()
        self._order = np.zeros(0, dtype=int)
        self.summary = PlainLabel()
        self.summary.setWordWrap(True)
        self.place_note = PlainLabel()
        self.place_note.setWordWrap(True)
        self.place_note.setObjectName('caution')
        self.sort = QCheckBox('Most active first')
        self.sort.setToolTip(
            'Order the filters by the mean size of their output on this image, '
            'instead of by their number'
        )
        self.strip = FilterActivityStrip(theme)
        self.strip.setToolTip(
            'A square a filter: the stronger, the more active; crossed out where dead. '
            'Click one to see its map.'
        )
        self.current = quiet_label()
        self.dead = quiet_label()
        self.dead.setTextFormat(Qt.TextFormat.RichText)  # links, of numbers alone
        self.dead.setOpenExternalLinks(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for widget in (
            self.summary,
            self.place_note,
            self.sort,
            self.strip,
            self.current,
            self.dead,
        ):
            layout.addWidget(widget)
        self.strip.chosen.connect(self.chosen)
        self.sort.toggled.connect(self.order_changed)
        self.dead.linkActivated.connect(self._choose_filter)

    def order(self, maps: FeatureMaps) -> np.ndarray:
        """Return the filters' numbers in the order that the person wants, shape (C,)."""
        if self.sort.isChecked():
            # Stable, so that equals, such as dead ones, stay in the order of their numbers.
            return np.argsort(-maps.activity(), kind='stable')
        return np.arange(len(maps.values))

    def show_maps(self, maps: FeatureMaps, dead: np.ndarray, everywhere: int, images: int) -> None:
        """Show the filters of maps.

        Parameters
        ----------
        maps : FeatureMaps
            Of the chosen image.
        dead : ndarray of bool, shape (C,)
            Which filters are dead on it.
        everywhere, images : int
            How many are dead on all images that were tried with this stage, and how many
            images these are.
        """
        self._order = self.order(maps)
        filters, rows, columns = maps.values.shape
        numbers = np.flatnonzero(dead)
        sentences = [f'{filters} filters with maps of {columns} x {rows} cells.']
        if len(numbers):
            sentences.append(
                f'{len(numbers)} dead on this image: their output is the same everywhere.'
            )
        else:
            sentences.append('No filter is dead on this image.')
        if images > 1:
            sentences.append(
                f'{everywhere or "None"} dead on all {images} images that were tried.'
            )
        self.summary.setText(' '.join(sentences))
        self.place_note.setText(
            'The receptive fields of this stage cannot be computed, so its cells are spread '
            f'evenly. {maps.untraceable}'
        )
        self.place_note.setVisible(bool(maps.untraceable))
        self.strip.set_filters(self._order, maps.activity()[self._order], dead[self._order])
        links = ', '.join(f'<a href="{n}">{n}</a>' for n in numbers[:_LISTED])
        more = f' and {len(numbers) - _LISTED} more' if len(numbers) > _LISTED else ''
        self.dead.setText(f'Dead: {links}{more}')
        self.dead.setVisible(len(numbers) > 0)

    def set_current(self, place: int) -> None:
        """Mark the filter whose map is on screen, by its place in the stack."""
        if 0 <= place < len(self._order):
            self.strip.set_current(place)
            self.current.setText(self.strip.text_of(place))

    def place_of(self, number: int) -> int:
        """Return the place in the stack of the filter of that number."""
        return int(np.flatnonzero(self._order == number)[0])

    def number_at(self, place: int) -> int:
        """Return the number of the filter at a place of the stack."""
        return int(self._order[place])

    def _choose_filter(self, number: str) -> None:
        self.chosen.emit(self.place_of(int(number)))
