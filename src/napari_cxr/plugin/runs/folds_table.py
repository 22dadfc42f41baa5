"""The folds of a cross-validated run, or the runs of a sweep, one line each."""

from __future__ import annotations

import math
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt, Signal
from qtpy.QtWidgets import QHeaderView, QTableView, QWidget

from napari_cxr.plugin.plain_table import make_plain
from napari_cxr.plugin.runs.run_course import Course
from napari_cxr.plugin.runs.run_words import part

__all__ = ['FoldsModel', 'FoldsTable']

_COLUMNS = (
    ('Run', 'Which of the runs'),
    ('Epoch', 'The epoch whose model is kept: the best so far, or the last'),
    ('Val. AUC', 'Macro AUC on the validation images, after that epoch'),
    ('Test AUC', 'Macro AUC on the test images, measured once at the end'),
)
_MOST_ROWS = 8  # that are seen at once


class FoldsModel(QAbstractTableModel):
    """A line for each network that a run trains.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._courses: list[Course] = []

    def set_courses(self, courses: list[Course]) -> None:
        """Show these; the ones that were there before keep their lines."""
        if courses[: len(self._courses)] != self._courses or len(courses) < len(self._courses):
            self.beginResetModel()
            self._courses = list(courses)
            self.endResetModel()
            return
        if len(courses) > len(self._courses):
            self.beginInsertRows(QModelIndex(), len(self._courses), len(courses) - 1)
            self._courses = list(courses)
            self.endInsertRows()
        if courses:
            last = self.index(len(courses) - 1, len(_COLUMNS) - 1)
            self.dataChanged.emit(self.index(0, 0), last)

    def name(self, row: int) -> str:
        """Return the whole name of the run in a line."""
        return self._courses[row].name

    def row_of(self, name: str) -> int:
        """Return the line of a run, -1 where there is none."""
        return next((i for i, c in enumerate(self._courses) if c.name == name), -1)

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Return the number of runs."""
        return 0 if parent.isValid() else len(self._courses)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Return the number of columns."""
        return 0 if parent.isValid() else len(_COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return a column's title, its explanation as tooltip, or how it is aligned."""
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(section)
        title, about = _COLUMNS[section]
        texts = {Qt.ItemDataRole.DisplayRole: title, Qt.ItemDataRole.ToolTipRole: about}
        return texts.get(Qt.ItemDataRole(role))

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text of a cell, or how it is aligned."""
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(index.column())
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        course = self._courses[index.row()]
        best = course.best
        if index.column() == 0:
            return part(course.name)
        if index.column() == 1:
            return f'{best.epoch}' if best is not None else '–'
        if index.column() == 2:
            return _text(best.val_macro_auc if best is not None else None)
        if course.metrics.get('measured_on') != 'test':
            return '–'
        found = (course.metrics.get('model') or {}).get('all') or {}
        return _text((found.get('macro_auc') or [None])[0])


class FoldsTable(QTableView):
    """Shows the runs; choosing one tells its name.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: The whole name of the run that a person chose.
    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.folds = FoldsModel(self)
        self.setModel(self.folds)
        across = make_plain(self, 'Runs of this training', several=False)
        across.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.setToolTip('Choose a run to see its curves')
        chosen = self.selectionModel()
        assert chosen is not None
        chosen.currentRowChanged.connect(self._choose)

    def set_courses(self, courses: list[Course], shown: str) -> None:
        """Show the runs; `shown` is the one whose curves are seen."""
        before = self.folds.rowCount()
        self.folds.set_courses(courses)
        if self.folds.rowCount() != before:
            self._fit_height()
        row = self.folds.row_of(shown)
        if row >= 0 and row != self.currentIndex().row():
            chosen = self.selectionModel()
            assert chosen is not None
            blocked = self.blockSignals(True)
            self.selectRow(row)
            self.blockSignals(blocked)

    def _choose(self, index: QModelIndex) -> None:
        if index.isValid() and not self.signalsBlocked():
            self.chosen.emit(self.folds.name(index.row()))

    def _fit_height(self) -> None:
        down, across = self.verticalHeader(), self.horizontalHeader()
        assert down is not None and across is not None
        rows = min(max(self.folds.rowCount(), 1), _MOST_ROWS)
        height = rows * down.defaultSectionSize() + across.sizeHint().height()
        self.setFixedHeight(height + 2 * self.frameWidth())


def _text(value: Any) -> str:
    known = isinstance(value, int | float) and math.isfinite(value)
    return f'{value:.3f}' if known else '–'


def _alignment(column: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter
