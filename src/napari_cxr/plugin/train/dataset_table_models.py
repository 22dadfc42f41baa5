"""Table models of the images and near-duplicates of a data set, and the edits made to them.

Images can be left out, and pairs be marked as the same patient; each edit can be undone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QColor, QFont, QUndoCommand, QUndoStack

from napari_cxr.plugin.plots.plot import alert_red
from napari_cxr.plugin.train.dataset_summary import relative_names
from napari_cxr.plugin.widgets.row_table import RowTableModel, TableColumn
from napari_cxr.training.dataset_survey import DuplicatePair, Survey

__all__ = ['DataEdits', 'ImageTableModel', 'PairTableModel']


class DataEdits(QObject):
    """The edits made to a data set; images are identified by their digests, so copies are one.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    #: Digests (list of str), and whether they are now left out.
    excluded = Signal(object, bool)
    #: Two digests, and whether they are now marked as the same patient's.
    grouped = Signal(str, str, bool)
    #: Anything changed, by the user or from outside.
    changed = Signal()
    #: The next edit to undo has changed.
    history_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.undo_stack = QUndoStack(self)
        self.undo_stack.indexChanged.connect(self._history_moved)
        self._out: set[str] = set()
        self._together: set[frozenset[str]] = set()
        #: Edits that no survey has confirmed yet, with the number of surveys since.
        self._pending: dict[str, tuple[bool, int]] = {}

    def is_out(self, digest: str) -> bool:
        """Whether an image is left out."""
        return digest in self._out

    def is_same_patient(self, first: str, second: str) -> bool:
        """Whether two images are marked as the same patient's."""
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
        """Leave images out, or include them again."""
        wanted = [d for d in dict.fromkeys(digests) if (d in self._out) != out]
        if wanted:
            self.undo_stack.push(_LeaveOutCommand(self, wanted, out))

    def mark_same_patient(self, first: str, second: str, together: bool = True) -> None:
        """Mark two images as the same patient's, or separate them."""
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
        super().__init__(f'{"leaving out" if out else "including"} {count}')
        self._edits, self._digests, self._out = edits, digests, out

    def redo(self) -> None:
        """Apply the edit, the first time or again."""
        self._edits._set_out(self._digests, self._out)

    def undo(self) -> None:
        """Revert the edit."""
        self._edits._set_out(self._digests, not self._out)


class _PutTogetherCommand(QUndoCommand):
    def __init__(self, edits: DataEdits, first: str, second: str, together: bool) -> None:
        super().__init__('marking a pair as the same patient' if together else 'separating a pair')
        self._edits, self._pair, self._together = edits, (first, second), together

    def redo(self) -> None:
        """Apply the edit, the first time or again."""
        self._edits._set_together(*self._pair, self._together)

    def undo(self) -> None:
        """Revert the edit."""
        self._edits._set_together(*self._pair, not self._together)


_IMAGE_COLUMNS = tuple(map(TableColumn, ('Image', 'Class', 'Source', 'Split', 'Size')))

_IMAGE, _CLASS, _SOURCE, _SPLIT, _SIZE = range(5)

_SPLIT_NAMES = {'train': 'train', 'val': 'validation', 'test': 'test', '': 'not used'}


class ImageTableModel(RowTableModel[str]):
    """A row for each image, by its path; images that are left out are struck through.

    Parameters
    ----------
    edits : DataEdits
        Which images are left out.
    parent : QObject, optional
        Qt parent.
    """

    def __init__(self, edits: DataEdits, parent: QObject | None = None) -> None:
        super().__init__(_IMAGE_COLUMNS, parent)
        self._edits = edits
        self._survey: Survey | None = None
        self._names: list[str] = []
        self._classes: list[str] = []
        self._sort_keys: dict[int, np.ndarray] = {}
        self._search_texts: list[str] = []
        self._muted = QColor(128, 128, 128)
        self._struck_out = QFont()
        self._struck_out.setStrikeOut(True)
        edits.changed.connect(self._repaint)

    def set_survey(self, survey: Survey | None) -> bool:
        """Show the images of a survey, and return whether they are other images.

        If they are the same images again, the rows are kept.
        """
        self._survey = survey
        self._sort_keys, self._search_texts = {}, []
        if survey is None:
            self._names, self._classes = [], []
            return self.set_rows(())
        self._names = relative_names(survey.paths)
        labels = np.array(survey.labels, dtype=object)
        self._classes = [', '.join(labels[row]) for row in np.asarray(survey.truth, bool)]
        return self.set_rows(survey.paths)

    def set_muted_colour(self, color: QColor) -> None:
        """Set the colour of images that are not used."""
        self._muted = color
        self.repaint_rows()

    def digest(self, row: int) -> str:
        """Return the digest by which recipes refer to an image."""
        return self._survey.digests[row] if self._survey is not None else ''

    def is_out(self, row: int) -> bool:
        """Whether an image is left out."""
        return self._edits.is_out(self.digest(row))

    # -- see `RowTableModel` ------------------------------------------------------------

    def text(self, row: int, column: int) -> str:
        """Return the text of a cell."""
        assert self._survey is not None
        if column == _IMAGE:
            return self._names[row]
        if column == _CLASS:
            return self._classes[row]
        if column == _SOURCE:
            return self._survey.sources[row]
        if column == _SPLIT:
            return 'left out' if self.is_out(row) else _SPLIT_NAMES[self._survey.splits[row]]
        rows, columns = self._survey.sizes[row]
        return f'{columns} × {rows}'

    def spoken_text(self, row: int, column: int) -> str:
        """Return the text of a cell, and whether the image is left out."""
        return self.text(row, column) + (', left out' if self.is_out(row) else '')

    def font(self, row: int) -> QFont | None:
        """Strike out images that are left out."""
        return self._struck_out if self.is_out(row) else None

    def color(self, row: int, column: int) -> QColor | None:
        """Mute images that are not used."""
        assert self._survey is not None
        return self._muted if self.is_out(row) or not self._survey.splits[row] else None

    def sort_key(self, row: int, column: int) -> int:
        """Return the rank of an image within a column; ranks are computed once."""
        assert self._survey is not None
        if column not in self._sort_keys:
            values: Any
            if column == _SIZE:
                values = np.prod(np.asarray(self._survey.sizes, dtype=np.int64), axis=1)
            else:
                values = np.array([self.text(i, column) for i in range(len(self._names))])
            self._sort_keys[column] = np.unique(values, return_inverse=True)[1].ravel()
        return int(self._sort_keys[column][row])

    def search_text(self, row: int) -> str:
        """Return path, class, source, split and size of an image in lower case."""
        if not self._search_texts:
            assert self._survey is not None
            columns = zip(
                self._names, self._classes, self._survey.sources, self._survey.splits, strict=True
            )
            self._search_texts = [
                f'{name}\nclass={kind}\nsource={source}\nsplit={_SPLIT_NAMES[split]}\n'.casefold()
                for name, kind, source, split in columns
            ]
        out = 'left out\n' if self.is_out(row) else ''
        return f'{self._search_texts[row]}{self.text(row, _SIZE)}\n{out}'

    def _repaint(self) -> None:
        self._sort_keys.pop(_SPLIT, None)
        self.repaint_rows()


