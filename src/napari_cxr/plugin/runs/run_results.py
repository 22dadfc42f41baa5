"""Results of training: curves by epoch, the confusion matrix, and a row for each fold.

The curves of a second run can be drawn over those of the first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QModelIndex, QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.plugin.background import Failure, JobOutcome, run_job
from napari_cxr.plugin.plots.curves import Curves, Line
from napari_cxr.plugin.plots.matrix import Matrix
from napari_cxr.plugin.runs import run_files
from napari_cxr.plugin.runs.run_messages import short_run_name
from napari_cxr.plugin.runs.runs_table import RunRow
from napari_cxr.plugin.runs.training_history import (
    PLOTTED_METRICS,
    PlottedMetric,
    RunHistory,
    TrainingHistory,
)
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.widgets.row_table import RowTableModel, RowTableView, TableColumn

__all__ = [
    'FoldsTableModel',
    'FoldsTableView',
    'RunConfusionMatrix',
    'RunCurves',
    'SelectedCurves',
]

_TRAIN, _VAL, _BEST = 0, 1, 2  # numbers of colours


class RunCurves(QWidget):
    """One metric plotted against the epochs, chosen from a list.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: Another run should be compared with this one.
    compare_requested = Signal()
    #: The comparison was ended.
    compare_ended = Signal()

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._training: TrainingHistory | None = None
        self._other: TrainingHistory | None = None
        self._names = ('', '')
        self.metric_choice = QComboBox()
        self.metric_choice.setAccessibleName('Metric')
        self.metric_choice.setToolTip('The metric that is plotted against the epochs')
        for metric in PLOTTED_METRICS:
            self.metric_choice.addItem(metric.title, metric)
            at = self.metric_choice.count() - 1
            self.metric_choice.setItemData(at, metric.description, Qt.ItemDataRole.ToolTipRole)
        self.compare = QPushButton()
        self.curves = Curves(theme)
        self.curves.set_empty_text('The curves start when the first epoch is complete.')
        self.key = quiet_label()
        first = QHBoxLayout()
        first.addWidget(self.metric_choice, 1)
        first.addWidget(self.compare)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(first)
        layout.addWidget(self.curves)
        layout.addWidget(self.key)
        self.metric_choice.currentIndexChanged.connect(self._draw)
        self.compare.clicked.connect(self._compare_or_end)
        self._draw()

    def set_theme(self, theme: str) -> None:
        """Change to another of napari's themes."""
        self.curves.set_theme(theme)

    def set_training(self, training: TrainingHistory | None, name: str = '') -> None:
        """Draw a training; `name` distinguishes it from the other one."""
        self._training, self._names = training, (name, self._names[1])
        self._draw()

    def set_other(self, training: TrainingHistory | None, name: str = '') -> None:
        """Add another training with dashed lines, or remove it."""
        self._other, self._names = training, (self._names[0], name)
        self._draw()

    @property
    def comparing(self) -> bool:
        """Whether another training is shown."""
        return self._other is not None

    def _compare_or_end(self) -> None:
        if self.comparing:
            self.set_other(None)
            self.compare_ended.emit()
        else:
            self.compare_requested.emit()

    def _draw(self) -> None:
        metric: PlottedMetric = self.metric_choice.currentData()
        lines = []
        if self._training is not None:
            lines += _curve_lines(self._training, metric, dashed=False)
        if self._other is not None:
            lines += _curve_lines(self._other, metric, dashed=True)
        self.curves.set_lines(lines)
        self.key.setText(f'Solid: {self._names[0]}. Dashed: {self._names[1]}.')
        self.key.setVisible(self.comparing)
        self.curves.setToolTip(metric.description)
        self.compare.setText('End comparison' if self.comparing else 'Compare with…')
        self.compare.setToolTip(
            'Remove the dashed curves'
            if self.comparing
            else 'Add the curves of another run to these'
        )
        self.compare.setEnabled(self._training is not None or self.comparing)


