"""Figures of each class with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QTreeWidget, QTreeWidgetItem

__all__ = ['FiguresTable']

_COLUMNS = {
    'auc': ('AUC', 'Area under the ROC curve of this class against all others: 0.5 is chance'),
    'sensitivity': ('Sensitivity', 'Share of the images of this class that were called so'),
    'specificity': ('Specificity', 'Share of the other images that were not called so'),
}
_MOST_ROWS = 12


class FiguresTable(QTreeWidget):
    """A row a class: images, and each figure above its 95 % interval."""

    def __init__(self) -> None:
        super().__init__()
        self.setColumnCount(2 + len(_COLUMNS))
        self.setHeaderLabels(['Class', 'Images', *(name for name, _ in _COLUMNS.values())])
        head = self.headerItem()
        tips = ['', 'Images with this label', *(tip for _, tip in _COLUMNS.values())]
        for column, tip in enumerate(tips):
            if head is not None:
                head.setToolTip(column, tip)
                head.setTextAlignment(column, _side(column))
        self.setRootIsDecorated(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setUniformRowHeights(True)
        self.setStyleSheet(
            'QTreeView::item { padding: 3px 2px; }'
            'QHeaderView { background: transparent; }'
            'QHeaderView::section { background: transparent; border: 0; padding: 2px; }'
        )
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName('Figures of each class, with 95 % intervals')
        self.setMinimumWidth(220)
        header = self.header()
        if header is not None:
            header.setStretchLastSection(False)
            header.setMinimumSectionSize(24)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            for column in range(1, self.columnCount()):
                header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)

    def show_figures(self, classes: Mapping[str, Mapping[str, Any]]) -> None:
        """Show figures by class, as `napari_cxr.metrics.summarise` gives them."""
        self.clear()
        for label, found in classes.items():
            figures = [_cell(found.get(name)) for name in _COLUMNS]
            item = QTreeWidgetItem([label, f'{found["images"]:,}', *figures])
            item.setToolTip(0, label)
            for column in range(self.columnCount()):
                item.setTextAlignment(column, _side(column))
            self.addTopLevelItem(item)
        self._fit_height()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Measure in the font that it is shown in."""
        super().showEvent(event)
        self._fit_height()

    def _fit_height(self) -> None:
        header = self.header()
        top = header.sizeHint().height() if header is not None else 0
        rows = min(self.topLevelItemCount(), _MOST_ROWS)
        self.setFixedHeight(top + rows * max(0, self.sizeHintForRow(0)) + 4)


def _cell(figure: Sequence[float | None] | None) -> str:
    if figure is None or figure[0] is None:
        return '–'
    value, low, high = figure
    between = '' if low is None or high is None else f'\n{low:.2f}–{high:.2f}'
    return f'{value:.3f}{between}'


def _side(column: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignLeft if not column else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter
