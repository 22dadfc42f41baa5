"""How good the scores are where labels are known: metrics with their confidence intervals.

The metrics of each class stand beside each other or, where the dock is narrow, one below the
other; the confusion matrix is drawn below them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_cxr.plugin.batch import scoring_messages
from napari_cxr.plugin.plots.matrix import Matrix
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.widgets.text import ElidedLine

__all__ = ['METRICS_PENDING', 'NOT_MEASURED', 'NO_LABELS', 'ClassMetricsTable', 'MetricsView']

_COLUMNS = {
    'auc': ('AUC', 'Area under the ROC curve of this class against all others: 0.5 is chance'),
    'sensitivity': ('Sensitivity', 'Share of the images of this class that were called so'),
    'specificity': ('Specificity', 'Share of the other images that were not called so'),
}

_BY_THRESHOLD = 'by threshold'

_BY_THRESHOLD_TIP = 'Called {} because its probability reaches the threshold of the decision'

#: Pixels between columns, and of a class's name at least where its figures stand beside it.
_GAP, _NAME = 12, 96

_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter

_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class ClassMetricsTable(QWidget):
    """A line a class: images, and each figure above its 95 % interval.

    With a decision each class has a second line, of what its threshold calls.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[tuple[QWidget, QLabel, list[QLabel]]] = []
        self._narrow: bool | None = None
        self.setAccessibleName('Figures of each class, with 95 % intervals')
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(_GAP)
        self._grid.setVerticalSpacing(4)
        self._titles = [
            self._label(*words, quiet=True)
            for words in (('Images', 'Images with this label'), *_COLUMNS.values())
        ]

    @property
    def texts(self) -> list[list[str]]:
        """What stands there: by line the name, the images and the figures."""
        return [
            [
                name.text() if isinstance(name, QLabel) else name.accessibleName(),
                *(label.text() for label in (images, *figures)),
            ]
            for name, images, figures in self._lines
        ]

    def show_figures(self, classes: Mapping[str, Mapping[str, Any]]) -> None:
        """Show metrics by class, as `ScoreEvaluation.found` has them."""
        for name, images, figures in self._lines:
            for widget in (name, images, *figures):
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
        """Return the least size: names are shortened, figures are not."""
        return QSize(self._needed(), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Put names above their figures where there is no room beside them."""
        super().resizeEvent(event)
        self._arrange()

    def _add(self, name: QWidget, images: str, figures: Sequence[str]) -> None:
        tips = (tip for _, tip in _COLUMNS.values())
        labels = [self._label(*words) for words in zip(figures, tips, strict=True)]
        self._lines.append((name, self._label(images), labels))

    def _label(self, text: str, tip: str = '', quiet: bool = False) -> QLabel:
        label = QLabel(text, self)
        label.setToolTip(tip)
        label.setIndent(0)
        label.setAlignment(_RIGHT)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        if quiet:
            label.setObjectName('quiet')
        return label

    def _needed(self) -> int:
        """Return the pixels of all figures beside each other."""
        columns = zip(*(figures for *_, figures in self._lines), strict=True)
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
        # Where names stand above their figures, so do their numbers of images.
        grid.addWidget(self._titles[0], 0, 2 if narrow else 1)
        for column, title in enumerate(self._titles[1:], first):
            grid.addWidget(title, int(narrow), column)
        row = 1 + narrow
        for name, images, figures in self._lines:
            if narrow and images.text():
                grid.addWidget(name, row, 0, 1, 2)
                grid.addWidget(images, row, 2)
                row += 1
            else:  # also of a decision, which has no area: its name takes that place
                grid.addWidget(name, row, 0)
                if not narrow:
                    grid.addWidget(images, row, 1)
            for column, figure in enumerate(figures, first):
                if figure.text():
                    grid.addWidget(figure, row, column)
            row += 1


def _metric_text(figure: Sequence[float | None] | None) -> str:
    if figure is None or figure[0] is None:
        return '–'
    value, low, high = figure
    between = '' if low is None or high is None else f'\n{low:.2f}–{high:.2f}'
    return f'{value:.3f}{between}'


NO_LABELS = (
    'No labels are known, so nothing can be measured. Choose “Names of the sub-folders” or a '
    'table of labels before you score, or label rows under Reading.'
)

METRICS_PENDING = 'Figures come as soon as images of two classes are scored.'

NOT_MEASURED = (
    'No figures were worked out of the labels in this table yet. They come when all of it has '
    'been read; open it again if you have stopped that.'
)

_TOO_FEW = 'Figures need images of two classes at least.'

_WORTH = (
    'Where classes come from different collections, hospitals or machines, such figures show '
    'how well the model tells these apart: they prove nothing about disease.'
)


class MetricsView(QWidget):
    """Figures of all classes and of each, and the confusion matrix.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: A cell of the matrix was chosen: the label, and what it was called.
    cell_chosen = Signal(str, str)
    #: The scores shall be measured by the labels that the person gave.
    measure_wanted = Signal()
    #: No figures are wanted any more.
    stop_wanted = Signal()
    #: The button that hears the keys is about to go, and Qt would give them to just any other.
    leaves = Signal()

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._labels: tuple[str, ...] = ()
        self._counted = ''  # what the figures on show are of
        self.heading = QLabel()
        self.heading.setWordWrap(True)
        self.heading.setIndent(0)
        self.heading.setStyleSheet('font-weight: bold;')
        self.counted = quiet_label()
        self.strange = quiet_label()
        self.table = ClassMetricsTable()
        self.matrix = Matrix(theme, 'label', 'called')
        self.matrix.setToolTip('Click a cell to see these rows alone')
        self.worth = quiet_label(_WORTH)
        self.again = QPushButton('Measure by my labels')
        self.again.setToolTip('Compare the scores with the labels that you gave under Reading')
        self.again.clicked.connect(self.measure_wanted)
        self.again.hide()
        self.stop = QPushButton('Stop')
        self.stop.setToolTip('Work out no figures')
        self.stop.clicked.connect(self.stop_wanted)
        self.stop.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for widget in (
            *(self.heading, self.counted, self.strange, self.table, self.matrix),
            *(self.worth, self.again, self.stop),
        ):
            layout.addWidget(widget)
        for label in (self.counted, self.strange, self.worth):
            label.setIndent(0)
        self.matrix.chosen.connect(self._choose_cell)
        self.clear()

    def set_theme(self, theme: str) -> None:
        """Change to another of napari's themes."""
        self.matrix.set_theme(theme)

    def clear(self, words: str = NO_LABELS) -> None:
        """Show no figures, and say why."""
        self._show({}, words, '')

    def show_metrics(
        self,
        metrics: dict[str, Any],
        unknown: Sequence[str],
        labels: Sequence[str],
        *,
        unmeasured: int = 0,
        so_far: bool = False,
        yours: int = 0,
    ) -> None:
        """Show figures.

        Parameters
        ----------
        metrics : dict
            As `ScoreEvaluation.found` has them; empty where nothing can
            be measured.
        unknown : sequence of str
            Labels that the model does not know.
        labels : sequence of str
            The model's classes.
        unmeasured : int
            Images with labels that the model does not know.
        so_far : bool
            Whether there are rows to come.
        yours : int
            Labels among theirs that the person gave.
        """
        self._labels = tuple(labels)
        too_few = METRICS_PENDING if so_far else _TOO_FEW
        counted = scoring_messages.measured_text(metrics, yours, so_far) if metrics else too_few
        self._show(metrics, counted, scoring_messages.unmeasured_message(unknown, unmeasured))

    def offer_measuring(self, offered: bool) -> None:
        """Offer to measure by the labels that the person gave."""
        self._show_button(self.again, offered)

    def say_measuring(self, doing: str = 'Working out figures and intervals') -> None:
        """Say that figures are being worked out, or what that waits for."""
        self.counted.setText(f'{doing}…')
        self.counted.show()
        self._show_button(self.stop, True)

    def restore(self) -> None:
        """Say again what the figures on show are of."""
        self.counted.setText(self._counted)
        self.counted.setVisible(bool(self._counted))
        self._show_button(self.stop, False)

    def _show(self, metrics: dict[str, Any], counted: str, strange: str) -> None:
        self._counted = counted
        self._show_button(self.stop, False)
        overall = scoring_messages.overall_metrics_text(metrics)
        for label, text in (
            (self.heading, overall),
            (self.counted, counted),
            (self.strange, strange),
        ):
            label.setText(text)
            label.setVisible(bool(text))
        self.table.show_figures(metrics.get('classes', {}))
        confusion = np.array(metrics.get('confusion', ()))
        if confusion.size:
            self.matrix.set_values(confusion, self._labels, self._labels)
        self.table.setVisible(bool(metrics))
        self.matrix.setVisible(bool(confusion.size))
        self.worth.setVisible(bool(metrics))

    def _show_button(self, button: QPushButton, shown: bool) -> None:
        if button.hasFocus() and not shown:
            self.leaves.emit()
        button.setVisible(shown)

    def _choose_cell(self, row: int, column: int) -> None:
        self.cell_chosen.emit(self._labels[row], self._labels[column])
