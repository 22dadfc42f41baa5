"""Qt table models of a data set's images and near-duplicates, and the edits made to them.

A person can leave images out and put pairs together; each edit can be undone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from qtpy.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtGui import QColor, QFont, QUndoCommand, QUndoStack

from napari_cxr.plugin.plots.plot import alert_red
from napari_cxr.plugin.train.dataset_summary import relative_names
from napari_cxr.training.dataset_survey import DuplicatePair, Survey

__all__ = ['DataEdits', 'ImageFilterProxy', 'ImageTableModel', 'PairTableModel']


class DataEdits(QObject):
    """Images are known by their digests; two files that are alike to the byte are one.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    #: Digests (list of str), and whether they are left out now.
    excluded = Signal(object, bool)
    #: Two digests, and whether a person says that they are one patient's.
    grouped = Signal(str, str, bool)
    #: Anything changed, by a person or from outside.
    changed = Signal()
    #: What can be undone is another thing now.
    history_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.undo_stack = QUndoStack(self)
        self.undo_stack.indexChanged.connect(self._history_moved)
        self._out: set[str] = set()
        self._together: set[frozenset[str]] = set()
        #: What a survey has not confirmed yet, and how many surveys have come since.
        self._pending: dict[str, tuple[bool, int]] = {}

    def is_out(self, digest: str) -> bool:
        """Whether an image is left out."""
        return digest in self._out

    def is_same_patient(self, first: str, second: str) -> bool:
        """Whether a person has put two images together."""
        return frozenset((first, second)) in self._together

    @property
    def left_out(self) -> frozenset[str]:
        """All images that are left out."""
        return frozenset(self._out)

    def begin(self, out: Iterable[str], together: Iterable[Sequence[str]] = ()) -> None:
        """Start with another data set, with what a person has changed of it before."""
        self.undo_stack.clear()
        self._pending.clear()
        self._together = {frozenset(pair) for group in together for pair in combinations(group, 2)}
        self._out = set(out)
        self.changed.emit()

    def confirm(self, out: Iterable[str]) -> None:
        """Take over which images are left out by a new look at the same data set.

        A look that began before a person's last click knows nothing of it yet, so what was
        clicked stays until the look after.
        """
        found = set(out)
        waiting = {}
        for digest, (wanted, seen) in self._pending.items():
            if (digest in found) != wanted and not seen:
                waiting[digest] = (wanted, seen + 1)
                (found.add if wanted else found.discard)(digest)
        self._pending = waiting
        self._out = found
        self.changed.emit()

    def leave_out(self, digests: Iterable[str], out: bool = True) -> None:
        """Leave images out, or take them back."""
        wanted = [d for d in dict.fromkeys(digests) if (d in self._out) != out]
        if wanted:
            self.undo_stack.push(_LeaveOutCommand(self, wanted, out))

    def mark_same_patient(self, first: str, second: str, together: bool = True) -> None:
        """Say that two images are one patient's, or take that back."""
        if first != second and self.is_same_patient(first, second) != together:
            self.undo_stack.push(_PutTogetherCommand(self, first, second, together))

    def _history_moved(self) -> None:
        self.history_changed.emit()

    def _set_out(self, digests: list[str], out: bool) -> None:
        for digest in digests:
            (self._out.add if out else self._out.discard)(digest)
            self._pending[digest] = (out, 0)
        self.changed.emit()
        self.excluded.emit(list(digests), out)

    def _set_together(self, first: str, second: str, together: bool) -> None:
        pair = frozenset((first, second))
        (self._together.add if together else self._together.discard)(pair)
        self.changed.emit()
        self.grouped.emit(first, second, together)


class _LeaveOutCommand(QUndoCommand):
    def __init__(self, edits: DataEdits, digests: list[str], out: bool) -> None:
        count = '1 image' if len(digests) == 1 else f'{len(digests)} images'
        super().__init__(f'{"leaving out" if out else "taking back"} {count}')
        self._edits, self._digests, self._out = edits, digests, out

    def redo(self) -> None:
        """Do it, at first and again."""
        self._edits._set_out(self._digests, self._out)

    def undo(self) -> None:
        """Take it back."""
        self._edits._set_out(self._digests, not self._out)


class _PutTogetherCommand(QUndoCommand):
    def __init__(self, edits: DataEdits, first: str, second: str, together: bool) -> None:
        super().__init__('putting a pair together' if together else 'separating a pair')
        self._edits, self._pair, self._together = edits, (first, second), together

    def redo(self) -> None:
        """Do it, at first and again."""
        self._edits._set_together(*self._pair, self._together)

    def undo(self) -> None:
        """Take it back."""
        self._edits._set_together(*self._pair, not self._together)


_IMAGE_HEADERS = ('Image', 'Class', 'Source', 'Split', 'Size')

_IMAGE, _CLASS, _SOURCE, _SPLIT, _SIZE = range(5)

_SPLIT_WORDS = {'train': 'train', 'val': 'validation', 'test': 'test', '': 'not used'}

_FILTER_WORD = re.compile(r'"([^"]*)"|(\S+)')


class ImageTableModel(QAbstractTableModel):
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

    def set_muted_colour(self, color: QColor) -> None:
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
        return 0 if parent is not None and parent.isValid() else len(_IMAGE_HEADERS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        """Return the name of a column."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _IMAGE_HEADERS[section]
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
            last = self.index(len(self._names) - 1, len(_IMAGE_HEADERS) - 1)
            self.dataChanged.emit(self.index(0, 0), last)


class ImageFilterProxy(QSortFilterProxyModel):
    """Shows the images in which all the words of a filter occur, sorted by a column.

    Parameters
    ----------
    images : ImageModel
        What is filtered.
    parent : QObject, optional
        Qt parent.
    """

    def __init__(self, images: ImageTableModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._images = images
        self._wanted: list[str] = []
        self.setDynamicSortFilter(False)  # nothing jumps away while it is clicked
        self.setSourceModel(images)

    def set_text(self, text: str) -> None:
        """Filter by words, or by phrases in quotation marks."""
        self._wanted = [(phrase or word).lower() for phrase, word in _FILTER_WORD.findall(text)]
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


_SHORT_SPLIT_WORDS = {'train': 'train', 'val': 'val', 'test': 'test', '': 'not used'}

#: Of the perceptual hash that pairs are found by.
_HASH_BITS = 64


class PairTableModel(QAbstractTableModel):
    """One row for each pair: the two files, and what lies between them.

    Parameters
    ----------
    edits : DataEdits
        What a person has put together.
    theme : str
        Name of napari's theme.
    parent : QObject, optional
        Qt parent.
    """

    def __init__(self, edits: DataEdits, theme: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._edits, self._theme = edits, theme
        self._survey: Survey | None = None
        self._names: list[str] = []
        edits.changed.connect(self._repaint)

    def set_survey(self, survey: Survey | None) -> None:
        """Show the pairs of a survey; where they are the same ones, rows stay."""
        before = self._survey.pairs if self._survey is not None else ()
        same = survey is not None and bool(before) and survey.pairs == before
        if not same:
            self.beginResetModel()
        self._survey = survey
        self._names = relative_names(survey.paths) if survey is not None else []
        if same:
            self._repaint()
        else:
            self.endResetModel()

    def set_theme(self, theme: str) -> None:
        """Colour what is odd for another of napari's themes."""
        self._theme = theme
        self._repaint()

    def pair(self, row: int) -> DuplicatePair:
        """Return a pair."""
        assert self._survey is not None
        return self._survey.pairs[row]

    def edit_text(self, pair: DuplicatePair) -> list[str]:
        """Return in words how alike two images are, and what lies between them."""
        survey = self._survey
        assert survey is not None
        a, b = pair.first, pair.second
        first, second = survey.digests[a], survey.digests[b]
        share = 100 - 100 * pair.distance / _HASH_BITS
        out = ['the same file' if first == second else f'{share:.0f} % alike']
        if (survey.truth[a] != survey.truth[b]).any():
            out.append('two classes')
        if survey.splits[a] != survey.splits[b]:
            out.append(
                f'{_SHORT_SPLIT_WORDS[survey.splits[a]]} / {_SHORT_SPLIT_WORDS[survey.splits[b]]}'
            )
        if self._edits.is_same_patient(first, second):
            out.append('put together')
        elif survey.groups[a] == survey.groups[b]:
            out.append('one patient')
        elif survey.split_kind == 'by patient':
            out.append('two patients')
        return out

    @property
    def most_lines(self) -> int:
        """Lines of the highest row."""
        pairs = self._survey.pairs if self._survey is not None else ()
        return max((len(self.edit_text(pair)) for pair in pairs), default=2)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of pairs."""
        if self._survey is None or (parent is not None and parent.isValid()):
            return 0
        return len(self._survey.pairs)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else 2

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        """Return the name of a column, and what it means."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return ('Two images', 'What is odd')[section]
        if role == Qt.ItemDataRole.ToolTipRole:
            return (
                'The two files, one above the other',
                'How alike the two look when small, and what should not lie between copies',
            )[section]
        return None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Return what a cell shows, and how."""
        if not index.isValid() or self._survey is None:
            return None
        pair = self.pair(index.row())
        if role in (
            Qt.ItemDataRole.DisplayRole,
            Qt.ItemDataRole.ToolTipRole,
            Qt.ItemDataRole.AccessibleTextRole,
        ):
            if index.column() == 0:
                return f'{self._names[pair.first]}\n{self._names[pair.second]}'
            said = self.edit_text(pair)
            if role == Qt.ItemDataRole.ToolTipRole and pair.similarity == pair.similarity:
                said.append(f'A network finds them {pair.similarity:.2f} alike, 1 is the same.')
            return '\n'.join(said)
        if role == Qt.ItemDataRole.ForegroundRole and index.column() == 1 and pair.across:
            return alert_red(self._theme)
        return None

    def _repaint(self) -> None:
        if self.rowCount():
            self.dataChanged.emit(self.index(0, 0), self.index(self.rowCount() - 1, 1))
