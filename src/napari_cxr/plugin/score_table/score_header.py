"""The header of the score table: shown columns, their order and widths."""

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

#: Width of the file column in pixels: minimum, default, and before bars become longer.
_NARROWEST, _USUAL, _WIDEST = 120, 220, 420

#: Pixels by which bars may become longer.
_LONGER = 80

#: Horizontal padding of a column in pixels.
_MARGINS = 14

#: What must fit of some kinds of cells, where all probabilities are to be visible.
_TIGHT = {'file': 'covid…0001', 'answer': '▲ pneum…', 'label': '≠ pneum…', 'bar': '100 %'}

#: Pixels by which a text drawn in parts may be wider than the whole.
_ROUNDED = 4


def fitting_widths(
    columns: Mapping[int, ScoreColumn],
    available: int,
    measure: Callable[[str], int],
    longest: Mapping[str, str] | None = None,
    kept: Mapping[int, int] | None = None,
) -> dict[int, int]:
    """Return widths at which titles and typical contents fit; files take the rest.

    Parameters
    ----------
    columns : mapping of int to ScoreColumn
        The shown columns, by their index.
    available : int
        Pixels for all of them.
    measure : callable
        From a text to its width in pixels.
    longest : mapping of str to str, optional
        The longest texts: 'file', 'answer', and 'against' with the label of the user.
    kept : mapping of int to int, optional
        Fixed widths of columns.

    Returns
    -------
    dict of int to int
        Width in pixels, by the index of the column.
    """
    longest, kept = longest or {}, kept or {}
    columns = {i: column for i, column in columns.items() if i not in kept}
    available -= sum(kept.values())
    digit = measure('0')
    widths = {
        i: max(column.wide * digit, measure(f'{column.title} ▾')) + _MARGINS
        for i, column in columns.items()
    }
    answers = [i for i, column in columns.items() if column.kind == 'answer']
    if answer := longest.get('answer'):
        wide = max(measure(answer), measure('Predicted ▾')) + _MARGINS + _ROUNDED
        widths |= dict.fromkeys(answers, wide)
        for i in (i for i, column in columns.items() if column.kind == 'label'):
            texts = (f'≠ {answer.removeprefix("▲ ")}', f'{columns[i].title} ▾')
            widths[i] = max(map(measure, texts)) + _MARGINS + _ROUNDED
    files = [i for i, column in columns.items() if column.kind == 'file']
    bars = [i for i, column in columns.items() if column.kind == 'bar']
    least = max(_NARROWEST, min(_USUAL, available // 4))
    widths |= dict.fromkeys(files, least)
    # Where not everything fits, at least the probabilities can be seen together:
    # narrow, until names and answers can be read.
    thin = {
        i: min(widths[i], max(measure(f'{columns[i].title} ▾'), measure('100.0 %')) + _MARGINS)
        for i in bars
    }
    beside = [i for i in _up_to_bars(columns) if i not in bars]
    first = sum(widths[i] for i in beside)
    called = sum(widths[i] for i, column in columns.items() if column.key == 'called')
    if first + sum(thin.values()) + called <= available:
        first += called  # it is visible beside them
    spare = available - first - sum(thin.values())
    for text, fitted in (('file', files), ('against', answers)):
        for i in fitted:
            wanted = min(measure(longest.get(text, '')) + _MARGINS + _ROUNDED, _WIDEST)
            more = max(min(wanted - widths[i], spare), 0)
            widths[i] += more
            spare -= more
    for i in bars:
        widths[i] = min(widths[i], thin[i] + max(spare, 0) // len(bars))
    if sum(widths[i] for i in _up_to_bars(columns)) > available:
        widths |= _tight(
            columns, widths, available, measure
        )  # otherwise they scroll, at full width
    left = max(available - sum(widths.values()), 0)
    reach = max(_WIDEST - sum(widths[i] for i in files), 0) if files else 0
    longer = min(max(left - reach, 0) // max(len(bars), 1), _LONGER)
    for i in bars:
        widths[i] += longer
    for i in files:
        widths[i] += left - longer * len(bars)
    return {**widths, **kept}


def _up_to_bars(columns: Mapping[int, ScoreColumn]) -> list[int]:
    """Return the columns up to the last one of probabilities."""
    order = list(columns)
    bars = [position for position, i in enumerate(order) if columns[i].kind == 'bar']
    return order[: bars[-1] + 1] if bars else []


def _tight(
    columns: Mapping[int, ScoreColumn],
    widths: Mapping[int, int],
    available: int,
    measure: Callable[[str], int],
) -> dict[int, int]:
    """Return widths at which all probabilities are visible, with elided texts.

    Empty if they do not fit even then.
    """
    least, wanted = {}, {}
    for i in _up_to_bars(columns):
        kind, title = columns[i].kind, columns[i].title
        text = _TIGHT.get(kind)
        wanted[i] = measure(title) + _MARGINS if kind == 'bar' else widths[i]
        wanted[i] = min(wanted[i], widths[i])
        least[i] = min(wanted[i], measure(text) + _MARGINS) if text else widths[i]
    spare = available - sum(least.values())
    if spare < 0:
        return {}
    # The most informative grow first: titles of classes, then labels, then names.
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
    """Columns fit their contents, except those that the user has resized.

    Parameters
    ----------
    model : ScoreTableModel
        The model.
    choice : ColumnChoice
        Which columns are shown; saves their widths and order.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(
        self, model: ScoreTableModel, choice: ColumnChoice, parent: QWidget | None = None
    ) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._model, self._choice = model, choice
        self._longest: Mapping[str, str] = {}
        self._available = 0
        self._narrowest = -1  # not computed yet
        self._by_hand = False  # whether a mouse button is pressed
        self._dragged: dict[str, int] = {}
        self._moved_by_hand = False
        self.setSectionsMovable(True)
        self.setSectionsClickable(True)
        self.setHighlightSections(False)
        self.setMinimumSectionSize(28)
        # The arrow at the end of long titles stays visible.
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.sectionResized.connect(self._resized)
        self.sectionMoved.connect(self._moved)

    @property
    def shown(self) -> list[int]:
        """The shown columns, from the left."""
        every = (self.logicalIndex(i) for i in range(self.count()))
        return [i for i in every if not self.isSectionHidden(i)]

    def start(self, change: Callable[[], None]) -> None:
        """Change to other columns, in the saved order."""
        with self._programmatically():
            change()
        self._narrowest = -1
        self.arrange()

    def arrange(self) -> None:
        """Apply the order and widths that the user has chosen, or the defaults."""
        keys = [column.key for column in self._model.columns]
        with self._programmatically():
            for place, key in enumerate(self._choice.arranged(keys)):
                self.moveSection(self.visualIndex(keys.index(key)), place)
        self._fit()

    def show_columns(self, keys: Sequence[str]) -> None:
        """Show these columns and no others."""
        longest = self._model.rows.longest()
        changed, self._longest = longest != self._longest, longest
        with self._programmatically():
            for i, column in enumerate(self._model.columns):
                changed |= self.isSectionHidden(i) is (column.key in keys)
                self.setSectionHidden(i, column.key not in keys)
        if changed:
            self._fit()

    def fit_into(self, available: int) -> None:
        """Fit columns to their contents; the files take the rest of the width."""
        self._available = available
        self._fit()

    def _fit(self) -> None:
        if self._dragged:  # the user is still dragging
            return
        shown = {i: self._model.columns[i] for i in self.shown}
        kept = {
            i: self._choice.widths[column.key]
            for i, column in shown.items()
            if column.key in self._choice.widths
        }
        measure = self.fontMetrics().horizontalAdvance
        widths = fitting_widths(shown, self._available, measure, self._longest, kept)
        with self._programmatically():
            for i, width in widths.items():
                self.resizeSection(i, width)

    @property
    def narrowest_bar(self) -> int:
        """Width of the narrowest column of probabilities, by which all bars are drawn."""
        if self._narrowest < 0:
            bars = (i for i in self.shown if self._model.columns[i].kind == 'bar')
            self._narrowest = min(map(self.sectionSize, bars), default=0)
        return self._narrowest

    def fit_section(self, section: int) -> None:
        """Fit a column to its contents again."""
        self._choice.forget_width(self._model.columns[section].key)
        self._fit()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Note that columns are now resized and moved by the user."""
        self._by_hand = True
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Save the columns that were resized or moved, and fit the others."""
        super().mouseReleaseEvent(event)
        self._by_hand = False
        dragged, moved = self._dragged, self._moved_by_hand
        self._dragged, self._moved_by_hand = {}, False
        if dragged:
            self._choice.save_widths(dragged)
            self._fit()
        if moved:
            every = (self.logicalIndex(i) for i in range(self.count()))
            self._choice.save_order([self._model.columns[i].key for i in every])

    def _resized(self, section: int, before: int, width: int) -> None:
        self._narrowest = -1
        if self._by_hand:
            self._dragged[self._model.columns[section].key] = width

    def _moved(self) -> None:
        self._moved_by_hand = self._by_hand

    @contextmanager
    def _programmatically(self) -> Iterator[None]:
        """Change columns without saving that as a choice of the user."""
        by_hand, self._by_hand = self._by_hand, False
        yield
        self._by_hand = by_hand