def _curve_lines(training: TrainingHistory, metric: PlottedMetric, *, dashed: bool) -> list[Line]:
    """Return the lines of one training, without those that have no values."""
    before = 'other ' if dashed else ''
    lines: list[Line] = []
    for field, name, color in (
        (metric.train, 'training' if metric.val else metric.title.lower(), _TRAIN),
        (metric.val, 'validation', _VAL),
    ):
        xs, ys = training.values_by_epoch(field)
        if any(math.isfinite(y) for y in ys):
            lines.append(Line(before + name, xs, ys, 'dashed' if dashed else 'solid', color))
    best = training.best
    if lines and best is not None and not dashed:
        # If both are drawn, the epoch was chosen by the validation images.
        value = getattr(best, metric.val or metric.train)
        which = 'best' if training.is_best_known else 'kept'
        lines.append(
            Line(f'{which} epoch {best.epoch}', [float(best.epoch)], [value], 'solid', _BEST)
        )
    return lines


class RunConfusionMatrix(QWidget):
    """A confusion matrix and its epoch; hidden while there is none.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = quiet_label()
        self.matrix = Matrix(theme, 'true label', 'predicted label')
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.title)
        layout.addWidget(self.matrix)
        self.set_training(None, best=False)

    def set_theme(self, theme: str) -> None:
        """Change to another of napari's themes."""
        self.matrix.set_theme(theme)

    def set_training(self, training: TrainingHistory | None, *, best: bool) -> None:
        """Show the latest or the best epoch of a training.

        A multilabel classifier has no such matrix.
        """
        epoch = None
        if training is not None:
            epoch = training.best if best and training.best is not None else training.last
        self.setVisible(epoch is not None and bool(epoch.confusion))
        if training is None or epoch is None or not epoch.confusion:
            return
        counts = np.array(epoch.confusion)
        labels = training.labels
        if len(labels) != len(counts):  # unknown if the run has no model
            labels = tuple(f'class {i}' for i in range(1, len(counts) + 1))
        kept = 'the best epoch' if training.is_best_known else 'the epoch that was kept,'
        which = kept if best else 'epoch'
        self.title.setText(f'Validation images after {which} {epoch.epoch}')
        self.matrix.set_values(counts, labels, labels)


_FOLD_COLUMNS = (
    TableColumn('Run', 'Name of the fold or run'),
    TableColumn(
        'Epoch', 'The epoch whose model is kept: the best so far, or the last', right_aligned=True
    ),
    TableColumn(
        'Val. AUC', 'Macro AUC on the validation images after this epoch', right_aligned=True
    ),
    TableColumn(
        'Test AUC', 'Macro AUC on the test images, measured once at the end', right_aligned=True
    ),
)

_MOST_ROWS = 8  # that are visible at once


class FoldsTableModel(RowTableModel[TrainingHistory]):
    """A row for each network that a run trains.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(_FOLD_COLUMNS, parent)

    def row_of(self, name: str) -> int:
        """Return the row of a training, -1 if there is none."""
        return next((i for i, row in enumerate(self.rows) if row.name == name), -1)

    def text(self, row: int, column: int) -> str:
        """Return the text of a cell, a dash where the value is unknown."""
        training = self.row(row)
        best = training.best
        if column == 0:
            return short_run_name(training.name)
        if column == 1:
            return f'{best.epoch}' if best is not None else '–'
        if column == 2:
            return _cell_text(best.val_macro_auc if best is not None else None)
        if training.metrics.get('measured_on') != 'test':
            return '–'
        found = (training.metrics.get('model') or {}).get('all') or {}
        return _cell_text((found.get('macro_auc') or [None])[0])


class FoldsTableView(RowTableView):
    """Lists the trainings of a run; the chosen one is shown.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: The full name of the training that was chosen.
    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        folds = FoldsTableModel()
        super().__init__(folds, 'Runs of this training', parent=parent)
        folds.setParent(self)
        self.folds = folds
        self.titles.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.setToolTip('Choose a run to see its curves')
        selection = self.selectionModel()
        assert selection is not None
        selection.currentRowChanged.connect(self._choose)

    def set_trainings(self, trainings: list[TrainingHistory], shown: str) -> None:
        """List these trainings; `shown` is the name of the one whose curves are shown."""
        before = self.folds.rowCount()
        self.folds.set_rows(trainings)
        if self.folds.rowCount() != before:
            self.fit_height(_MOST_ROWS)
        row = self.folds.row_of(shown)
        if row >= 0 and row != self.currentIndex().row():
            blocked = self.blockSignals(True)
            self.selectRow(row)
            self.blockSignals(blocked)

    def _choose(self, index: QModelIndex) -> None:
        if index.isValid() and not self.signalsBlocked():
            self.chosen.emit(self.folds.row(index.row()).name)


