"""The curves of a run, figure by figure, with those of another laid over them."""

from __future__ import annotations

import math

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_cxr.plugin.plots import Curves, Line
from napari_cxr.plugin.runs.run_course import FIGURES, Course, Figure
from napari_cxr.plugin.text import quiet_label

__all__ = ['RunCurves']

_TRAIN, _VAL, _BEST = 0, 1, 2  # numbers of colours


class RunCurves(QWidget):
    """One figure against the epochs, chosen from a list.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: Another run is wanted beside this one.
    compare_wanted = Signal()
    #: The other run is not wanted any more.
    compare_ended = Signal()

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._course: Course | None = None
        self._other: Course | None = None
        self._names = ('', '')
        self.figure = QComboBox()
        self.figure.setAccessibleName('Figure')
        self.figure.setToolTip('Which figure is drawn against the epochs')
        for figure in FIGURES:
            self.figure.addItem(figure.title, figure)
            at = self.figure.count() - 1
            self.figure.setItemData(at, figure.about, Qt.ItemDataRole.ToolTipRole)
        self.compare = QPushButton()
        self.curves = Curves(theme)
        self.curves.set_empty_text('The curves begin when the first epoch is done.')
        self.key = quiet_label()
        first = QHBoxLayout()
        first.addWidget(self.figure, 1)
        first.addWidget(self.compare)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(first)
        layout.addWidget(self.curves)
        layout.addWidget(self.key)
        self.figure.currentIndexChanged.connect(self._draw)
        self.compare.clicked.connect(self._compare_or_end)
        self._draw()

    def set_theme(self, theme: str) -> None:
        """Change to another of napari's themes."""
        self.curves.set_theme(theme)

    def set_course(self, course: Course | None, name: str = '') -> None:
        """Draw a run; `name` tells it from the other one."""
        self._course, self._names = course, (name, self._names[1])
        self._draw()

    def set_other(self, course: Course | None, name: str = '') -> None:
        """Lay another run over it with dashed lines, or take it away."""
        self._other, self._names = course, (self._names[0], name)
        self._draw()

    @property
    def comparing(self) -> bool:
        """Whether another run is on show."""
        return self._other is not None

    def _compare_or_end(self) -> None:
        if self.comparing:
            self.set_other(None)
            self.compare_ended.emit()
        else:
            self.compare_wanted.emit()

    def _draw(self) -> None:
        figure: Figure = self.figure.currentData()
        lines = []
        if self._course is not None:
            lines += _lines(self._course, figure, dashed=False)
        if self._other is not None:
            lines += _lines(self._other, figure, dashed=True)
        self.curves.set_lines(lines)
        self.key.setText(f'Solid: {self._names[0]}. Dashed: {self._names[1]}.')
        self.key.setVisible(self.comparing)
        self.curves.setToolTip(figure.about)
        self.compare.setText('End comparison' if self.comparing else 'Compare with…')
        self.compare.setToolTip(
            'Take the dashed curves away'
            if self.comparing
            else 'Lay the curves of another run over these'
        )
        self.compare.setEnabled(self._course is not None or self.comparing)


def _lines(course: Course, figure: Figure, *, dashed: bool) -> list[Line]:
    """Return the lines of one run; without those of which nothing is known."""
    before = 'other ' if dashed else ''
    lines: list[Line] = []
    for field, word, color in (
        (figure.train, 'training' if figure.val else figure.title.lower(), _TRAIN),
        (figure.val, 'validation', _VAL),
    ):
        xs, ys = course.curve(field)
        if any(math.isfinite(y) for y in ys):
            lines.append(Line(before + word, xs, ys, 'dashed' if dashed else 'solid', color))
    best = course.best
    if lines and best is not None and not dashed:
        # Where both are drawn, the epoch was chosen by the validation images.
        value = getattr(best, figure.val or figure.train)
        which = 'best' if course.chosen else 'kept'
        lines.append(
            Line(f'{which} epoch {best.epoch}', [float(best.epoch)], [value], 'solid', _BEST)
        )
    return lines
