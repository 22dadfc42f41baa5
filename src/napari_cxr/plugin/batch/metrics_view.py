"""Metrics of the scores where labels are known, with their confidence intervals.

The metrics of each class are beside its name or, in a narrow dock, below it; the confusion matrix
is below them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_cxr.inference.label_rule import CANNOT_SAY
from napari_cxr.plugin.batch import scoring_messages
from napari_cxr.plugin.plots.matrix import Matrix
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.widgets.text import ElidedLine, PlainLabel

__all__ = ['METRICS_PENDING', 'NOT_MEASURED', 'NO_LABELS', 'ClassMetricsTable', 'MetricsView']

_COLUMNS = {
    'auc': ('AUC', 'Area under the ROC curve of this class against all others; 0.5 is chance'),
    'sensitivity': (
        'Sensitivity',
        'Fraction of the images of this class that were predicted as such',
    ),
    'specificity': (
        'Specificity',
        'Fraction of the other images that were not predicted as this class',
    ),
}

_BY_THRESHOLD = 'by threshold'

_BY_THRESHOLD_TIP = 'Predicted {} because its probability reaches the threshold'

#: Pixels between columns, and minimum width of a class name beside its metrics.
_GAP, _NAME = 12, 96

_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter

_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class ClassMetricsTable(QWidget):
    """One line per class: the number of images, and each metric above its 95 % interval.

    With an operating point each class has a second line, for its threshold.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[tuple[QWidget, QLabel, list[QLabel]]] = []
        self._narrow: bool | None = None
        self.setAccessibleName('Metrics of each class, with 95 % intervals')
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(_GAP)
        self._grid.setVerticalSpacing(4)
        self._titles = [
            self._label(*texts, quiet=True)
            for texts in (('Images', 'Images with this label'), *_COLUMNS.values())
        ]

    @property
    def texts(self) -> list[list[str]]:
        """The texts, by line: the name, the number of images and the metrics."""
        return [
            [
                name.text() if isinstance(name, QLabel) else name.accessibleName(),
                *(label.text() for label in (images, *metrics)),
            ]
            for name, images, metrics in self._lines
        ]

    def show_metrics(self, classes: Mapping[str, Mapping[str, Any]]) -> None:
        """Show metrics by class, as `ScoreEvaluation.found` returns them."""
        for name, images, metrics in self._lines:
            for widget in (name, images, *metrics):
                self._grid.removeWidget(widget)
                widget.deleteLater()
        self._lines = []
        for label, found in classes.items():
            name = ElidedLine(self)
            name.show_text(label)
            self._add(
                name, f'{found["images"]:,}', [_metric_text(found.get(key)) for key in _COLUMNS]
            )
            if called := found.get('called'):
                below = self._label(_BY_THRESHOLD, _BY_THRESHOLD_TIP.format(label), quiet=True)
                below.setAlignment(_LEFT)
                self._add(
                    below, '', [_metric_text(called[k]) if k in called else '' for k in _COLUMNS]
                )
        self._narrow = None
        self._arrange()

    def minimumSizeHint(self) -> QSize:
        """Return the minimum size: names are elided, metrics are not."""
        return QSize(self._needed(), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Put names above their metrics where they do not fit beside them."""
        super().resizeEvent(event)
        self._arrange()

    def _add(self, name: QWidget, images: str, metrics: Sequence[str]) -> None:
        tips = (tip for _, tip in _COLUMNS.values())
        labels = [self._label(*texts) for texts in zip(metrics, tips, strict=True)]
        self._lines.append((name, self._label(images), labels))

    def _label(self, text: str, tip: str = '', quiet: bool = False) -> QLabel:
        label = PlainLabel(text, self)
        label.setToolTip(tip)
        label.setIndent(0)
        label.setAlignment(_RIGHT)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        if quiet:
            label.setObjectName('quiet')
        return label

    def _needed(self) -> int:
        """Return the width of all metrics beside each other, in pixels."""
        columns = zip(*(metrics for *_, metrics in self._lines), strict=True)
        widest = [
            max(label.sizeHint().width() for label in (title, *column))
            for title, column in zip(self._titles[1:], columns, strict=False)
        ]
        return sum(widest) + _GAP * max(len(widest) - 1, 0)

    def _arrange(self) -> None:
        counts = (self._titles[0], *(images for _, images, _ in self._lines))
        beside = _NAME + max(label.sizeHint().width() for label in counts) + 2 * _GAP
        narrow = self.width() < beside + self._needed()
        if narrow == self._narrow:
            return
        self._narrow = narrow
        grid, first = self._grid, 0 if narrow else 2
        for column in range(first + len(_COLUMNS)):
            grid.setColumnStretch(column, int(narrow or column == 0))
        # The number of images is always beside the name.
        grid.addWidget(self._titles[0], 0, 2 if narrow else 1)
        for column, title in enumerate(self._titles[1:], first):
            grid.addWidget(title, int(narrow), column)
        row = 1 + narrow
        for name, images, metrics in self._lines:
            if narrow and images.text():
                grid.addWidget(name, row, 0, 1, 2)
                grid.addWidget(images, row, 2)
                row += 1
            else:  # also for an operating point: its name takes the column of the AUC
                grid.addWidget(name, row, 0)
                if not narrow:
                    grid.addWidget(images, row, 1)
            for column, metric in enumerate(metrics, first):
                if metric.text():
                    grid.addWidget(metric, row, column)
            row += 1


def _metric_text(metric: Sequence[float | None] | None) -> str:
    if metric is None or metric[0] is None:
        return '–'
    value, low, high = metric
    interval = '' if low is None or high is None else f'\n{low:.2f}–{high:.2f}'
    return f'{value:.3f}{interval}'


NO_LABELS = (
    'There are no labels, so no metrics can be computed. Choose “Names of the sub-folders” or a '
    'table of labels before scoring, or label rows under Annotation.'
)

METRICS_PENDING = 'Metrics appear as soon as images of two classes are scored.'

NOT_MEASURED = (
    'Metrics by the labels in this table have not been computed yet. They appear when the whole '
    'table has been read. If you stopped that, open the table again.'
)

_TOO_FEW = 'Metrics need images of at least two classes.'

_CAVEAT = (
    'If the classes come from different collections, hospitals or machines, the metrics may only '
    'show how well the model tells these apart, not how well it recognises disease.'
)


class MetricsView(QWidget):
    """Metrics over all classes and of each class, and the confusion matrix.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: A cell of the matrix was chosen: the label and the predicted label.
    cell_chosen = Signal(str, str)
    #: Metrics by the labels that the user gave are wanted.
    measure_wanted = Signal()
    #: Doubtful images are to count, or no more.
    doubtful_wanted = Signal(bool)
    #: The computation of metrics is to be stopped.
    stop_wanted = Signal()
    #: The button with the focus is about to be hidden; Qt would give the focus to any other.
    about_to_hide = Signal()

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._labels: tuple[str, ...] = ()
        self._description = ''  # of the metrics that are shown
        self.heading = PlainLabel()
        self.heading.setWordWrap(True)
        self.heading.setIndent(0)
        self.heading.setStyleSheet('font-weight: bold;')
        self.description = quiet_label()
        self.seen = PlainLabel()
        self.seen.setObjectName('caution')
        self.seen.setWordWrap(True)
        self.unmeasured = quiet_label()
        self.doubtful = QCheckBox()
        self.doubtful.setToolTip(
            'Images that are probably no upright frontal chest radiographs: lateral, inverted, '
            'mirrored, or not a chest. The model is not made for them.'
        )
        self.doubtful.toggled.connect(self.doubtful_wanted)
        self._doubtful_included = False
        self.table = ClassMetricsTable()
        self.matrix = Matrix(theme, 'label', 'predicted')
        self.matrix.setToolTip('Click a cell to show only its rows')
        self.caveat = quiet_label(_CAVEAT)
        self.measure = QPushButton('Evaluate by my labels')
        self.measure.setToolTip(
            'Compare the scores with the labels that you gave under Annotation'
        )
        self.measure.clicked.connect(self.measure_wanted)
        self.measure.hide()
        self.stop = QPushButton('Stop')
        self.stop.setToolTip('Stop computing metrics')
        self.stop.clicked.connect(self.stop_wanted)
        self.stop.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for widget in (
            *(self.heading, self.seen, self.doubtful, self.description, self.unmeasured),
            self.table,
            *(self.matrix, self.caveat, self.measure, self.stop),
        ):
            layout.addWidget(widget)
        for label in (self.description, self.unmeasured, self.caveat):
            label.setIndent(0)
        self.matrix.chosen.connect(self._choose_cell)
        self.clear()

    def set_theme(self, theme: str) -> None:
        """Change to another of napari's themes."""
        self.matrix.set_theme(theme)

    def clear(self, reason: str = NO_LABELS) -> None:
        """Show no metrics, and why there are none."""
        self._show({}, reason, '')

    def show_metrics(
        self,
        metrics: dict[str, Any],
        unknown: Sequence[str],
        labels: Sequence[str],
        *,
        unmeasured: int = 0,
        so_far: bool = False,
        by_user: int = 0,
        doubtful: int = 0,
        doubtful_included: bool = False,
        undecided: str = CANNOT_SAY,
    ) -> None:
        """Show metrics.

        Parameters
        ----------
        metrics : dict
            As `ScoreEvaluation.found` returns them; empty where nothing can be computed.
        unknown : sequence of str
            Labels that are not classes of the model.
        labels : sequence of str
            The model's classes.
        unmeasured : int
            Number of images with such labels.
        so_far : bool
            Whether more rows are to come.
        by_user : int
            How many of the labels the user gave.
        doubtful, doubtful_included
            As of `ScoringMeasured`.
        undecided : str
            The answer of the model that is no label.
        """
        self._labels = tuple(labels)
        too_few = METRICS_PENDING if so_far else _TOO_FEW
        text = too_few
        if metrics:
            text = scoring_messages.measured_text(metrics, by_user, so_far, undecided)
        left_out = scoring_messages.unmeasured_message(unknown, unmeasured)
        self._show(metrics, text, left_out, doubtful, doubtful_included)

    def offer_measuring(self, offered: bool, *, busy: bool = False) -> None:
        """Offer to compute metrics by the labels that the user gave; nothing while `busy`."""
        self._show_button(self.measure, offered and not busy)
        self.doubtful.setEnabled(not busy)

    def show_measuring(self, doing: str = 'Computing metrics and intervals') -> None:
        """Show that metrics are being computed, or what that waits for."""
        self.description.setText(f'{doing}…')
        self.description.show()
        self._show_button(self.stop, True)

    def restore(self) -> None:
        """Show again what the current metrics are based on."""
        self.description.setText(self._description)
        self.description.setVisible(bool(self._description))
        self._show_button(self.stop, False)
        self._check_doubtful(self._doubtful_included)

    def _check_doubtful(self, included: bool) -> None:
        self._doubtful_included = included
        with QSignalBlocker(self.doubtful):
            self.doubtful.setChecked(included)

    def _show(
        self,
        metrics: dict[str, Any],
        description: str,
        unmeasured: str,
        doubtful: int = 0,
        doubtful_included: bool = False,
    ) -> None:
        self._description = description
        self._check_doubtful(doubtful_included)
        images = '1 doubtful image' if doubtful == 1 else f'{doubtful:,} doubtful images'
        self.doubtful.setText(f'Include {images}')
        self.doubtful.setVisible(doubtful > 0)
        self._show_button(self.stop, False)
        overall = scoring_messages.overall_metrics_text(metrics)
        for label, text in (
            (self.heading, overall),
            (self.description, description),
            (self.seen, scoring_messages.seen_message(metrics)),
            (self.unmeasured, unmeasured),
        ):
            label.setText(text)
            label.setVisible(bool(text))
        self.table.show_metrics(metrics.get('classes', {}))
        confusion = np.array(metrics.get('confusion', ()))
        if confusion.size:
            self.matrix.set_values(confusion, self._labels, self._labels)
        self.table.setVisible(bool(metrics))
        self.matrix.setVisible(bool(confusion.size))
        self.caveat.setVisible(bool(metrics))

    def _show_button(self, button: QPushButton, shown: bool) -> None:
        if button.hasFocus() and not shown:
            self.about_to_hide.emit()
        button.setVisible(shown)

    def _choose_cell(self, row: int, column: int) -> None:
        self.cell_chosen.emit(self._labels[row], self._labels[column])

    @property
    def counts_doubtful(self) -> bool:
        """Whether doubtful images count in the metrics that are shown."""
        return self._doubtful_included
