"""Near-duplicates as a table, with what should not lie between two copies of one image."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

from napari_cxr.plugin.plots.palette import red
from napari_cxr.plugin.train.data_edits import DataEdits
from napari_cxr.plugin.train.survey_counts import relative_names
from napari_cxr.training.survey import Pair, Survey

__all__ = ['PairModel']

_SPLITS = {'train': 'train', 'val': 'val', 'test': 'test', '': 'not used'}
#: Of the perceptual hash that pairs are found by.
_BITS = 64


class PairModel(QAbstractTableModel):
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

    def pair(self, row: int) -> Pair:
        """Return a pair."""
        assert self._survey is not None
        return self._survey.pairs[row]

    def said_of(self, pair: Pair) -> list[str]:
        """Return in words how alike two images are, and what lies between them."""
        survey = self._survey
        assert survey is not None
        a, b = pair.first, pair.second
        first, second = survey.digests[a], survey.digests[b]
        share = 100 - 100 * pair.distance / _BITS
        out = ['the same file' if first == second else f'{share:.0f} % alike']
        if (survey.truth[a] != survey.truth[b]).any():
            out.append('two classes')
        if survey.splits[a] != survey.splits[b]:
            out.append(f'{_SPLITS[survey.splits[a]]} / {_SPLITS[survey.splits[b]]}')
        if self._edits.is_together(first, second):
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
        return max((len(self.said_of(pair)) for pair in pairs), default=2)

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
            said = self.said_of(pair)
            if role == Qt.ItemDataRole.ToolTipRole and pair.similarity == pair.similarity:
                said.append(f'A network finds them {pair.similarity:.2f} alike, 1 is the same.')
            return '\n'.join(said)
        if role == Qt.ItemDataRole.ForegroundRole and index.column() == 1 and pair.across:
            return red(self._theme)
        return None

    def _repaint(self) -> None:
        if self.rowCount():
            self.dataChanged.emit(self.index(0, 0), self.index(self.rowCount() - 1, 1))
