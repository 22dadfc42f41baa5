"""The Qt model of the score table, and a queue of new rows.

The queue keeps the window responsive however many rows arrive, and a selection of a hundred
thousand rows is handled as a few ranges.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QModelIndex,
    QObject,
    Qt,
    QTimer,
    Signal,
)

from napari_cxr.plugin.score_table.score_columns import PICTURE, ScoreColumn, columns_for_run
from napari_cxr.plugin.score_table.score_rows import ScoreRows
from napari_cxr.plugin.score_table.sort_filter import NewRows, RowOrder
from napari_cxr.plugin.widgets.text import plain_tip
from napari_cxr.scoring import ScoreRow
from napari_cxr.scoring.score_row import ScoringRun

__all__ = ['RowQueue', 'ScoreTableModel', 'lines_of_selection', 'selection_of_rows']

_SORTING = 'Click to sort; right-click to choose columns.'

_NO_RUN = ScoringRun('', '', (), {}, '')


class ScoreTableModel(QAbstractTableModel):
    """Rows as they are sorted and filtered, without a proxy model.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.start(_NO_RUN)

    def start(self, run: ScoringRun) -> None:
        """Remove all rows, before those of another run."""
        self.beginResetModel()
        self.rows = ScoreRows(run)
        self.order = RowOrder(self.rows)
        self.columns: tuple[ScoreColumn, ...] = columns_for_run(run)
        self.endResetModel()

    def column_of(self, key: str) -> int | None:
        """Return the index of a column; None if there is none with that key."""
        return next((i for i, column in enumerate(self.columns) if column.key == key), None)

    def row_at(self, line: int) -> ScoreRow:
        """Return the row in a line."""
        return self.rows.rows[self.order.shown[line]]

    def place_at(self, line: int) -> int:
        """Return the index, among all rows, of the row in a line."""
        return int(self.order.shown[line])

    def insert(self, arrivals: NewRows, parts: Sequence[slice]) -> None:
        """Insert new rows, the last part first."""
        for part in parts:
            first, many = int(arrivals.at[part.start]), part.stop - part.start
            self.beginInsertRows(QModelIndex(), first, first + many - 1)
            self.order.insert(arrivals, part)
            self.endInsertRows()

    def repaint(self, places: Sequence[int]) -> None:
        """Signal that some rows have changed."""
        for place in places:
            line = self.order.line_of(place)
            if line is not None:
                last = len(self.columns) - 1
                self.dataChanged.emit(self.index(line, 0), self.index(line, last))

    def sorting_after_click(self, section: int) -> tuple[str, bool] | None:
        """Return the key and direction after a click on a title: two directions, then unsorted.

        None for a column that cannot be sorted, that of thumbnails.
        """
        column, order = self.columns[section], self.order
        if column.key == PICTURE:
            return None
        first = column.is_number and column.key != 'number'  # numbers start with the largest
        if order.column != column.key:
            return column.key, first
        return (column.key, not first) if order.descending is first else ('number', False)

    # -- Qt methods -----------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of lines."""
        return 0 if parent is not None and parent.isValid() else len(self.order.shown)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns, including hidden ones."""
        return 0 if parent is not None and parent.isValid() else len(self.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        """Return the title of a column, with an arrow if rows are sorted by it, or its tooltip."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self.columns):
            return None
        column = self.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            # The order of the files needs no arrow.
            mine = column.key == self.order.column
            if not mine or (column.key == 'number' and not self.order.descending):
                return column.title
            return f'{column.title} {"▾" if self.order.descending else "▴"}'
        if role == Qt.ItemDataRole.ToolTipRole:
            about = column.about if column.key == PICTURE else f'{column.about} {_SORTING}'
            return plain_tip(about)
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
        """Return the text of a cell, or its tooltip."""
        if not index.isValid() or index.row() >= len(self.order.shown):
            return None
        column, place = self.columns[index.column()], self.place_at(index.row())
        if role == Qt.ItemDataRole.DisplayRole:
            return column.text(self.rows, place)
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(column.tip(self.rows, place) or '') or None
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f'{column.title or "Picture"}: {column.text(self.rows, place) or "nothing"}'
        if role == Qt.ItemDataRole.AccessibleDescriptionRole:
            return column.tip(self.rows, place)
        return None


#: Milliseconds between two updates of the view, and between two chunks of new rows.
_SHOWING, _TAKING = 250, 5

#: Seconds for which adding rows may block the window, and number of rows in a chunk.
_PATIENCE, _CHUNK = 0.012, 200


class RowQueue(QObject):
    """Adds rows to the model in chunks, and signals when to show them.

    Parameters
    ----------
    model : ScoreTableModel
        The model.
    parent : QObject, optional
        Qt parent.
    """

    #: There are rows to show.
    due = Signal()

    def __init__(self, model: ScoreTableModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._waiting: deque[ScoreRow] = deque()
        self._taking, self._showing = QTimer(self), QTimer(self)
        for timer, slot in ((self._taking, self._take), (self._showing, self.due.emit)):
            timer.setSingleShot(True)
            timer.timeout.connect(slot)
        self._taking.setInterval(_TAKING)

    @property
    def busy(self) -> bool:
        """Whether rows are waiting."""
        return bool(self._waiting)

    @property
    def waiting(self) -> list[ScoreRow]:
        """Rows that are not in the model yet."""
        return list(self._waiting)

    def add(self, rows: Sequence[ScoreRow]) -> None:
        """Add rows; returns at once."""
        self._waiting.extend(rows)
        if self._waiting and not self._taking.isActive():
            self._taking.start()

    def clear(self) -> None:
        """Drop the waiting rows."""
        self._waiting.clear()
        self._taking.stop()
        self._showing.stop()

    def _take(self) -> None:
        start = perf_counter()
        while self._waiting and perf_counter() - start < _PATIENCE:
            some = [self._waiting.popleft() for _ in range(min(_CHUNK, len(self._waiting)))]
            self._model.repaint(self._model.rows.append(some))
        if self._waiting:
            self._taking.start()
        if not self._showing.isActive():
            self._showing.start(_SHOWING if self._model.rowCount() else 0)


#: Selecting more ranges than this takes too long.
_MOST = 2000


def lines_of_selection(selection: QItemSelection) -> list[int]:
    """Return the lines of a selection, from the top."""
    lines: set[int] = set()
    for i in range(len(selection)):
        lines.update(range(selection[i].top(), selection[i].bottom() + 1))
    return sorted(lines)


def selection_of_rows(places: np.ndarray, model: ScoreTableModel) -> QItemSelection:
    """Return rows as a selection of as few ranges of lines as possible.

    Parameters
    ----------
    places : ndarray of int, shape (n,)
        Indices among all rows; those that are not shown are left out.
    model : ScoreTableModel
        The model.

    Returns
    -------
    QItemSelection
        Empty if there are too many ranges.
    """
    found, held = QItemSelection(), np.zeros(len(model.rows), dtype=bool)
    held[places] = True
    lines = np.flatnonzero(held[model.order.shown])
    cuts = np.flatnonzero(np.diff(lines) > 1) + 1
    if len(lines) and len(cuts) < _MOST:
        last = len(model.columns) - 1
        for part in np.split(lines, cuts):
            found.select(model.index(int(part[0]), 0), model.index(int(part[-1]), last))
    return found
