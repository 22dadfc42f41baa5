"""The table of scored rows: it fills while images are scored, and is sorted, filtered and read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from napari_cxr.plugin.score_table.column_choice import ColumnChoice
from napari_cxr.plugin.score_table.filter_bar import FilterBar
from napari_cxr.plugin.score_table.score_columns import PICTURE
from napari_cxr.plugin.score_table.score_delegate import (
    ScoreTableDelegate,
    filter_bar_style,
    table_style,
)
from napari_cxr.plugin.score_table.score_model import RowQueue, ScoreTableModel
from napari_cxr.plugin.score_table.score_rows import AnnotationLookup
from napari_cxr.plugin.score_table.score_view import ScoreTableView
from napari_cxr.plugin.score_table.sort_filter import RowFilter
from napari_cxr.plugin.score_table.table_actions import EmptyTablePage, TableMenus
from napari_cxr.plugin.score_table.thumbnails import VisibleThumbnails
from napari_cxr.scoring import ScoreRow
from napari_cxr.scoring.score_row import ScoringRun

__all__ = ['ScoreTable']

#: Pixels that the lines are high at least: titles, two rows and a bar to move sideways.
_LEAST = 88


class ScoreTable(QWidget):
    """Rows with a filter above them.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: The person wants to see a row's image: the `Row`.
    opened = Signal(object)
    #: Another row is the current one: the `Row`, or None.
    chosen = Signal(object)
    #: All rows that were added are shown.
    settled = Signal()

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = ScoreTableModel(self)
        self.strip = FilterBar()
        self.choice = ColumnChoice(self)
        self.view = ScoreTableView(self.model, self.choice)
        self.menus = TableMenus(self.view, self.choice)
        self.pictures = VisibleThumbnails(self.view, self.model)
        self._intake = RowQueue(self.model, self)
        self._delegate = ScoreTableDelegate(theme, self.pictures.get, self)
        self.view.setItemDelegate(self._delegate)
        self._build()
        self._connect()
        self.set_theme(theme)
        self._show_columns()
        self._update()

    def _build(self) -> None:
        self.empty = EmptyTablePage()
        self._pages = QStackedWidget()
        self._pages.addWidget(self.empty)
        self._pages.addWidget(self.view)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.strip)
        layout.addWidget(self._pages, 1)
        self.view.setMinimumHeight(_LEAST)

    def _connect(self) -> None:
        self._intake.due.connect(self._show_arrivals)
        view, strip = self.view, self.strip
        view.moved.connect(lambda: self.chosen.emit(self.current()))
        view.opened.connect(self._open)
        view.title_clicked.connect(self._sort_by_title)
        self.menus.open_wanted.connect(self._open)
        strip.changed.connect(self._filter)
        strip.left.connect(view.setFocus)
        strip.uncertain_wanted.connect(self._most_uncertain_first)
        strip.pictures_wanted.connect(self._show_pictures)
        strip.columns_wanted.connect(lambda: self.menus.offer_columns(strip.columns))
        self.empty.all_wanted.connect(strip.reset)
        self.choice.changed.connect(self._rearrange)
        for key, slot in (
            (QKeySequence.StandardKey.Find, strip.take_focus),
            (Qt.Key.Key_Escape, strip.reset),  # the strip's own fields hear it first
        ):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(slot)

    # -- rows ---------------------------------------------------------------------------

    def start(self, run: ScoringRun, out: str) -> None:
        """Forget all rows; those of another run will come.

        Parameters
        ----------
        run : Run
            What they will have in common.
        out : str
            Their table, by whose place files are found whose paths are not whole.
        """
        self._intake.clear()
        self.menus.out = out
        self.pictures.turn_to(out)
        self.view.start(lambda: self.model.start(run))
        self.strip.reset()
        self._offer_filters()
        self._show_columns()
        self._update()
        self.chosen.emit(None)

    def add(self, rows: Sequence[ScoreRow]) -> None:
        """Add rows; returns at once, however many there are.

        They appear within a quarter of a second, a hundred thousand within some seconds,
        while the screen stays free. A row whose file is there already replaces it.
        """
        self._intake.add(rows)

    def rows(self) -> list[ScoreRow]:
        """Return all rows in the order in which they came."""
        return [*self.model.rows.rows, *self._intake.waiting]

    def visible_rows(self) -> list[ScoreRow]:
        """Return the rows that fit the filter, as they are sorted."""
        return [self.model.row_at(line) for line in range(self.model.rowCount())]

    def current(self) -> ScoreRow | None:
        """Return the row that is read; None if there is none."""
        place = self.view.current
        return None if place is None else self.model.rows.rows[place]

    def selected(self) -> list[ScoreRow]:
        """Return the selected rows, from the top."""
        return [self.model.row_at(line) for line in self.view.selected_lines]

    def step(self, by: int) -> ScoreRow | None:
        """Go on in the order on the screen.

        Parameters
        ----------
        by : int
            1 for the next row, -1 for the one before. A row that became the current one
            without being asked for, at the top, is the first of the next ones.

        Returns
        -------
        Row or None
            The row that is current now; None where there is no further one.
        """
        line = self.view.line_after(by)
        if line is None:
            return None
        self.view.go_to(line)
        return self.model.row_at(line)

    def go_to(self, path: str) -> ScoreRow | None:
        """Make a file's row the current one; None where it is not shown."""
        place = self.model.rows.place_of(path)
        line = None if place is None else self.model.order.line_of(place)
        if line is None:
            return None
        self.view.go_to(line)
        return self.model.row_at(line)

    def show_only(self, wanted: RowFilter) -> None:
        """Show the rows that fit a filter, which the person then finds above the table."""
        self.strip.show_filter(wanted)

    def following(self, count: int) -> list[ScoreRow]:
        """Return the next rows in the order on the screen, as far as there are so many.

        They are asked for when the current row has been opened, so `step` goes on from it.
        """
        self.view.accept()
        index = self.view.currentIndex()
        first = index.row() + 1 if index.isValid() else 0
        lines = range(first, min(first + count, self.model.rowCount()))
        return [self.model.row_at(line) for line in lines]

    # -- what a person says, and how rows stand --------------------------------------------

    def set_reading(self, reading: AnnotationLookup | None) -> None:
        """Show the labels and notes of a reading list, or of none."""
        self.model.rows.set_reading(reading)
        self._offer_filters()
        self._show_columns()
        self.view.repaint_lines()

    def refresh(self, path: str) -> None:
        """Show what a person said of a file now.

        Its row stays where it is until rows are sorted or filtered anew.
        """
        place = self.model.rows.place_of(path)
        if place is not None:
            self.model.rows.refresh(place)
            if place == self.view.current:
                self.view.accept()  # whoever labels it is there
            self.model.repaint([place])
            self._show_columns()
            self._update()

    def sort_by(self, key: str, descending: bool) -> None:
        """Sort rows; what is not known comes last.

        Parameters
        ----------
        key : str
            A column, see `columns_of`: 'number' is the order of the files.
        descending : bool
            Whether the largest come first.

        Raises
        ------
        KeyError
            If there is no such column.
        """
        self.model.rows.key(key)
        self._keeping(lambda: self.model.order.sort(key, descending))
        self._show_columns()

    # -- how it looks -------------------------------------------------------------------

    def set_theme(self, theme: str) -> None:
        """Follow another of napari's themes."""
        self._delegate.set_theme(theme)
        self.strip.setStyleSheet(filter_bar_style(theme))
        self.view.setStyleSheet(table_style(theme))
        self.view.repaint_lines()

    # -- rows that come -------------------------------------------------------------------

    def _show_arrivals(self) -> None:
        self.view.take_arrivals()
        self._show_columns()
        self._update()
        if not self._intake.busy:
            self.settled.emit()

    # -- what a person wants ----------------------------------------------------------------

    def _filter(self, wanted: RowFilter) -> None:
        self._keeping(lambda: self.model.order.set_filter(wanted))

    def _keeping(self, change: Callable[[], None]) -> None:
        proposes = self.view.proposes
        self.view.keeping(change)
        if proposes:
            self.view.propose_first()
        self._update()

    def _sort_by_title(self, section: int) -> None:
        turned = self.model.turned(section)
        if turned is not None:
            self.sort_by(*turned)

    def _most_uncertain_first(self, wanted: bool) -> None:
        if not wanted:
            self.sort_by('number', False)
            return
        self.sort_by('uncertainty', True)
        self.view.propose_first()

    def _open(self) -> None:
        self.view.accept()
        if (row := self.current()) is not None:
            self.opened.emit(row)

    # -- what is on the screen --------------------------------------------------------------

    def _show_pictures(self, shown: bool) -> None:
        self.choice.show(PICTURE, shown)
        self.pictures.show(shown)

    def _offer_filters(self) -> None:
        rows = self.model.rows
        self.strip.offer(
            rows.run.labels,
            truth=rows.run.truth,
            reading=rows.is_read,
            negative=rows.rule.negative,
            undecided=bool(rows.rule.undecided),
        )

    def _show_columns(self) -> None:
        model = self.model
        keys = self.choice.shown(model.columns, model.rows, model.order.column)
        self.view.titles.show_columns(keys)

    def _rearrange(self) -> None:
        self._show_columns()
        self.view.titles.arrange()

    def _update(self) -> None:
        order, every = self.model.order, len(self.model.rows)
        shown = self.model.rowCount()
        fitting, stay = order.fitting()
        self.strip.setVisible(bool(every))
        self.strip.set_counts(fitting, every, stay)
        self.strip.uncertain.setChecked(order.column == 'uncertainty' and order.descending)
        self._pages.setCurrentIndex(1 if shown else 0)
        self.empty.show_rows(every)