def _cell_text(value: Any) -> str:
    known = isinstance(value, int | float) and math.isfinite(value)
    return f'{value:.3f}' if known else '–'


#: Milliseconds before curves are read, so that the arrow keys move quickly through the table.
_SELECTION_DELAY = 150

_SELECT_A_RUN = 'Select a run to see its curves, or two with Ctrl to compare them.'


class SelectedCurves(QWidget):
    """Reads the selected runs in a thread, and draws the second over the first.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: The requested curves are shown.
    settled = Signal()
    #: A run could not be read.
    failed = Signal(object)

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runs: list[RunRow] = []
        self._known: dict[Path, RunHistory] = {}
        self._awaited: set[Path] = set()
        self.curves = RunCurves(theme)
        self.curves.compare.hide()  # selecting two compares them
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addWidget(self.curves)
        layout.addStretch(1)
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(_SELECTION_DELAY)
        self._delay.timeout.connect(self.read_now)
        self._draw()

    @property
    def busy(self) -> bool:
        """Whether curves are being read."""
        return bool(self._awaited) or self._delay.isActive()

    def set_theme(self, theme: str) -> None:
        """Change to another of napari's themes."""
        self.curves.set_theme(theme)

    def forget(self) -> None:
        """Discard what was read; runs may have continued."""
        self._known.clear()

    def show_runs(self, runs: Sequence[RunRow]) -> None:
        """Show the first two of these after a short delay."""
        self._runs = list(runs[:2])
        self._delay.start()

    def read_now(self) -> None:
        """Read what is missing of the requested runs now."""
        self._delay.stop()
        missing = [run.path for run in self._runs if run.path not in self._known]
        missing = [path for path in missing if path not in self._awaited]
        if missing:
            self._awaited.update(missing)
            reading = partial(run_files.read_run_histories, missing)
            run_job(self, reading, 'Reading the runs', done=self._show_histories)
        self._draw()
        if not self._awaited:
            self.settled.emit()

    def _show_histories(self, outcome: JobOutcome) -> None:
        found: dict[Path, RunHistory | Failure] = outcome.result
        self._awaited -= set(found)
        for path, history in found.items():
            if isinstance(history, Failure):
                self.failed.emit(history)
            else:
                self._known[path] = history
        self._draw()
        if not self._awaited:
            self.settled.emit()

    def _draw(self) -> None:
        known = [(run, h) for run in self._runs if (h := self._known.get(run.path)) is not None]
        drawn = [
            (h.current_training, run.name) for run, h in known if h.current_training is not None
        ]
        self.curves.set_training(*(drawn[0] if drawn else (None, '')))
        self.curves.set_other(*(drawn[1] if len(drawn) > 1 else (None, '')))
        empty = [run.name for run, history in known if history.current_training is None]
        text = f'{empty[0]} has no completed epochs.' if empty else _SELECT_A_RUN
        self.curves.curves.set_empty_text(text)
