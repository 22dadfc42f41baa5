"""Where the labels and cells of a matrix stand."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QPointF, QRectF
from qtpy.QtGui import QFontMetricsF

__all__ = ['MOST_ROWS', 'MatrixLayout']

_GAP = 6.0
#: Labels at the side take at most this share of the width, those above so many pixels.
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
        # Bold figures are wider by about a tenth.
        number = max((1.12 * metrics.horizontalAdvance(t) for t in texts), default=0.0) + 12
        self.left = min(widest_row + 6, _SIDE * width) + _GAP
        self.cell_height = metrics.height() + 8
        room = (width - self.left - 1) / max(self._columns, 1)
        self.cell_width = min(max(number, room, 30.0), max(112.0, number))
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