_PAIR_COLUMNS = (
    TableColumn('Two images', 'The two files, one above the other'),
    TableColumn(
        'What is odd',
        'How similar the images are at low resolution, and in what two copies should not differ',
    ),
)

_SHORT_SPLIT_NAMES = {'train': 'train', 'val': 'val', 'test': 'test', '': 'not used'}

#: Bits of the perceptual hash by which pairs are found.
_HASH_BITS = 64


class PairTableModel(RowTableModel[DuplicatePair]):
    """A row for each pair of near-duplicates: the two files, and what differs between them.

    Parameters
    ----------
    edits : DataEdits
        Which pairs were marked as the same patient.
    theme : str
        Name of napari's theme.
    parent : QObject, optional
        Qt parent.
    """

    def __init__(self, edits: DataEdits, theme: str, parent: QObject | None = None) -> None:
        super().__init__(_PAIR_COLUMNS, parent)
        self._edits, self._theme = edits, theme
        self._survey: Survey | None = None
        self._names: list[str] = []
        edits.changed.connect(self._repaint)

    def set_survey(self, survey: Survey | None) -> None:
        """Show the pairs of a survey; if they are the same pairs again, the rows are kept."""
        self._survey = survey
        self._names = relative_names(survey.paths) if survey is not None else []
        self.set_rows(survey.pairs if survey is not None else ())

    def set_theme(self, theme: str) -> None:
        """Use the colours of another of napari's themes."""
        self._theme = theme
        self.repaint_rows()

    def pair_notes(self, pair: DuplicatePair) -> list[str]:
        """Return how similar two images are, and what differs between them."""
        survey = self._survey
        assert survey is not None
        a, b = pair.first, pair.second
        first, second = survey.digests[a], survey.digests[b]
        similarity = 100 - 100 * pair.distance / _HASH_BITS
        out = ['the same file' if first == second else f'{similarity:.0f} % alike']
        if (survey.truth[a] != survey.truth[b]).any():
            out.append('two classes')
        if survey.splits[a] != survey.splits[b]:
            splits = (_SHORT_SPLIT_NAMES[survey.splits[i]] for i in (a, b))
            out.append(' / '.join(splits))
        if self._edits.is_same_patient(first, second):
            out.append('same patient')
        elif survey.groups[a] == survey.groups[b]:
            out.append('one patient')
        elif survey.split_kind == 'by patient':
            out.append('two patients')
        return out

    @property
    def most_lines(self) -> int:
        """Number of lines of the highest row."""
        return max((len(self.pair_notes(pair)) for pair in self.rows), default=2)

    # -- see `RowTableModel` ------------------------------------------------------------

    def text(self, row: int, column: int) -> str:
        """Return the two names, or what is odd."""
        pair = self.row(row)
        if column == 0:
            return f'{self._names[pair.first]}\n{self._names[pair.second]}'
        return '\n'.join(self.pair_notes(pair))

    def tooltip(self, row: int, column: int) -> str:
        """Return the text, and how similar the pair is to a network."""
        similarity = self.row(row).similarity
        text = self.text(row, column)
        if column == 0 or math.isnan(similarity):
            return text
        return f'{text}\nA network rates their similarity {similarity:.2f}; 1 is identical.'

    def color(self, row: int, column: int) -> QColor | None:
        """Mark pairs that lie in different splits, classes or patients."""
        return alert_red(self._theme) if column == 1 and self.row(row).across else None

    def _repaint(self) -> None:
        self.repaint_rows()
