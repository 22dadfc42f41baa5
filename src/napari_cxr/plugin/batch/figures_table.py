"""Figures of each class with their intervals, beside each other or, where it is narrow, below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_cxr.plugin.short_line import ShortLine

__all__ = ['FiguresTable']

_COLUMNS = {
    'auc': ('AUC', 'Area under the ROC curve of this class against all others: 0.5 is chance'),
    'sensitivity': ('Sensitivity', 'Share of the images of this class that were called so'),
    'specificity': ('Specificity', 'Share of the other images that were not called so'),
}
_CALLED = 'by threshold'
_CALLED_TIP = 'Called {} because its probability reaches the threshold of the decision'
#: Pixels between columns, and of a class's name at least where its figures stand beside it.
_GAP, _NAME = 12, 96
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class FiguresTable(QWidget):
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
        """Show figures by class, as `napari_cxr.scoring.measuring.Measuring.found` has them."""
        for name, images, figures in self._lines:
            for widget in (name, images, *figures):
                self._grid.removeWidget(widget)
                widget.deleteLater()
        self._lines = []
        for label, found in classes.items():
            name = ShortLine(self)
            name.show_text(label)
            self._add(name, f'{found["images"]:,}', [_cell(found.get(key)) for key in _COLUMNS])
            if called := found.get('called'):
                below = self._label(_CALLED, _CALLED_TIP.format(label), quiet=True)
                below.setAlignment(_LEFT)
                self._add(below, '', [_cell(called[k]) if k in called else '' for k in _COLUMNS])
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


def _cell(figure: Sequence[float | None] | None) -> str:
    if figure is None or figure[0] is None:
        return '–'
    value, low, high = figure
    between = '' if low is None or high is None else f'\n{low:.2f}–{high:.2f}'
    return f'{value:.3f}{between}'
