"""The score table with its filter bar: it fills while images are scored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

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

#: Minimum height of the view in pixels: titles, two rows and a scroll bar.
_LEAST = 88


class ScoreTable(QWidget):
    """The score table below its filter bar.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: A row is to be opened: the `ScoreRow`.
    opened = Signal(object)
    #: The current row has changed: the `ScoreRow`, or None.
    chosen = Signal(object)
    #: Only some rows are wanted, by something else than the bar above them.
    filtered = Signal()
    #: All added rows are shown.
    settled = Signal()

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = ScoreTableModel(self)
        #: Whether the annotations settle what readers disagree on.
        self.settles = False
        self.filter_bar = FilterBar()
        self.choice = ColumnChoice(self)
        self.view = ScoreTableView(self.model, self.choice)
        self.menus = TableMenus(self.view, self.choice)
        self.pictures = VisibleThumbnails(self.view, self.model)
        self._queue = RowQueue(self.model, self)
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
        layout.addWidget(self.filter_bar)
        layout.addWidget(self._pages, 1)
        self.view.setMinimumHeight(_LEAST)

    def _connect(self) -> None:
        self._queue.due.connect(self._show_arrivals)
        view, filter_bar = self.view, self.filter_bar
        view.moved.connect(lambda: self.chosen.emit(self.current()))
        view.opened.connect(self._open)
        view.title_clicked.connect(self._sort_by_title)
        self.menus.open_wanted.connect(self._open)
        filter_bar.changed.connect(self._filter)
        filter_bar.escaped.connect(view.setFocus)
        filter_bar.uncertain_wanted.connect(self._most_uncertain_first)
        filter_bar.pictures_wanted.connect(self._show_pictures)
        filter_bar.columns_wanted.connect(lambda: self.menus.offer_columns(filter_bar.columns))
        self.empty.all_wanted.connect(filter_bar.reset)
        self.choice.changed.connect(self._rearrange)
        self.choice.doubtful_wanted.connect(self._reveal_doubtful)
        for key, slot in (
            (QKeySequence.StandardKey.Find, filter_bar.take_focus),
            (
                Qt.Key.Key_Escape,
                filter_bar.reset,
            ),  # the fields of the filter bar handle it themselves
        ):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(slot)

    # -- rows ---------------------------------------------------------------------------

    def start(self, run: ScoringRun, out: str) -> None:
        """Remove all rows, before those of another run.

        Parameters
        ----------
        run : ScoringRun
            The run.
        out : str
            Path of its table, by which relative paths of images are resolved.
        """
        self._queue.clear()
        self.menus.out = out
        self.pictures.set_table(out)
        self.view.start(lambda: self.model.start(run))
        self.choice.doubtful = self.choice.blinded = False
        self.filter_bar.reset()
        self._offer_filters()
        self._show_columns()
        self._update()
        self.chosen.emit(None)

    def add(self, rows: Sequence[ScoreRow]) -> None:
        """Add rows; returns at once, however many there are.

        They appear within a quarter of a second, a hundred thousand within seconds, while the
        window stays responsive. A row of a file that has one replaces it.
        """
        self._queue.add(rows)

    def rows(self) -> list[ScoreRow]:
        """Return all rows in the order of their arrival."""
        return [*self.model.rows.rows, *self._queue.waiting]

    def visible_rows(self) -> list[ScoreRow]:
        """Return the rows that match the filter, as they are sorted."""
        return [self.model.row_at(line) for line in range(self.model.rowCount())]

    def current(self) -> ScoreRow | None:
        """Return the current row; None if there is none."""
        place = self.view.current
        return None if place is None else self.model.rows.rows[place]

    def selected(self) -> list[ScoreRow]:
        """Return the selected rows, from the top."""
        return [self.model.row_at(line) for line in self.view.selected_lines]

    def step(self, by: int, *, skip_failed: bool = False) -> ScoreRow | None:
        """Go to the next or previous row, as they are sorted.

        Parameters
        ----------
        by : int
            1 for the next row, -1 for the previous one. A row that became current without the
            user going to it counts as the next one.
        skip_failed : bool
            Whether to pass over rows of files that failed.

        Returns
        -------
        ScoreRow or None
            The new current row; None if there is no further one.
        """
        line = self.view.line_after(by)
        while skip_failed and line is not None and self.model.row_at(line).status != 'scored':
            line = line + by if 0 <= line + by < self.model.rowCount() else None
        if line is None:
            return None
        self.view.go_to(line)
        return self.model.row_at(line)

    def go_to(self, path: str) -> ScoreRow | None:
        """Make the row of a file current and return it; None if it is not shown."""
        place = self.model.rows.place_of(path)
        line = None if place is None else self.model.order.line_of(place)
        if line is None:
            return None
        self.view.go_to(line)
        return self.model.row_at(line)

    def show_only(self, wanted: RowFilter) -> None:
        """Set the filter in the bar above the table."""
        self.filter_bar.show_filter(wanted)
        self.filtered.emit()

    def following(self, count: int) -> list[ScoreRow]:
        """Return up to so many of the next rows, as they are sorted.

        To be called after the current row was opened: `step` then continues from it.
        """
        self.view.accept_current()
        index = self.view.currentIndex()
        first = index.row() + 1 if index.isValid() else 0
        lines = range(first, min(first + count, self.model.rowCount()))
        return [self.model.row_at(line) for line in lines]

    # -- annotations and order -------------------------------------------------------------

    def set_annotations(self, annotations: AnnotationLookup | None) -> None:
        """Show the labels and notes of a reading list, or none."""
        self.model.rows.set_annotations(annotations)
        self._offer_filters()
        self._show_columns()
        self.view.repaint_lines()

    def set_blinded(self, order: Callable[[str], float] | None) -> None:
        """Hide what is known of the images, and sort them at random; or show all again.

        Parameters
        ----------
        order : callable or None
            From a path to the position of its image in the order of reading.
        """
        rows = self.model.rows
        if order is None and not rows.is_blinded:
            return
        rows.set_blinded(order)
        self.choice.blinded = order is not None
        if order is not None:
            self.choice.doubtful = rows.reveals_doubtful = False
        self._offer_filters()
        self.filter_bar.reset()
        self.sort_by('number' if order is None else 'reading_order', False)
        self._rearrange()
        self.view.propose_first()
        self.view.repaint_lines()

    def set_disagreed(self, paths: Collection[str]) -> None:
        """Take the files on which readers disagree; filters by them are then offered."""
        self.model.rows.set_disagreed(paths)
        self._offer_filters()

    def blind_name(self, row: ScoreRow) -> str:
        """Return what a row is called while the table is read blinded; otherwise nothing."""
        rows = self.model.rows
        place = rows.place_of(row.path)
        return rows.blind_name(place) if rows.is_blinded and place is not None else ''

    def refresh(self, path: str) -> None:
        """Update the annotation of a file.

        Its row stays where it is until rows are sorted or filtered again.
        """
        place = self.model.rows.place_of(path)
        if place is not None:
            self.model.rows.refresh(place)
            if place == self.view.current:
                self.view.accept_current()  # a row that is labelled was gone to
            self.model.repaint([place])
            self._show_columns()
            self._update()

    def sort_by(self, key: str, descending: bool) -> None:
        """Sort rows; unknown values come last.

        Parameters
        ----------
        key : str
            Key of a column, see `columns_for_run`; 'number' is the order of the files.
        descending : bool
            Whether the largest values come first.

        Raises
        ------
        KeyError
            If there is no column with that key.
        """
        self.model.rows.key(key)
        self._keep_selection(lambda: self.model.order.sort(key, descending))
        self._show_columns()

    # -- appearance ----------------------------------------------------------------------

    def set_theme(self, theme: str) -> None:
        """Change to another of napari's themes."""
        self._delegate.set_theme(theme)
        self.filter_bar.setStyleSheet(filter_bar_style(theme))
        self.view.setStyleSheet(table_style(theme))
        self.view.repaint_lines()

    # -- new rows --------------------------------------------------------------------------

    def _show_arrivals(self) -> None:
        self.view.take_arrivals()
        self._show_columns()
        self._update()
        if not self._queue.busy:
            self.settled.emit()

    # -- reactions to the user ----------------------------------------------------------------

    def _filter(self, wanted: RowFilter) -> None:
        self._keep_selection(lambda: self.model.order.set_filter(wanted))

    def _keep_selection(self, change: Callable[[], None]) -> None:
        was_proposed = self.view.is_proposed
        self.view.keep_selection(change)
        if was_proposed:
            self.view.propose_first()
        self._update()

    def _sort_by_title(self, section: int) -> None:
        sorting = self.model.sorting_after_click(section)
        if sorting is not None and not self.model.rows.is_blinded:
            self.sort_by(*sorting)

    def _most_uncertain_first(self, wanted: bool) -> None:
        if not wanted:
            self.sort_by('number', False)
            return
        self.sort_by('uncertainty', True)
        self.view.propose_first()

    def _open(self) -> None:
        self.view.accept_current()
        if (row := self.current()) is not None:
            self.opened.emit(row)

    # -- updates -----------------------------------------------------------------------------

    def _show_pictures(self, shown: bool) -> None:
        self.choice.show(PICTURE, shown)
        self.pictures.show(shown)

    def _offer_filters(self) -> None:
        rows = self.model.rows
        self.filter_bar.offer(
            rows.run.labels,
            truth=rows.run.truth,
            annotated=rows.has_annotations,
            negative=rows.rule.negative,
            undecided=rows.rule.undecided_answer,
            disagreed=bool(rows.flags['disagreed'].values.any()),
            consensus=self.settles,
            blinded=rows.is_blinded,
        )

    def _show_columns(self) -> None:
        model = self.model
        keys = self.choice.shown(model.columns, model.rows, model.order.column)
        self.view.titles.show_columns(keys)

    def _reveal_doubtful(self, revealed: bool) -> None:
        self.model.rows.reveals_doubtful = revealed
        if self.filter_bar.filter.answer:  # which finds them, or no longer does
            self._keep_selection(self.model.order.arrange)
        self.view.repaint_lines()

    def _rearrange(self) -> None:
        self._show_columns()
        self.view.titles.arrange()

    def _update(self) -> None:
        order, every = self.model.order, len(self.model.rows)
        shown = self.model.rowCount()
        matching, stale = order.fitting()
        self.filter_bar.setVisible(bool(every))
        self.filter_bar.set_counts(matching, every, stale)
        self.filter_bar.uncertain.setChecked(order.column == 'uncertainty' and order.descending)
        self._pages.setCurrentIndex(1 if shown else 0)
        self.empty.show_rows(every)
