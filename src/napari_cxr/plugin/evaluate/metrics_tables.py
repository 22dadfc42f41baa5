"""Tables of metrics: of all classifiers, and of a model by source, view or another column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QHeaderView, QSizePolicy, QWidget

from napari_cxr.plugin.evaluate.result_figures import METRIC_NAMES, metric_text
from napari_cxr.plugin.widgets.row_table import (
    RowTableModel,
    RowTableView,
    TableColumn,
)

__all__ = ['FigureTable', 'group_rows', 'metric_rows']

#: Metrics of a group of images.
_OF_GROUPS = ('auc', 'balanced_accuracy', 'recall', 'specificity')

Cells = tuple[str, ...]


def metric_rows(metrics: Mapping[str, Any], label: str) -> tuple[Cells, list[Cells]]:
    """Return titles and rows: a metric a row, a classifier a column.

    Parameters
    ----------
    metrics : mapping
        As in ``metrics.json``.
    label : str
        Figures of this class; of all if empty.
    """
    every = {**metrics['models'], **metrics['baselines']}
    found = {
        name: (one.get('classes', {}).get(label, {}) if label else one)
        for name, one in every.items()
    }
    rows = [
        (title, *(metric_text(one.get(key)) for one in found.values()))
        for key, title in METRIC_NAMES.items()
        if any(key in one for one in found.values())
    ]
    return ('Metric', *every), rows


def group_rows(metrics: Mapping[str, Any], model: str, column: str) -> tuple[Cells, list[Cells]]:
    """Return titles and rows: a group of images a row."""
    groups = metrics['models'][model].get('by', {}).get(column, {})
    titles = (column.capitalize(), 'Images', *(METRIC_NAMES[key] for key in _OF_GROUPS))
    rows = [
        (name, f'{one["images"]:,}', *(metric_text(one.get(key)) for key in _OF_GROUPS))
        for name, one in groups.items()
    ]
    return titles, rows


class _CellModel(RowTableModel[Cells]):
    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__([TableColumn('')], parent)

    def show(self, titles: Sequence[str], rows: Sequence[Cells]) -> None:
        self.beginResetModel()
        self.columns = tuple(TableColumn(title, title, i > 0) for i, title in enumerate(titles))
        self._rows = list(rows)
        self.endResetModel()

    def text(self, row: int, column: int) -> str:
        return self._rows[row][column]


class FigureTable(RowTableView):
    """A table of texts that is as high as its rows and scrolls sideways.

    Parameters
    ----------
    name : str
        What a screen reader calls it.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        self.rows = _CellModel()
        super().__init__(self.rows, name, parent=parent)
        self.rows.setParent(self)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_rows(self, titles: Sequence[str], rows: Sequence[Cells]) -> None:
        """Show rows of texts."""
        self.rows.show(titles, rows)
        self.titles.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.fit_height(max(len(rows), 1))
        bar = self.horizontalScrollBar()
        if bar is not None:  # it would cover the last line
            self.setFixedHeight(self.height() + bar.sizeHint().height())
