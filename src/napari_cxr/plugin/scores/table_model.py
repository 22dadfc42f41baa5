"""The table of scores as Qt sees it: the lines that are shown, and what their cells say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

from napari_cxr.plugin.scores.columns import PICTURE, Column, columns_of
from napari_cxr.plugin.scores.order import Arrivals, Order
from napari_cxr.plugin.scores.rows import ScoreRows
from napari_cxr.scoring import Row
from napari_cxr.scoring.row import Run

__all__ = ['ScoreModel']

_SORTING = 'Click to sort; right-click to choose columns.'
_NO_RUN = Run('', '', (), {}, '')


class ScoreModel(QAbstractTableModel):
    """Lines in the order in which they are shown: sorting and filtering need no proxy.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.start(_NO_RUN)

    def start(self, run: Run) -> None:
        """Forget all rows; those of another run will come."""
        self.beginResetModel()
        self.rows = ScoreRows(run)
        self.order = Order(self.rows)
        self.columns: tuple[Column, ...] = columns_of(run)
        self.endResetModel()

    def column_of(self, key: str) -> int | None:
        """Return where a column stands among all; None if there is none of that key."""
        return next((i for i, column in enumerate(self.columns) if column.key == key), None)

    def row_at(self, line: int) -> Row:
        """Return the row in a line."""
        return self.rows.rows[self.order.shown[line]]

    def place_at(self, line: int) -> int:
        """Return the place among all rows of that in a line."""
        return int(self.order.shown[line])

    def insert(self, arrivals: Arrivals, parts: Sequence[slice]) -> None:
        """Show new rows, the last part first."""
        for part in parts:
            first, many = int(arrivals.at[part.start]), part.stop - part.start
            self.beginInsertRows(QModelIndex(), first, first + many - 1)
            self.order.insert(arrivals, part)
            self.endInsertRows()

    def repaint(self, places: Sequence[int]) -> None:
        """Say that what is known of some rows has changed."""
        for place in places:
            line = self.order.line_of(place)
            if line is not None:
                last = len(self.columns) - 1
                self.dataChanged.emit(self.index(line, 0), self.index(line, last))

    def turned(self, section: int) -> tuple[str, bool] | None:
        """Return what a click on a title sorts by: it, the other way round, then not at all.

        None where there is nothing to sort by, as with pictures.
        """
        column, order = self.columns[section], self.order
        if column.key == PICTURE:
            return None
        first = column.is_number and column.key != 'number'  # figures begin with the largest
        if order.column != column.key:
            return column.key, first
        return (column.key, not first) if order.descending is first else ('number', False)

    # -- Qt's side ----------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of lines."""
        return 0 if parent is not None and parent.isValid() else len(self.order.shown)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns, hidden ones too."""
        return 0 if parent is not None and parent.isValid() else len(self.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        """Return a column's title with an arrow where it is sorted by; what it is about."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self.columns):
            return None
        column = self.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            # A list that is in its own order needs no arrow.
            mine = column.key == self.order.column
            if not mine or (column.key == 'number' and not self.order.descending):
                return column.title
            return f'{column.title} {"▾" if self.order.descending else "▴"}'
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.about if column.key == PICTURE else f'{column.about} {_SORTING}'
        if role == Qt.ItemDataRole.TextAlignmentRole:
            right = column.is_number and column.kind not in ('bar', 'warnings')
            side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return column.title or 'Picture'
        if role == Qt.ItemDataRole.AccessibleDescriptionRole:
            return column.about
        return None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Return what a cell says."""
        if not index.isValid() or index.row() >= len(self.order.shown):
            return None
        column, place = self.columns[index.column()], self.place_at(index.row())
        if role == Qt.ItemDataRole.DisplayRole:
            return column.text(self.rows, place)
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.tip(self.rows, place) or None
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f'{column.title or "Picture"}: {column.text(self.rows, place) or "nothing"}'
        if role == Qt.ItemDataRole.AccessibleDescriptionRole:
            return column.tip(self.rows, place)
        return None
