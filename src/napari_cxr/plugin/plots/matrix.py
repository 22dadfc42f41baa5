"""Counts by rows and columns: a confusion matrix, or classes by source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QFontMetricsF,
    QGuiApplication,
    QHelpEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from qtpy.QtWidgets import QAbstractScrollArea, QFrame, QSizePolicy, QToolTip, QWidget

from napari_cxr.plugin.plots.axes import number_text
from napari_cxr.plugin.plots.matrix_painter import MOST_ROWS, MatrixLayout, MatrixPainter

__all__ = ['Matrix']


class Matrix(QAbstractScrollArea):
    """Cells with numbers, shaded by their fraction of the row; labels stay while cells scroll.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    row_name, column_name : str
        What rows and columns are, such as 'truth' and 'predicted'.
    parent : QWidget, optional
        Qt parent.
    """

    #: Row and column of a cell that a person clicked, or chose with Return.
    chosen = Signal(int, int)

    def __init__(
        self, theme: str, row_name: str = '', column_name: str = '', parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self._names = (row_name, column_name)
        self._values = np.zeros((0, 0))
        self._rows: tuple[str, ...] = ()
        self._columns: tuple[str, ...] = ()
        self._flags = np.zeros((0, 0), bool)
        self._notes: dict[tuple[int, int], str] = {}
        self._current: tuple[int, int] | None = None
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(220)
        self.setAccessibleName(f'{row_name} by {column_name}' if row_name else 'Table')
        self._lay_out()

    # -- what is shown ------------------------------------------------------------------

    def set_values(
        self,
        values: np.ndarray,
        rows: Sequence[str],
        columns: Sequence[str],
        flags: np.ndarray | None = None,
        notes: dict[tuple[int, int], str] | None = None,
    ) -> None:
        """Show numbers.

        Parameters
        ----------
        values : ndarray, shape (r, c)
            The numbers; NaN leaves a cell empty.
        rows, columns : sequence of str
            Their labels.
        flags : ndarray of bool, shape (r, c), optional
            Cells to mark in red.
        notes : dict of (int, int) to str, optional
            A sentence for the tooltip of a cell.
        """
        values = np.asarray(values, dtype=float)
        if values.shape != (len(rows), len(columns)):
            raise ValueError(
                f'{len(rows)} rows and {len(columns)} columns are named, but the numbers have '
                f'the shape {values.shape}.'
            )
        self._values, self._rows, self._columns = values, tuple(rows), tuple(columns)
        self._flags = np.zeros(values.shape, bool) if flags is None else np.asarray(flags, bool)
        self._notes = dict(notes or {})
        if self._current is not None and not self._has(*self._current):
            self._current = None
        self._lay_out()
        self._describe()

    @property
    def values(self) -> np.ndarray:
        """The numbers, shape (r, c)."""
        return self._values.copy()

    @property
    def flags(self) -> np.ndarray:
        """Which cells are marked, shape (r, c)."""
        return self._flags.copy()

    @property
    def current(self) -> tuple[int, int] | None:
        """The cell that has the keyboard's focus."""
        return self._current

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self._theme = theme
        self._refresh()

    def cell_text(self, row: int, column: int) -> str:
        """Return a cell as a sentence."""
        value, total = self._values[row, column], np.nansum(self._values[row])
        text = f'{self._rows[row]} × {self._columns[column]}: {number_text(value)}'
        if total > 0 and np.isfinite(value):
            text += f', {100 * value / total:.0f} % of the row'
        return text + ('. ' + self._notes[row, column] if (row, column) in self._notes else '')

    def cell_box(self, row: int, column: int) -> QRectF:
        """Return where a cell is drawn, in the viewport's pixels."""
        return self._layout.cell(row, column).translated(-self._offset())

    def copy_values(self) -> None:
        """Put the table on the clipboard, with tabs."""
        lines = ['\t'.join(['', *self._columns])]
        for name, row in zip(self._rows, self._values, strict=True):
            lines.append('\t'.join([name, *(f'{v:g}' if v == v else '' for v in row)]))
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText('\n'.join(lines))

    # -- size ---------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        """Return a size at which usual tables fit."""
        return QSize(360, self.height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Give the cells the width that there is."""
        super().resizeEvent(event)
        self._lay_out()

    def changeEvent(self, event: QEvent | None) -> None:
        """Measure again where the font has changed."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.FontChange:
            self._lay_out()

    def _lay_out(self) -> None:
        across, down = self.horizontalScrollBar(), self.verticalScrollBar()
        if across is None or down is None:
            return
        texts = [number_text(v) for v in self._values[np.isfinite(self._values)]]
        metrics = QFontMetricsF(self.font())
        scrolled = len(self._rows) > MOST_ROWS
        width = self.width() - (down.sizeHint().width() if scrolled else 0)
        self._layout = layout = MatrixLayout(
            self._rows, self._columns, texts, metrics, width, any(self._names)
        )
        extra = max(0, round(layout.wanted_width - width))
        bar = across.sizeHint().height() if extra else 0
        self.setFixedHeight(round(layout.shown_height) + bar + 2)
        across.setRange(0, extra)
        across.setPageStep(self.width())
        across.setSingleStep(round(layout.cell_width))
        down.setRange(0, max(0, round(layout.whole_height - layout.shown_height)))
        down.setPageStep(round(layout.shown_height))
        down.setSingleStep(round(layout.cell_height))
        self._refresh()

    def _offset(self) -> QPointF:
        across, down = self.horizontalScrollBar(), self.verticalScrollBar()
        return QPointF(across.value() if across else 0, down.value() if down else 0)

    def _refresh(self) -> None:
        viewport = self.viewport()
        if viewport is not None:
            viewport.update()

    # -- painting -----------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw cells, then the labels that stay beside and above them."""
        viewport = self.viewport()
        if viewport is None:
            return
        painter = QPainter(viewport)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self.font())
        bounds = QRectF(viewport.rect())
        brush = MatrixPainter(painter, self._theme, self._layout, bounds, self._offset())
        brush.draw_cells(self._values, self._flags, self._current if self.hasFocus() else None)
        brush.draw_labels(self._rows, self._columns)
        if any(self._names):
            brush.draw_names(*self._names)
        painter.end()

    # -- mouse and keyboard -------------------------------------------------------------

    def viewportEvent(self, event: QEvent | None) -> bool:
        """Tell whole labels and what a cell says in a tooltip."""
        if isinstance(event, QHelpEvent):
            text = self.text_at(QPointF(event.pos()))
            if text:
                QToolTip.showText(event.globalPos(), text, self)
            else:
                QToolTip.hideText()
            return True
        return super().viewportEvent(event)

    def text_at(self, point: QPointF) -> str:
        """Return the tooltip at a point of the viewport."""
        place = self._layout.place(point, self._offset())
        if place is None:
            return ''
        row, column = place
        if row is None:
            return self._columns[column] if column is not None else ''
        return self._rows[row] if column is None else self.cell_text(row, column)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Choose a cell."""
        if event is None or event.button() != Qt.MouseButton.LeftButton:
            return
        place = self._layout.place(event.position(), self._offset())
        if place is not None and place[0] is not None and place[1] is not None:
            self._move_to(place[0], place[1])
            self.chosen.emit(place[0], place[1])

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Move with the arrow keys, choose with Return, copy with Ctrl+C."""
        if event is None or not self._values.size:
            return
        step = {
            Qt.Key.Key_Left: (0, -1),
            Qt.Key.Key_Right: (0, 1),
            Qt.Key.Key_Up: (-1, 0),
            Qt.Key.Key_Down: (1, 0),
        }.get(Qt.Key(event.key()))
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy_values()
        elif step is not None:
            if self._current is None:
                self._move_to(0, 0)
            else:
                row, column = self._current[0] + step[0], self._current[1] + step[1]
                if self._has(row, column):
                    self._move_to(row, column)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._current is not None:
            self.chosen.emit(*self._current)
        else:
            super().keyPressEvent(event)

    def _has(self, row: int, column: int) -> bool:
        return 0 <= row < len(self._rows) and 0 <= column < len(self._columns)

    def _move_to(self, row: int, column: int) -> None:
        self._current = (row, column)
        box, layout, viewport = self.cell_box(row, column), self._layout, self.viewport()
        across, down = self.horizontalScrollBar(), self.verticalScrollBar()
        if viewport is not None and across is not None and down is not None:
            right, bottom = viewport.width(), viewport.height()
            over = max(0.0, box.right() - right) + min(0.0, box.left() - layout.left)
            under = max(0.0, box.bottom() - bottom) + min(0.0, box.top() - layout.top)
            across.setValue(across.value() + round(over))
            down.setValue(down.value() + round(under))
        self._describe()
        self._refresh()

    def _describe(self) -> None:
        if self._current is not None:
            self.setAccessibleDescription(self.cell_text(*self._current))
        else:
            self.setAccessibleDescription(f'{len(self._rows)} rows, {len(self._columns)} columns')
