"""Images by class and split, each class with its sources folded below it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from napari_cxr.plugin.train.survey_counts import Counts

__all__ = ['ClassTable']

_HEADERS = ('Class', 'Train', 'Val', 'Test', 'Out', 'All')
_TIPS = (
    'Click the arrow before a class to see its sources',
    'Images that the network learns from',
    'Validation: images by which the best epoch is chosen',
    'Images on which the result is measured',
    'Images that you or the recipe left out',
    'All images',
)
#: Columns of the splits, and of what is left out.
_SPLITS, _OUT = range(1, 4), 4
_MOST_ROWS = 13


class ClassTable(QTreeWidget):
    """Shows counts; a class unfolds into its sources.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setColumnCount(len(_HEADERS))
        self.setHeaderLabels(list(_HEADERS))
        head = self.headerItem()
        for column, tip in enumerate(_TIPS):
            if head is not None:
                head.setToolTip(column, tip)
                side = Qt.AlignmentFlag.AlignLeft if not column else Qt.AlignmentFlag.AlignRight
                head.setTextAlignment(column, side | Qt.AlignmentFlag.AlignVCenter)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setUniformRowHeights(True)
        self.setStyleSheet('QTreeView::item { padding: 2px 0; }')
        self.setIndentation(14)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setAccessibleName('Images by class, source and split')
        self.setToolTip('Images of each class in each split; unfold a class for its sources')
        self.setMinimumWidth(220)
        header = self.header()
        if header is not None:
            header.setStretchLastSection(False)
            header.setMinimumSectionSize(24)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            for column in range(1, len(_HEADERS)):
                header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.itemExpanded.connect(self._fit_height)
        self.itemCollapsed.connect(self._fit_height)

    def show_counts(self, counts: Counts) -> None:
        """Show counts; classes that are unfolded stay so."""
        unfolded = {item.text(0) for item in self._classes() if item.isExpanded()}
        self.clear()
        several = len(counts.sources) > 1
        for k, label in enumerate(counts.labels):
            row = _row(label, counts.table[k].sum(axis=0), bold=True)
            self.addTopLevelItem(row)
            for s, source in enumerate(counts.sources if several else ()):
                if counts.table[k, s].any():
                    row.addChild(_row(source, counts.table[k, s]))
            row.setExpanded(label in unfolded)
        every = _row('All images', counts.totals)
        every.setToolTip(0, 'Each image once, though one with several labels is in several rows')
        self.addTopLevelItem(every)
        for column in _SPLITS:  # where nothing is divided, there is nothing to tell of them
            self.setColumnHidden(column, not counts.totals[:3].any())
        self.setColumnHidden(_OUT, not counts.totals[4])
        self._fit_height()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Measure in the font that it is shown in."""
        super().showEvent(event)
        self._fit_height()

    def _classes(self) -> Sequence[QTreeWidgetItem]:
        found = (self.topLevelItem(i) for i in range(self.topLevelItemCount()))
        return [item for item in found if item is not None]

    def _fit_height(self) -> None:
        rows = sum(1 + (i.childCount() if i.isExpanded() else 0) for i in self._classes())
        height = self.sizeHintForRow(0)
        header = self.header()
        top = header.sizeHint().height() if header is not None else 0
        self.setFixedHeight(top + min(rows, _MOST_ROWS) * height + 4)


def _row(name: str, counts: np.ndarray, bold: bool = False) -> QTreeWidgetItem:
    train, val, test, _, out = counts
    numbers = [train, val, test, out, counts.sum()]
    item = QTreeWidgetItem([name, *(f'{n:,}'.replace(',', '\u2009') for n in numbers)])
    item.setToolTip(0, name)
    for column in range(len(numbers) + 1):
        if column:
            item.setTextAlignment(
                column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            )
        if bold:
            font = item.font(column)
            font.setBold(True)
            item.setFont(column, font)
    return item
