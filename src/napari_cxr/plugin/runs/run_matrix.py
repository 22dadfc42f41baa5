"""The validation images of a run by truth and by what the network called them."""

from __future__ import annotations

import numpy as np
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_cxr.plugin.plots import Matrix
from napari_cxr.plugin.runs.run_course import Course
from napari_cxr.plugin.text import quiet_label

__all__ = ['RunMatrix']


class RunMatrix(QWidget):
    """A confusion matrix, and which epoch it is of; hidden while there is none.

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
        self.matrix = Matrix(theme, 'truth', 'called')
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.title)
        layout.addWidget(self.matrix)
        self.set_course(None, best=False)

    def set_theme(self, theme: str) -> None:
        """Change to another of napari's themes."""
        self.matrix.set_theme(theme)

    def set_course(self, course: Course | None, *, best: bool) -> None:
        """Show a run's latest epoch, or its best one.

        Images with several labels each have no such matrix.
        """
        epoch = None
        if course is not None:
            epoch = course.best if best and course.best is not None else course.last
        self.setVisible(epoch is not None and bool(epoch.confusion))
        if course is None or epoch is None or not epoch.confusion:
            return
        counts = np.array(epoch.confusion)
        labels = course.labels
        if len(labels) != len(counts):  # of a run that left no model, nobody knows them
            labels = tuple(f'class {i}' for i in range(1, len(counts) + 1))
        kept = 'the best epoch' if course.chosen else 'the epoch that is kept,'
        which = kept if best else 'epoch'
        self.title.setText(f'Validation images after {which} {epoch.epoch}')
        self.matrix.set_values(counts, labels, labels)
