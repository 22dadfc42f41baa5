"""The header of the score table: which columns it shows, in which order, and how wide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from qtpy.QtCore import Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QHeaderView, QWidget

from napari_cxr.plugin.score_table.column_choice import ColumnChoice
from napari_cxr.plugin.score_table.score_columns import ScoreColumn
from napari_cxr.plugin.score_table.score_model import ScoreTableModel

__all__ = ['ScoreTableHeader', 'fitting_widths']

#: Pixels: the column of files at least, usually, and before bars grow longer too.
_NARROWEST, _USUAL, _WIDEST = 120, 220, 420

#: Pixels that bars may grow longer.
_LONGER = 80

#: Pixels beside what is in a column.
_MARGINS = 14

#: What is seen of some kinds of cells at least, where all probabilities are to be seen.
_TIGHT = {'file': 'covid…0001', 'answer': '▲ pneum…', 'label': '≠ pneum…', 'bar': '100 %'}

#: Pixels by which a text in several parts may be wider than the whole.
_ROUNDED = 4


def fitting_widths(
    columns: Mapping[int, ScoreColumn],
    room: int,
    measure: Callable[[str], int],
    longest: Mapping[str, str] | None = None,
    kept: Mapping[int, int] | None = None,
) -> dict[int, int]:
    """Return widths at which titles and usual contents fit; files take what is left.

    Parameters
    ----------
    columns : mapping of int to Column
        Those that are shown, by their number.
    room : int
        Pixels that there are for all.
    measure : callable
        From a text to the pixels that it is wide.
    longest : mapping of str to str, optional
        The longest texts: 'file', 'answer', and 'against' with a person's own label.
    kept : mapping of int to int, optional
        Pixels of columns whose width is not to be changed.

    Returns
    -------
    dict of int to int
        Pixels, by the number of the column.
    """
    longest, kept = longest or {}, kept or {}
    columns = {i: column for i, column in columns.items() if i not in kept}
    room -= sum(kept.values())
    figure = measure('0')
    widths = {
        i: max(column.wide * figure, measure(f'{column.title} ▾')) + _MARGINS
        for i, column in columns.items()
    }
    answers = [i for i, column in columns.items() if column.kind == 'answer']
    if answer := longest.get('answer'):
        wide = max(measure(answer), measure('Answer ▾')) + _MARGINS + _ROUNDED
        widths |= dict.fromkeys(answers, wide)
        for i in (i for i, column in columns.items() if column.kind == 'label'):
            texts = (f'≠ {answer.removeprefix("▲ ")}', f'{columns[i].title} ▾')
            widths[i] = max(map(measure, texts)) + _MARGINS + _ROUNDED
    files = [i for i, column in columns.items() if column.kind == 'file']
    bars = [i for i, column in columns.items() if column.kind == 'bar']
    least = max(_NARROWEST, min(_USUAL, room // 4))
    widths |= dict.fromkeys(files, least)
    # Where there is no room for it all, at least the probabilities can be seen together:
    # narrow, until names and answers can be read.
    thin = {
        i: min(widths[i], max(measure(f'{columns[i].title} ▾'), measure('100.0 %')) + _MARGINS)
        for i in bars
    }
    beside = [i for i in _up_to_bars(columns) if i not in bars]
    first = sum(widths[i] for i in beside)
    called = sum(widths[i] for i, column in columns.items() if column.key == 'called')
    if first + sum(thin.values()) + called <= room:
        first += called  # what a decision says of them is seen beside them
    spare = room - first - sum(thin.values())
    for text, fitted in (('file', files), ('against', answers)):
        for i in fitted:
            wanted = min(measure(longest.get(text, '')) + _MARGINS + _ROUNDED, _WIDEST)
            more = max(min(wanted - widths[i], spare), 0)
            widths[i] += more
            spare -= more
    for i in bars:
        widths[i] = min(widths[i], thin[i] + max(spare, 0) // len(bars))
    if sum(widths[i] for i in _up_to_bars(columns)) > room:
        widths |= _tight(columns, widths, room, measure)  # or move sideways, in comfort
    left = max(room - sum(widths.values()), 0)
    reach = max(_WIDEST - sum(widths[i] for i in files), 0) if files else 0
    longer = min(max(left - reach, 0) // max(len(bars), 1), _LONGER)
    for i in bars:
        widths[i] += longer
    for i in files:
        widths[i] += left - longer * len(bars)
    return {**widths, **kept}


def _up_to_bars(columns: Mapping[int, ScoreColumn]) -> list[int]:
    """Return the columns up to the last one of probabilities."""
    places = list(columns)
    bars = [place for place, i in enumerate(places) if columns[i].kind == 'bar']
    return places[: bars[-1] + 1] if bars else []


def _tight(
    columns: Mapping[int, ScoreColumn],
    widths: Mapping[int, int],
    room: int,
    measure: Callable[[str], int],
) -> dict[int, int]:
    """Return widths at which all probabilities are seen, if only texts are shortened.

    Nothing where there is no room even so.
    """
    least, wanted = {}, {}
    for i in _up_to_bars(columns):
        kind, title = columns[i].kind, columns[i].title
        text = _TIGHT.get(kind)
        wanted[i] = measure(title) + _MARGINS if kind == 'bar' else widths[i]
        wanted[i] = min(wanted[i], widths[i])
        least[i] = min(wanted[i], measure(text) + _MARGINS) if text else widths[i]
    spare = room - sum(least.values())
    if spare < 0:
        return {}
    # What grows first is what says most: titles of classes, then labels, then names.
    for kinds in (('bar',), ('answer', 'label'), ('file',)):
        short = sorted(
            (i for i in least if columns[i].kind in kinds), key=lambda i: wanted[i] - least[i]
        )
        for left, i in zip(range(len(short), 0, -1), short, strict=True):
            more = min(wanted[i] - least[i], spare // left)
            least[i] += more
            spare -= more
    return least


class ScoreTableHeader(QHeaderView):
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
        self, model: ScoreTableModel, choice: ColumnChoice, parent: QWidget | None = None
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
