"""The rows of the table of runs, and the proxy that sorts and filters them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QSortFilterProxyModel,
    Qt,
)

from napari_cxr.plugin.runs.columns import COLUMNS, RunRow, sort_key

__all__ = ['RunsModel', 'RunsProxy']

_LEFT = ('run', 'status', 'input_shape', 'activation_output', 'optimizer', 'recipe', 'network')


class RunsModel(QAbstractTableModel):
    """The rows as they are known, in the order in which they came.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[RunRow] = []
        self._keys: list[tuple[tuple[Any, ...] | None, ...]] = []
        self._places: dict[str, int] = {}

    @property
    def rows(self) -> list[RunRow]:
        """All of them."""
        return list(self._rows)

    def row(self, number: int) -> RunRow:
        """Return one."""
        return self._rows[number]

    def key(self, row: int, column: int) -> tuple[Any, ...] | None:
        """Return what a cell is sorted by, see `sort_key`."""
        return self._keys[row][column]

    def set_rows(self, rows: Sequence[RunRow]) -> None:
        """Show these instead."""
        self.beginResetModel()
        self._rows = list(rows)
        self._keys = [_keys(row) for row in rows]
        self._places = {row.name: i for i, row in enumerate(rows)}
        self.endResetModel()

    def add_row(self, row: RunRow) -> None:
        """Add a run, or take what is new of one that is there."""
        place = self._places.get(row.name)
        if place is not None:
            self._rows[place], self._keys[place] = row, _keys(row)
            self.dataChanged.emit(self.index(place, 0), self.index(place, len(COLUMNS) - 1))
            return
        place = len(self._rows)
        self.beginInsertRows(QModelIndex(), place, place)
        self._rows.append(row)
        self._keys.append(_keys(row))
        self._places[row.name] = place
        self.endInsertRows()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Return the number of runs."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Return the number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return a column's title, its explanation as tooltip, or how it is aligned."""
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section].title
        if role == Qt.ItemDataRole.ToolTipRole:
            return f'{COLUMNS[section].about} Click to sort; right-click to choose columns.'
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(section)
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text of a cell, the whole of it as tooltip, or how it is aligned."""
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(index.column())
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return None
        column = COLUMNS[index.column()]
        if self._keys[index.row()][index.column()] is None:
            return '–' if role == Qt.ItemDataRole.DisplayRole else 'Not known'
        value = self._rows[index.row()].values[column.key]
        text = column.text(value)
        if role == Qt.ItemDataRole.DisplayRole:
            return text
        return f'{self._rows[index.row()].name}: {column.title} {text}'


class RunsProxy(QSortFilterProxyModel):
    """Sorts by any column, what is not known always last; shows rows with all words.

    Parameters
    ----------
    model : RunsModel
        What it sorts.
    parent : QObject, optional
        Qt parent.
    """

    def __init__(self, model: RunsModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._words: list[str] = []
        self.setSourceModel(model)

    def set_filter(self, text: str) -> None:
        """Show the rows that hold each of these words in any column."""
        self._words = text.casefold().split()
        self.invalidate()

    def row_at(self, row: int) -> RunRow:
        """Return the run in a line of the table as it is sorted."""
        return self._model.row(self.mapToSource(self.index(row, 0)).row())

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return what the model says, with an arrow where the rows are sorted by it."""
        found = super().headerData(section, orientation, role)
        if role != Qt.ItemDataRole.DisplayRole or section != self.sortColumn():
            return found
        return f'{found} {"▾" if self.sortOrder() == Qt.SortOrder.DescendingOrder else "▴"}'

    def filterAcceptsRow(self, source_row: int, source_parent: QModelIndex) -> bool:
        """Return whether a row holds all words."""
        words = self._model.row(source_row).words
        return all(word in words for word in self._words)

    def lessThan(self, left: QModelIndex, right: QModelIndex) -> bool:
        """Return whether one cell stands before another in rising order."""
        one = self._model.key(left.row(), left.column())
        other = self._model.key(right.row(), right.column())
        if one is None or other is None:
            # Where values fall, Qt asks the other way round.
            falling = self.sortOrder() == Qt.SortOrder.DescendingOrder
            return (one is None) is not (other is None) and (one is None) is falling
        return one < other


def _keys(row: RunRow) -> tuple[tuple[Any, ...] | None, ...]:
    return tuple(sort_key(row.values.get(column.key)) for column in COLUMNS)


def _alignment(column: int) -> Qt.AlignmentFlag:
    left = COLUMNS[column].key in _LEFT
    side = Qt.AlignmentFlag.AlignLeft if left else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter
