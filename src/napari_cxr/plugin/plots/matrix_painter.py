"""Where the labels and cells of a matrix stand, and how they are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPainter, QPen

from napari_cxr.plugin.plots.axes import number_text
from napari_cxr.plugin.plots.plot import alert_red, faint_text, quiet_text
from napari_cxr.plugin.style import theme_color

__all__ = ['MOST_ROWS', 'MatrixLayout', 'MatrixPainter']

_GAP = 6.0

#: Labels at the side take at most this fraction of the width, those above so many pixels.
_SIDE, _ABOVE = 0.36, 96.0

#: Rows that are shown without scrolling.
MOST_ROWS = 14


class MatrixLayout:
    """The geometry of a matrix, without any scrolling.

    Parameters
    ----------
    rows, columns : sequence of str
        Labels.
    texts : sequence of str
        The numbers in the cells.
    metrics : QFontMetricsF
        Of the font.
    width : float
        Pixels that there are; cells that need more are scrolled.
    named : bool
        Whether a line above says what rows and columns are.

    Attributes
    ----------
    left, top, right : float
        Where the cells begin, and where those that can be seen end.
    upright : bool
        Whether the labels of columns are written upwards, for want of width.
    cell_width, cell_height : float
        Of each cell.
    wanted_width, whole_height, shown_height : float
        Of the whole, and of what is shown without scrolling down.
    """

    def __init__(
        self,
        rows: Sequence[str],
        columns: Sequence[str],
        texts: Sequence[str],
        metrics: QFontMetricsF,
        width: float,
        named: bool,
    ) -> None:
        self._rows, self._columns = len(rows), len(columns)
        widest_row = max((metrics.horizontalAdvance(name) for name in rows), default=0.0)
        widest_column = max((metrics.horizontalAdvance(name) for name in columns), default=0.0)
        # Bold digits are wider by about a tenth.
        number = max((1.12 * metrics.horizontalAdvance(t) for t in texts), default=0.0) + 12
        self.left = min(widest_row + 6, _SIDE * width) + _GAP
        self.cell_height = metrics.height() + 8
        space = (width - self.left - 1) / max(self._columns, 1)
        self.cell_width = min(max(number, space, 30.0), max(112.0, number))
        self.upright = widest_column + 8 > self.cell_width
        if self.upright and widest_column * 0.6 + 8 <= self.cell_width:
            self.upright = False  # shortened a little reads better than upright
        label = min(widest_column + 4, _ABOVE) if self.upright else metrics.height() + 4
        self._named = metrics.height() + 2 if named else 0.0
        self.top = self._named + label + 3
        self.right = min(self.left + self._columns * self.cell_width, width)
        self.wanted_width = self.left + self._columns * self.cell_width + 1
        self.whole_height = self.top + self._rows * self.cell_height
        self.shown_height = self.top + min(self._rows, MOST_ROWS) * self.cell_height

    def cell(self, row: int, column: int) -> QRectF:
        """Return the rectangle of a cell."""
        return QRectF(
            self.left + column * self.cell_width,
            self.top + row * self.cell_height,
            self.cell_width,
            self.cell_height,
        )

    def row_label(self, row: int) -> QRectF:
        """Return the rectangle of a label at the side."""
        return QRectF(0, self.top + row * self.cell_height, self.left - _GAP, self.cell_height)

    def column_label(self, column: int) -> QRectF:
        """Return the rectangle of a label above."""
        left = self.left + column * self.cell_width
        return QRectF(left, self._named, self.cell_width, self.top - self._named - 4)

    def place(self, point: QPointF, offset: QPointF) -> tuple[int | None, int | None] | None:
        """Return row and column at a point of what is shown, scrolled by an offset.

        None stands for the labels; the whole is None where there is nothing.
        """
        row = column = None
        if point.y() >= self.top:
            row = int((point.y() + offset.y() - self.top) // self.cell_height)
        if point.x() >= self.left:
            column = int((point.x() + offset.x() - self.left) // self.cell_width)
        beyond = (row is not None and row >= self._rows) or (
            column is not None and column >= self._columns
        )
        return None if beyond or (row is None and column is None) else (row, column)


_MIDDLE = Qt.TextElideMode.ElideMiddle


class MatrixPainter:
    """Draws a matrix once.

    Parameters
    ----------
    painter : QPainter
        With the font set.
    theme : str
        Name of napari's theme.
    layout : MatrixLayout
        Where everything stands.
    bounds : QRectF
        What can be seen.
    offset : QPointF
        How far the cells are scrolled.
    """

    def __init__(
        self,
        painter: QPainter,
        theme: str,
        layout: MatrixLayout,
        bounds: QRectF,
        offset: QPointF,
    ) -> None:
        self._painter, self._theme, self._layout = painter, theme, layout
        self._bounds, self._offset = bounds, offset
        self._font = painter.font()
        self._metrics = QFontMetricsF(self._font)

    def draw_cells(
        self, values: np.ndarray, flags: np.ndarray, current: tuple[int, int] | None
    ) -> None:
        """Draw the cells that can be seen; `current` has a frame.

        Parameters
        ----------
        values : ndarray, shape (r, c)
            The numbers.
        flags : ndarray of bool, shape (r, c)
            Which are marked in red.
        current : (int, int) or None
            The cell with the keyboard's focus.
        """
        inner = self._bounds.adjusted(self._layout.left, self._layout.top, 0, 0)
        self._painter.setClipRect(inner)
        with np.errstate(invalid='ignore', divide='ignore'):
            fractions = np.nan_to_num(values / np.nansum(values, axis=1, keepdims=True))
        for (row, column), value in np.ndenumerate(values):
            box = self._layout.cell(row, column).translated(-self._offset)
            if box.intersects(inner):
                flagged = bool(flags[row, column])
                self._draw_cell(box, float(value), float(fractions[row, column]), flagged)
                if current == (row, column):
                    self._painter.setPen(QPen(theme_color(self._theme, 'text'), 1.5))
                    self._painter.setBrush(Qt.BrushStyle.NoBrush)
                    self._painter.drawRoundedRect(box.adjusted(1, 1, -1, -1), 2, 2)

    def _draw_cell(self, box: QRectF, value: float, fraction: float, flagged: bool) -> None:
        painter = self._painter
        shade = alert_red(self._theme) if flagged else theme_color(self._theme, 'current')
        ground = QColor(shade)
        ground.setAlphaF(0.2 if flagged else 0.06 + 0.7 * min(max(fraction, 0.0), 1.0))
        painter.setPen(QPen(shade, 1.5) if flagged else Qt.PenStyle.NoPen)
        painter.setBrush(ground)
        painter.drawRoundedRect(box.adjusted(1, 1, -1, -1), 2, 2)
        if not np.isfinite(value):
            return
        font = painter.font()
        font.setBold(flagged)
        painter.setFont(font)
        painter.setPen(theme_color(self._theme, 'text') if value else quiet_text(self._theme))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, number_text(value))
        painter.setFont(self._font)

    def draw_labels(self, rows: Sequence[str], columns: Sequence[str]) -> None:
        """Draw the labels at the side and above, and the line below these."""
        painter, layout, metrics = self._painter, self._layout, self._metrics
        painter.setPen(theme_color(self._theme, 'text'))
        painter.setClipRect(QRectF(0, layout.top, layout.left, self._bounds.height()))
        side = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for row, name in enumerate(rows):
            box = layout.row_label(row).translated(0, -self._offset.y())
            painter.drawText(box, side, metrics.elidedText(name, _MIDDLE, box.width()))
        painter.setClipRect(QRectF(layout.left, 0, self._bounds.width(), layout.top))
        below = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom
        for column, name in enumerate(columns):
            box = layout.column_label(column).translated(-self._offset.x(), 0)
            if layout.upright:
                self._draw_upright(box, name)
            else:
                painter.drawText(box, below, metrics.elidedText(name, _MIDDLE, box.width()))
        painter.setClipping(False)
        painter.setPen(QPen(faint_text(self._theme), 1))
        y = layout.top - 1
        painter.drawLine(QPointF(layout.left, y), QPointF(layout.right, y))

    def _draw_upright(self, box: QRectF, name: str) -> None:
        painter, metrics = self._painter, self._metrics
        painter.save()
        painter.translate(box.center().x(), box.bottom())
        painter.rotate(-90)
        short = metrics.elidedText(name, _MIDDLE, box.height())
        line = QRectF(0, -metrics.height() / 2, box.height(), metrics.height())
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, short)
        painter.restore()

    def draw_names(self, rows: str, columns: str) -> None:
        """Say above all what rows and columns are."""
        self._painter.setPen(quiet_text(self._theme))
        line = QRectF(2, 0, self._bounds.width() - 2, self._metrics.height())
        self._painter.drawText(line, Qt.AlignmentFlag.AlignLeft, f'{rows} ↓   {columns} →')
