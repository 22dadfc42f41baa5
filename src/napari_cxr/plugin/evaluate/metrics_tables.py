"""Tables of metrics: of all classifiers, and of a model by source, view or another column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QObject, Qt
from qtpy.QtWidgets import QHeaderView, QSizePolicy, QWidget

from napari_cxr.evaluation.metric_text import METRIC_NAMES, figure_text
from napari_cxr.plugin.widgets.row_table import (
    RowTableModel,
    RowTableView,
    TableColumn,
)

__all__ = ['GROUP_METRICS', 'FigureTable', 'group_rows', 'metric_rows']

#: Metrics of a group of images.
GROUP_METRICS = ('auc', 'balanced_accuracy', 'recall', 'specificity')

Cells = tuple[str, ...]


def metric_rows(
    metrics: Mapping[str, Any], label: str, model: str, other: str = ''
) -> tuple[Cells, list[Cells]]:
    """Return titles and rows of a model: a metric a row.

    Parameters
    ----------
    metrics : mapping
        As in ``metrics.json``.
    label : str
        Figures of this class; of all if empty.
    model : str
        Its name.
    other : str
        Another model or a baseline, of which values alone stand beside; none if empty.
    """
    every = {**metrics['models'], **metrics['baselines']}
    own, beside = (
        {} if not name else every[name].get('classes', {}).get(label, {}) if label else every[name]
        for name in (model, other)
    )
    rows = [
        (title, figure_text(own.get(key)), *([_value_text(beside.get(key))] if other else []))
        for key, title in METRIC_NAMES.items()
        if key in own or key in beside
    ]
    return ('Metric', 'This model', *(['The other'] if other else [])), rows


def _value_text(figure: Mapping[str, Any] | None) -> str:
    return figure_text({**figure, 'interval': None} if figure else None)


def group_rows(
    metrics: Mapping[str, Any], model: str, column: str, metric: str
) -> tuple[Cells, list[Cells]]:
    """Return titles and rows of one metric: a group of images a row."""
    groups = metrics['models'][model].get('by', {}).get(column, {})
    rows: list[Cells] = [
        (str(name), f'{one["images"]:,}', figure_text(one.get(metric)))
        for name, one in groups.items()
    ]
    titles: Cells = (column.capitalize(), 'Images', METRIC_NAMES[metric])
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
    """A table of texts that is as high as its rows, and whose first column may become narrow.

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
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def show_rows(self, titles: Sequence[str], rows: Sequence[Cells]) -> None:
        """Show rows of texts."""
        self.rows.show(titles, rows)
        self.titles.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.titles.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.fit_height(max(len(rows), 1))
