"""How good the scores are, where labels are known: figures with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_cxr.plugin.batch import words
from napari_cxr.plugin.batch.figures_table import FiguresTable
from napari_cxr.plugin.plots import Matrix
from napari_cxr.plugin.text import quiet_label

__all__ = ['COMING', 'NO_LABELS', 'UNMEASURED', 'ScoreMetrics']

NO_LABELS = (
    'No labels are known, so nothing can be measured. Choose “Names of the sub-folders” or a '
    'table of labels before you score, or label rows under Reading.'
)
COMING = 'Figures come as soon as images of two classes are scored.'
UNMEASURED = (
    'No figures were worked out of the labels in this table yet. They come when all of it has '
    'been read; open it again if you have stopped that.'
)
_TOO_FEW = 'Figures need images of two classes at least.'
_WORTH = (
    'Where classes come from different collections, hospitals or machines, such figures show '
    'how well the model tells these apart: they prove nothing about disease.'
)


class ScoreMetrics(QWidget):
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
        self.table = FiguresTable()
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
            As `napari_cxr.scoring.measuring.Measuring.found` has them; empty where nothing can
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
        too_few = COMING if so_far else _TOO_FEW
        counted = words.counted(metrics, yours, so_far) if metrics else too_few
        self._show(metrics, counted, words.strange(unknown, unmeasured))

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
        overall = words.overall(metrics)
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
