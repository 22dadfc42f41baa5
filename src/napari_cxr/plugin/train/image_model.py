"""The images of a data set as a table, and the filter in front of it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, QSortFilterProxyModel, Qt
from qtpy.QtGui import QColor, QFont

from napari_cxr.plugin.train.data_edits import DataEdits
from napari_cxr.plugin.train.survey_counts import relative_names
from napari_cxr.training.survey import Survey

__all__ = ['ImageFilter', 'ImageModel']

_HEADERS = ('Image', 'Class', 'Source', 'Split', 'Size')
_IMAGE, _CLASS, _SOURCE, _SPLIT, _SIZE = range(5)
_SPLIT_WORDS = {'train': 'train', 'val': 'validation', 'test': 'test', '': 'not used'}
_WORD = re.compile(r'"([^"]*)"|(\S+)')


class ImageModel(QAbstractTableModel):
    """One row for each image; those that are left out are struck through.

    Parameters
    ----------
    edits : DataEdits
        What a person has left out.
    parent : QObject, optional
        Qt parent.
    """

    def __init__(self, edits: DataEdits, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._edits = edits
        self._survey: Survey | None = None
        self._names: list[str] = []
        self._classes: list[str] = []
        self._ranks: dict[int, np.ndarray] = {}
        self._texts: list[str] = []
        self._quiet = QColor(128, 128, 128)
        self._struck = QFont()
        self._struck.setStrikeOut(True)
        edits.changed.connect(self._repaint)

    def set_survey(self, survey: Survey | None) -> bool:
        """Show a data set, and return whether it is another one.

        Where it is the same images again, rows stay where they are.
        """
        before = self._survey.paths if self._survey is not None else ()
        same = survey is not None and survey.paths == before and bool(before)
        if not same:
            self.beginResetModel()
        self._survey = survey
        self._ranks, self._texts = {}, []
        if survey is None:
            self._names, self._classes = [], []
        else:
            self._names = relative_names(survey.paths)
            labels = np.array(survey.labels, dtype=object)
            self._classes = [', '.join(labels[row]) for row in np.asarray(survey.truth, bool)]
        if same:
            self._repaint()
        else:
            self.endResetModel()
        return not same

    def set_quiet(self, color: QColor) -> None:
        """Set the colour of images that are not used."""
        self._quiet = color
        self._repaint()

    def digest(self, row: int) -> str:
        """Return what recipes call an image."""
        return self._survey.digests[row] if self._survey is not None else ''

    def path(self, row: int) -> str:
        """Return the file of an image, as the survey names it."""
        return self._survey.paths[row] if self._survey is not None else ''

    def is_out(self, row: int) -> bool:
        """Whether a person left an image out."""
        return self._edits.is_out(self.digest(row))

    def rank(self, row: int, column: int) -> int:
        """Return the place of an image in the order of a column."""
        assert self._survey is not None
        if column not in self._ranks:
            keys: Any
            if column == _SIZE:
                keys = np.prod(np.asarray(self._survey.sizes, dtype=np.int64), axis=1)
            else:
                keys = np.array([self._text(i, column) for i in range(len(self._names))])
            self._ranks[column] = np.unique(keys, return_inverse=True)[1].ravel()
        return int(self._ranks[column][row])

    def words(self, row: int) -> str:
        """Return what a filter looks in, in lower case."""
        if not self._texts:
            assert self._survey is not None
            columns = zip(
                self._names, self._classes, self._survey.sources, self._survey.splits, strict=True
            )
            self._texts = [
                f'{name}\nclass={kind}\nsource={source}\nsplit={_SPLIT_WORDS[split]}\n'.lower()
                for name, kind, source, split in columns
            ]
        out = 'left out\n' if self.is_out(row) else ''
        return f'{self._texts[row]}{self._text(row, _SIZE)}\n{out}'

    # -- Qt's side ----------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of images."""
        return 0 if parent is not None and parent.isValid() else len(self._names)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(_HEADERS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        """Return the name of a column."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _HEADERS[section]
        return None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Return what a cell shows, and how."""
        if not index.isValid() or self._survey is None:
            return None
        row, column = index.row(), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(row, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._names[row] if column == _IMAGE else self._text(row, column)
        if role == Qt.ItemDataRole.FontRole and self.is_out(row):
            return self._struck
        if role == Qt.ItemDataRole.ForegroundRole:
            unused = self.is_out(row) or not self._survey.splits[row]
            return self._quiet if unused else None
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return self._text(row, column) + (', left out' if self.is_out(row) else '')
        return None

    def _text(self, row: int, column: int) -> str:
        assert self._survey is not None
        if column == _IMAGE:
            return self._names[row]
        if column == _CLASS:
            return self._classes[row]
        if column == _SOURCE:
            return self._survey.sources[row]
        if column == _SPLIT:
            return 'left out' if self.is_out(row) else _SPLIT_WORDS[self._survey.splits[row]]
        high, wide = self._survey.sizes[row]
        return f'{wide} × {high}'

    def _repaint(self) -> None:
        if self._names:
            self._ranks.pop(_SPLIT, None)
            last = self.index(len(self._names) - 1, len(_HEADERS) - 1)
            self.dataChanged.emit(self.index(0, 0), last)


class ImageFilter(QSortFilterProxyModel):
    """Shows the images in which all the words of a filter occur, sorted by a column.

    Parameters
    ----------
    images : ImageModel
        What is filtered.
    parent : QObject, optional
        Qt parent.
    """

    def __init__(self, images: ImageModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._images = images
        self._wanted: list[str] = []
        self.setDynamicSortFilter(False)  # nothing jumps away while it is clicked
        self.setSourceModel(images)

    def set_text(self, text: str) -> None:
        """Filter by words, or by phrases in quotation marks."""
        self._wanted = [(phrase or word).lower() for phrase, word in _WORD.findall(text)]
        self.invalidate()

    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:
        """Return whether all words occur."""
        if not self._wanted:
            return True
        words = self._images.words(row)
        return all(word in words for word in self._wanted)

    def lessThan(self, left: QModelIndex, right: QModelIndex) -> bool:
        """Compare by the order of the column, computed once."""
        images = self._images
        return images.rank(left.row(), left.column()) < images.rank(right.row(), right.column())
