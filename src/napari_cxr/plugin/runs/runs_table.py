"""The table of training runs: its columns, rows, model and view."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QPoint, Qt, Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QMenu, QWidget

from napari_cxr.plugin.widgets.row_table import (
    RowFilterProxy,
    RowTableModel,
    RowTableView,
    TableColumn,
)
from napari_cxr.plugin.widgets.text import duration_text

__all__ = [
    'RUN_TABLE_COLUMNS',
    'RunColumn',
    'RunRow',
    'RunsTableModel',
    'RunsTableView',
    'sort_key',
]


@dataclass(frozen=True)
class RunColumn(TableColumn):
    """One column of the table of runs.

    Parameters
    ----------
    title, about, right_aligned
        See `TableColumn`.
    key : str
        Its name in the rows of `napari_cxr.training.run_table`.
    text_of : callable
        Converts a known value to the text that is shown.
    """

    key: str = ''
    text_of: Callable[[Any], str] = str


@dataclass(frozen=True, eq=False)
class RunRow:
    """A run in the table.

    Parameters
    ----------
    values : dict
        By the keys of the columns; None or missing where unknown.
    path : Path
        The folder of the run.
    has_model : bool
        Whether it has saved a model that can be used.
    can_continue : bool
        Whether it is finished and has kept what it needs to go on for more epochs.
    """

    values: dict[str, Any]
    path: Path
    has_model: bool = False
    can_continue: bool = False

    @property
    def name(self) -> str:
        """The name of the run."""
        return str(self.values.get('run', ''))

    @cached_property
    def search_text(self) -> str:
        """All values in lower case, for the filter."""
        texts = (str(value) for value in self.values.values() if value is not None)
        return '\n'.join(texts).casefold()

    @cached_property
    def sort_keys(self) -> tuple[tuple[Any, ...] | None, ...]:
        """The sort key of each column, see `sort_key`."""
        return tuple(sort_key(self.values.get(column.key)) for column in RUN_TABLE_COLUMNS)


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


def _text_column(key: str, title: str, about: str) -> RunColumn:
    return RunColumn(title, about, key=key)


def _number_column(
    key: str, title: str, about: str, text_of: Callable[[Any], str] = str
) -> RunColumn:
    return RunColumn(title, about, right_aligned=True, key=key, text_of=text_of)


#: Which run, how good, then as Lopes et al. printed them.
RUN_TABLE_COLUMNS = (
    _text_column('run', 'Run', 'The folder of the run.'),
    _number_column('val_auc', 'Val. AUC', 'Macro AUC on the validation images.', _four_decimals),
    _number_column(
        'heatmap_peak_in_lung',
        'Peak in lungs',
        'Fraction of the images on which the peak of the heatmap lies in a lung, by an evaluation '
        'with its report in the folder evaluation of the run.',
        _two_decimals,
    ),
    _number_column(
        'heatmap_lung_lift',
        'Lift',
        'How many times as much as by chance of the area above half of the peak is in the lungs: '
        '1 is chance.',
        _two_decimals,
    ),
    _text_column('status', 'Status', 'Whether it is running, finished, stopped or failed.'),
    _number_column('execution_time', 'Time', 'Duration of all epochs.', _minutes_text),
    _number_column('minutes_per_epoch', 'Min/epoch', 'Minutes per epoch, mean.', _two_decimals),
    _number_column(
        'acc', 'Accuracy', 'Accuracy on the training images, kept epoch.', _four_decimals
    ),
    _number_column('val_acc', 'Val. acc.', 'Accuracy on the validation images.', _four_decimals),
    _number_column('auc', 'AUC', 'Macro AUC on the training images, kept epoch.', _four_decimals),
    _number_column('loss', 'Loss', 'Loss on the training images, kept epoch.', _four_decimals),
    _number_column('val_loss', 'Val. loss', 'Loss on the validation images.', _four_decimals),
    _text_column('input_shape', 'Input', 'Height, width and channels of the network input.'),
    _number_column('filter', 'Kernel', 'Kernel size of most convolutions, in pixels.'),
    _number_column('batch', 'Batch', 'Batch size.'),
    _text_column('activation_output', 'Output', 'Softmax over all classes, or sigmoid for each.'),
    _number_column('epochs', 'Epochs', 'Completed epochs.'),
    _text_column('optimizer', 'Optimiser', 'Optimisation algorithm.'),
    _number_column('lr', 'Learning rate', 'Highest learning rate of the schedule.', _rate_text),
    _text_column('recipe', 'Recipe', 'Name of the recipe.'),
    _text_column('network', 'Network', 'Architecture of the network.'),
    _number_column('depth', 'Depth', 'Number of layers with weights.'),
    _number_column('parameters', 'Parameters', 'Number of parameters.', _count_text),
    _number_column('trainable', 'Trainable', 'Number of trainable parameters.', _count_text),
    _number_column('tp', 'TP', 'True positives among the test images.', _count_text),
    _number_column('fp', 'FP', 'False positives among the test images.', _count_text),
    _number_column('tn', 'TN', 'True negatives among the test images.', _count_text),
    _number_column('fn', 'FN', 'False negatives among the test images.', _count_text),
)
#: Widest column that is fitted to its contents, in pixels.
_WIDEST_COLUMN = 240


def sort_key(value: Any) -> tuple[Any, ...] | None:
    """Return the sort key of a value; None if it is unknown.

    Numbers come before texts, and digits within texts are compared as numbers, so that
    'run-2' comes before 'run-10'.
    """
    if value is None or value == '' or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, int | float):
        return (0, value)
    parts = re.split(r'(\d+)', str(value).casefold())
    return (1, *((int(part), '') if part.isdigit() else (-1, part) for part in parts))


class RunsTableModel(RowTableModel[RunRow]):
    """The runs in the order in which they were added.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        usage = 'Click to sort; right-click to choose columns.'
        columns = [
            replace(column, about=f'{column.about} {usage}') for column in RUN_TABLE_COLUMNS
        ]
        super().__init__(columns, parent)

    def add_row(self, row: RunRow) -> None:
        """Add a run, or replace the row of the same name."""
        names = (known.name for known in self.rows)
        self.put_row(row, next((i for i, name in enumerate(names) if name == row.name), None))

    def text(self, row: int, column: int) -> str:
        """Return the text of a cell, a dash where the value is unknown."""
        run = self.row(row)
        if run.sort_keys[column] is None:
            return '–'
        return RUN_TABLE_COLUMNS[column].text_of(run.values[RUN_TABLE_COLUMNS[column].key])

    def tooltip(self, row: int, column: int) -> str:
        """Return run, column and value."""
        run = self.row(row)
        if run.sort_keys[column] is None:
            return 'Not known'
        return f'{run.name}: {RUN_TABLE_COLUMNS[column].title} {self.text(row, column)}'

    def sort_key(self, row: int, column: int) -> tuple[Any, ...] | None:
        """Return the sort key of a cell, None where the value is unknown."""
        return self.row(row).sort_keys[column]

    def search_text(self, row: int) -> str:
        """Return all values of a run in lower case."""
        return self.row(row).search_text


class RunsTableView(RowTableView):
    """The table of runs; columns can be sorted, moved and hidden.

    Parameters
    ----------
    proxy : RowFilterProxy
        The sorted and filtered runs.
    parent : QWidget, optional
        Qt parent.
    """

    #: Other columns are hidden.
    columns_changed = Signal()

    def __init__(self, proxy: RowFilterProxy[RunRow], parent: QWidget | None = None) -> None:
        super().__init__(proxy, 'Training runs', multi_select=True, parent=parent)
        self.proxy = proxy
        self.setSortingEnabled(True)
        self.setStyleSheet(
            f'{self.styleSheet()} QTableView::item {{ padding: 0 5px; }}'
            'QHeaderView::section { padding: 2px 5px; }'
        )
        self.titles.setSectionsMovable(True)
        self.titles.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.titles.customContextMenuRequested.connect(self._offer_columns)
        self.fit_columns()
        best = [column.key for column in RUN_TABLE_COLUMNS].index('val_auc')
        self.sortByColumn(best, Qt.SortOrder.DescendingOrder)

    @property
    def runs(self) -> list[RunRow]:
        """The selected runs, from the top."""
        return [self.proxy.row_at(line) for line in self.selected_lines]

    def select_named(self, names: Collection[str]) -> None:
        """Select the runs of these names, if they are shown."""
        for line in range(self.proxy.rowCount()):
            if self.proxy.row_at(line).name in names:
                self.select_line(line)

    @property
    def hidden(self) -> list[str]:
        """Keys of the hidden columns."""
        return [c.key for i, c in enumerate(RUN_TABLE_COLUMNS) if self.isColumnHidden(i)]

    def hide_columns(self, keys: Sequence[str]) -> None:
        """Hide these columns and show all others; the first is always shown."""
        for i, column in enumerate(RUN_TABLE_COLUMNS):
            self.setColumnHidden(i, column.key in keys and i > 0)

    def fit_columns(self) -> None:
        """Make columns as wide as their titles and the visible values."""
        self.resizeColumnsToContents()
        metrics = self.fontMetrics()
        for i, column in enumerate(RUN_TABLE_COLUMNS):
            margin = 26 if i else 60  # for the arrow of the sort order
            least = metrics.horizontalAdvance(column.title) + margin
            width = max(least, self.titles.sectionSize(i) + 8)
            self.titles.resizeSection(i, min(width, _WIDEST_COLUMN))

    def fit_added_row(self) -> None:
        """Fit all columns to a first row, and the names to any later one."""
        width = min(self.sizeHintForColumn(0) + 8, _WIDEST_COLUMN)
        if self.proxy.rowCount() == 1:
            self.fit_columns()
        elif width > self.titles.sectionSize(0):
            self.titles.resizeSection(0, width)

    def columns_menu(self) -> QMenu:
        """Return a menu of the columns, in which those that are shown are checked."""
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

    def _offer_columns(self, place: QPoint) -> None:
        self.columns_menu().popup(self.titles.mapToGlobal(place))

    def _show_column(self, column: int, shown: bool) -> None:
        self.setColumnHidden(column, not shown)
        self.columns_changed.emit()
