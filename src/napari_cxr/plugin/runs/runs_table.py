"""The table of runs: its columns and rows, the proxy that sorts and filters them, and the view."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QPoint,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtGui import QAction, QKeyEvent
from qtpy.QtWidgets import QMenu, QTableView, QWidget

from napari_cxr.plugin.style import style_plain_table
from napari_cxr.plugin.widgets.text import duration_text

__all__ = [
    'RUN_TABLE_COLUMNS',
    'RunColumn',
    'RunRow',
    'RunsProxy',
    'RunsTableModel',
    'RunsTableView',
    'sort_key',
]


@dataclass(frozen=True)
class RunColumn:
    """One column.

    Parameters
    ----------
    key : str
        Its name in the rows of `napari_cxr.training.run_table`.
    title : str
        What stands above it.
    about : str
        One sentence that explains it.
    text : callable
        From a value that is known to what is shown.
    """

    key: str
    title: str
    about: str
    text: Callable[[Any], str] = str


@dataclass(frozen=True, eq=False)
class RunRow:
    """A run in the table.

    Parameters
    ----------
    values : dict
        By the keys of the columns; None or missing where nothing is known.
    path : Path
        The run's folder.
    has_model : bool
        Whether it has kept a model that can be used.
    """

    values: dict[str, Any]
    path: Path
    has_model: bool = False
    words: str = field(init=False)

    def __post_init__(self) -> None:
        texts = (str(value) for value in self.values.values() if value is not None)
        object.__setattr__(self, 'words', ' '.join(texts).casefold())

    @property
    def name(self) -> str:
        """What the run is called."""
        return str(self.values.get('run', ''))


def _four_decimals(value: Any) -> str:
    return f'{value:.4f}' if isinstance(value, float) else str(value)


def _count_text(value: Any) -> str:
    return f'{value:,}' if isinstance(value, int) else str(value)


def _minutes_text(value: Any) -> str:
    return duration_text(60 * value) if isinstance(value, int | float) else str(value)


def _two_decimals(value: Any) -> str:
    return f'{value:.2f}' if isinstance(value, int | float) else str(value)


def _rate_text(value: Any) -> str:
    return f'{value:g}' if isinstance(value, int | float) else str(value)


#: In the order in which they are read: which run, how good, then as Lopes et al. printed them.
RUN_TABLE_COLUMNS = (
    RunColumn('run', 'Run', 'The folder of the run.'),
    RunColumn('val_auc', 'Val. AUC', 'Macro AUC on the validation images.', _four_decimals),
    RunColumn('status', 'Status', 'Whether it is running, finished, stopped or failed.'),
    RunColumn('execution_time', 'Time', 'How long all epochs took.', _minutes_text),
    RunColumn(
        'minutes_per_epoch', 'Min/epoch', 'Minutes that an epoch took on average.', _two_decimals
    ),
    RunColumn(
        'acc', 'Accuracy', 'Accuracy on the training images, in the epoch kept.', _four_decimals
    ),
    RunColumn('val_acc', 'Val. acc.', 'Accuracy on the validation images.', _four_decimals),
    RunColumn(
        'auc', 'AUC', 'Macro AUC on the training images, in the epoch kept.', _four_decimals
    ),
    RunColumn('loss', 'Loss', 'Loss on the training images, in the epoch kept.', _four_decimals),
    RunColumn('val_loss', 'Val. loss', 'Loss on the validation images.', _four_decimals),
    RunColumn('input_shape', 'Input', 'Height, width and channels of what the network sees.'),
    RunColumn('filter', 'Kernel', 'Side of the kernel that most convolutions have, in pixels.'),
    RunColumn('batch', 'Batch', 'Images a step.'),
    RunColumn('activation_output', 'Output', 'Softmax over all classes, or a sigmoid for each.'),
    RunColumn('epochs', 'Epochs', 'Passes over the training images that were done.'),
    RunColumn('optimizer', 'Optimiser', 'How the weights followed the gradients.'),
    RunColumn('lr', 'Learning rate', 'The highest rate of the schedule.', _rate_text),
    RunColumn('recipe', 'Recipe', 'The settings that it was trained with.'),
    RunColumn('network', 'Network', 'The network that was trained.'),
    RunColumn('depth', 'Depth', 'Layers with weights.'),
    RunColumn('parameters', 'Parameters', 'Numbers that make up the network.', _count_text),
    RunColumn('trainable', 'Trainable', 'Of these, the numbers that could learn.', _count_text),
    RunColumn('tp', 'TP', 'Test images with the disease that were called so.', _count_text),
    RunColumn(
        'fp', 'FP', 'Test images without the disease that were called diseased.', _count_text
    ),
    RunColumn('tn', 'TN', 'Test images without the disease that were called so.', _count_text),
    RunColumn('fn', 'FN', 'Test images with the disease that were missed.', _count_text),
)


def sort_key(value: Any) -> tuple[Any, ...] | None:
    """Return what a value is sorted by; None for one that is not known.

    Numbers come before texts; numbers within texts count as numbers, so that 'run-2'
    stands before 'run-10'.
    """
    if value is None or value == '' or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, int | float):
        return (0, value)
    parts = re.split(r'(\d+)', str(value).casefold())
    return (1, *((int(part), '') if part.isdigit() else (-1, part) for part in parts))


_LEFT_ALIGNED = (
    'run',
    'status',
    'input_shape',
    'activation_output',
    'optimizer',
    'recipe',
    'network',
)


class RunsTableModel(QAbstractTableModel):
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
        self._keys = [_sort_keys(row) for row in rows]
        self._places = {row.name: i for i, row in enumerate(rows)}
        self.endResetModel()

    def add_row(self, row: RunRow) -> None:
        """Add a run, or take what is new of one that is there."""
        place = self._places.get(row.name)
        if place is not None:
            self._rows[place], self._keys[place] = row, _sort_keys(row)
            self.dataChanged.emit(
                self.index(place, 0), self.index(place, len(RUN_TABLE_COLUMNS) - 1)
            )
            return
        place = len(self._rows)
        self.beginInsertRows(QModelIndex(), place, place)
        self._rows.append(row)
        self._keys.append(_sort_keys(row))
        self._places[row.name] = place
        self.endInsertRows()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Return the number of runs."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Return the number of columns."""
        return 0 if parent.isValid() else len(RUN_TABLE_COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return a column's title, its explanation as tooltip, or how it is aligned."""
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return RUN_TABLE_COLUMNS[section].title
        if role == Qt.ItemDataRole.ToolTipRole:
            return (
                f'{RUN_TABLE_COLUMNS[section].about} Click to sort; right-click to choose columns.'
            )
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(section)
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text of a cell, the whole of it as tooltip, or how it is aligned."""
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(index.column())
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return None
        column = RUN_TABLE_COLUMNS[index.column()]
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

    def __init__(self, model: RunsTableModel, parent: QObject | None = None) -> None:
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


def _sort_keys(row: RunRow) -> tuple[tuple[Any, ...] | None, ...]:
    return tuple(sort_key(row.values.get(column.key)) for column in RUN_TABLE_COLUMNS)


def _alignment(column: int) -> Qt.AlignmentFlag:
    left = RUN_TABLE_COLUMNS[column].key in _LEFT_ALIGNED
    side = Qt.AlignmentFlag.AlignLeft if left else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter


class RunsTableView(QTableView):
    """The table; columns can be sorted, moved and hidden.

    Parameters
    ----------
    proxy : RunsProxy
        What it shows.
    parent : QWidget, optional
        Qt parent.
    """

    #: Other runs are selected, or what is known of them has changed.
    selected = Signal()
    #: The person wants to see a run: return, or a double click.
    opened = Signal()
    #: Other columns are hidden.
    columns_changed = Signal()

    def __init__(self, proxy: RunsProxy, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.proxy = proxy
        self.setModel(proxy)
        self.setSortingEnabled(True)
        across = style_plain_table(self, 'Training runs', several=True)
        # napari's arrow lies on the title; the proxy writes one beside it.
        self.setStyleSheet(
            'QTableView::item { padding: 0 5px; } QHeaderView::section { padding: 2px 5px; }'
            'QHeaderView::up-arrow, QHeaderView::down-arrow { image: none; width: 0; }'
        )
        chosen = self.selectionModel()
        assert chosen is not None
        across.setSectionsMovable(True)
        across.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        across.customContextMenuRequested.connect(self._offer_columns)
        self.fit_columns()
        best = [column.key for column in RUN_TABLE_COLUMNS].index('val_auc')
        self.sortByColumn(best, Qt.SortOrder.DescendingOrder)
        chosen.selectionChanged.connect(self.selected)
        self.doubleClicked.connect(self.opened)

    @property
    def runs(self) -> list[RunRow]:
        """The runs that are selected, from the top."""
        chosen = self.selectionModel()
        assert chosen is not None
        rows = sorted(index.row() for index in chosen.selectedRows())
        return [self.proxy.row_at(row) for row in rows]

    def select_named(self, names: Collection[str]) -> None:
        """Select the runs of these names, where they are on show."""
        chosen = self.selectionModel()
        assert chosen is not None
        flags = QItemSelectionModel.SelectionFlag
        for row in range(self.proxy.rowCount()):
            if self.proxy.row_at(row).name in names:
                chosen.select(self.proxy.index(row, 0), flags.Select | flags.Rows)

    @property
    def hidden(self) -> list[str]:
        """Keys of the columns that are not shown."""
        return [c.key for i, c in enumerate(RUN_TABLE_COLUMNS) if self.isColumnHidden(i)]

    def hide_columns(self, keys: Sequence[str]) -> None:
        """Show all columns but these; the first always stays."""
        for i, column in enumerate(RUN_TABLE_COLUMNS):
            self.setColumnHidden(i, column.key in keys and i > 0)

    def fit_columns(self) -> None:
        """Make columns as wide as their titles and the values on the screen need."""
        self.resizeColumnsToContents()
        metrics, header = self.fontMetrics(), self.horizontalHeader()
        assert header is not None
        for i in range(len(RUN_TABLE_COLUMNS)):
            room = 26 if i else 60  # for the arrow that tells the order
            least = metrics.horizontalAdvance(RUN_TABLE_COLUMNS[i].title) + room
            header.resizeSection(i, min(max(least, header.sectionSize(i) + 8), 240))

    def make_room(self) -> None:
        """Fit all columns to a first row, and that of the names to any that came later."""
        header = self.horizontalHeader()
        assert header is not None
        needed = min(self.sizeHintForColumn(0) + 8, 240)
        if self.proxy.rowCount() == 1:
            self.fit_columns()
        elif needed > header.sectionSize(0):
            header.resizeSection(0, needed)

    def columns_menu(self) -> QMenu:
        """Return a menu of the columns, those that are shown ticked."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        for i, column in enumerate(RUN_TABLE_COLUMNS[1:], 1):
            action = QAction(column.title, menu)
            action.setCheckable(True)
            action.setChecked(not self.isColumnHidden(i))
            action.setToolTip(column.about)
            action.toggled.connect(lambda shown, i=i: self._show_column(i, shown))
            menu.addAction(action)
        return menu

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Show the selected run with return; everything else as in any table."""
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.opened.emit()
            return
        super().keyPressEvent(event)

    def _offer_columns(self, place: QPoint) -> None:
        header = self.horizontalHeader()
        assert header is not None
        self.columns_menu().popup(header.mapToGlobal(place))

    def _show_column(self, column: int, shown: bool) -> None:
        self.setColumnHidden(column, not shown)
        self.columns_changed.emit()
