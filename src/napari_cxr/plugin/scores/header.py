"""The titles of the table of scores: which columns stand there, in which order, how wide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from qtpy.QtCore import Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QHeaderView, QWidget

from napari_cxr.plugin.scores.column_choice import ColumnChoice
from napari_cxr.plugin.scores.table_model import ScoreModel
from napari_cxr.plugin.scores.widths import fitting_widths

__all__ = ['ScoreHeader']


class ScoreHeader(QHeaderView):
    """Columns fit what is in them, but for those whose edge a person has dragged.

    Parameters
    ----------
    model : ScoreModel
        Whose columns.
    choice : ColumnChoice
        Which are wanted, and where widths and order are remembered.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(
        self, model: ScoreModel, choice: ColumnChoice, parent: QWidget | None = None
    ) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._model, self._choice = model, choice
        self._longest: Mapping[str, str] = {}
        self._room = 0
        self._narrowest = -1  # until it is asked for
        self._by_hand = False  # an edge or a title may be being dragged
        self._dragged: dict[str, int] = {}
        self._was_moved = False
        self.setSectionsMovable(True)
        self.setSectionsClickable(True)
        self.setHighlightSections(False)
        self.setMinimumSectionSize(28)
        # Where titles are too long, the arrow at their end stays.
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.sectionResized.connect(self._resized)
        self.sectionMoved.connect(self._moved)

    @property
    def shown(self) -> list[int]:
        """The columns that are shown, from the left."""
        every = (self.logicalIndex(i) for i in range(self.count()))
        return [i for i in every if not self.isSectionHidden(i)]

    def start(self, change: Callable[[], None]) -> None:
        """Take other columns altogether, in the order that is remembered."""
        with self._by_itself():
            change()
        self._narrowest = -1
        self.arrange()

    def arrange(self) -> None:
        """Put columns where a person wants them, as wide as they are wanted or need to be."""
        keys = [column.key for column in self._model.columns]
        with self._by_itself():
            for place, key in enumerate(self._choice.arranged(keys)):
                self.moveSection(self.visualIndex(keys.index(key)), place)
        self._fit()

    def show_columns(self, keys: Sequence[str]) -> None:
        """Show these columns and no others."""
        longest = self._model.rows.longest()
        changed, self._longest = longest != self._longest, longest
        with self._by_itself():
            for i, column in enumerate(self._model.columns):
                changed |= self.isSectionHidden(i) is (column.key in keys)
                self.setSectionHidden(i, column.key not in keys)
        if changed:
            self._fit()

    def fit_into(self, room: int) -> None:
        """Make columns as wide as what is in them; the files take what is left of the room."""
        self._room = room
        self._fit()

    def _fit(self) -> None:
        if self._dragged:  # by a person who has not let go yet
            return
        shown = {i: self._model.columns[i] for i in self.shown}
        kept = {
            i: self._choice.widths[column.key]
            for i, column in shown.items()
            if column.key in self._choice.widths
        }
        measure = self.fontMetrics().horizontalAdvance
        widths = fitting_widths(shown, self._room, measure, self._longest, kept)
        with self._by_itself():
            for i, width in widths.items():
                self.resizeSection(i, width)

    @property
    def narrowest_bar(self) -> int:
        """Pixels of the narrowest column of probabilities: all are drawn alike."""
        if self._narrowest < 0:
            bars = (i for i in self.shown if self._model.columns[i].kind == 'bar')
            self._narrowest = min(map(self.sectionSize, bars), default=0)
        return self._narrowest

    def let_fit(self, section: int) -> None:
        """Let a column fit again what is in it."""
        self._choice.forget_width(self._model.columns[section].key)
        self._fit()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Take what is resized or moved from now on for a wish of the person."""
        self._by_hand = True
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Remember what a person has resized or moved; the other columns take what is left."""
        super().mouseReleaseEvent(event)
        self._by_hand = False
        dragged, moved = self._dragged, self._was_moved
        self._dragged, self._was_moved = {}, False
        if dragged:
            self._choice.keep_widths(dragged)
            self._fit()
        if moved:
            every = (self.logicalIndex(i) for i in range(self.count()))
            self._choice.keep_order([self._model.columns[i].key for i in every])

    def _resized(self, section: int, before: int, width: int) -> None:
        self._narrowest = -1
        if self._by_hand:
            self._dragged[self._model.columns[section].key] = width

    def _moved(self) -> None:
        self._was_moved = self._by_hand

    @contextmanager
    def _by_itself(self) -> Iterator[None]:
        """Change columns without taking it for a person's wish."""
        by_hand, self._by_hand = self._by_hand, False
        yield
        self._by_hand = by_hand
