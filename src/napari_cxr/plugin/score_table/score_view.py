"""The table of scores on the screen: columns, keys, selection, and staying where one reads."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, QItemSelectionModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QFocusEvent, QKeyEvent, QKeySequence, QResizeEvent
from qtpy.QtWidgets import QAbstractItemView, QTableView, QWidget

from napari_cxr.plugin.score_table.column_choice import ColumnChoice
from napari_cxr.plugin.score_table.score_header import ScoreTableHeader
from napari_cxr.plugin.score_table.score_model import (
    ScoreTableModel,
    lines_of_selection,
    selection_of_rows,
)

__all__ = ['ScoreTableView']

#: New rows that belong to more places than this are shown all at once.
_MOST_PARTS = 64


class ScoreTableView(QTableView):
    """The lines; what is selected and where one reads stays when they are sorted or come.

    Parameters
    ----------
    model : ScoreModel
        What it shows.
    choice : ColumnChoice
        Which columns, where and how wide.
    parent : QWidget, optional
        Qt parent.
    """

    #: Another row is the current one, or none is.
    moved = Signal()
    #: The person wants to see the current row: Return, or a double click.
    opened = Signal()
    #: The title of a column was clicked: its number.
    title_clicked = Signal(int)
    #: The person wants to copy the selected rows.
    copy_wanted = Signal()
    #: Other lines are on the screen.
    scrolled = Signal()

    def __init__(
        self, model: ScoreTableModel, choice: ColumnChoice, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        #: What it shows.
        self.lines = model
        self._kept: int | None = None
        self._proposed: int | None = None
        self._restoring = False
        self.titles = ScoreTableHeader(model, choice, self)
        self.setHorizontalHeader(self.titles)
        self.setModel(model)
        # Titles are never selected; to find that out, Qt would ask every row of each column.
        self.titles.setSelectionModel(QItemSelectionModel(model, self.titles))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setAccessibleName('Scored images')
        down, chosen, bar = self.verticalHeader(), self.selectionModel(), self.verticalScrollBar()
        assert down is not None and chosen is not None and bar is not None
        self.titles.sectionClicked.connect(self.title_clicked)
        # After Qt's own slot, which does not know what is in the cells.
        self.titles.sectionHandleDoubleClicked.connect(self.titles.let_fit)
        down.hide()
        down.setSectionResizeMode(down.ResizeMode.Fixed)
        self.set_line_height(0)
        chosen.currentRowChanged.connect(self._moved)
        bar.valueChanged.connect(self.scrolled)
        self.doubleClicked.connect(self.opened)

    # -- rows ---------------------------------------------------------------------------

    @property
    def current(self) -> int | None:
        """Place of the current row among all; None if there is none."""
        index = self.currentIndex()
        return self.lines.place_at(index.row()) if index.isValid() else None

    @property
    def selected_lines(self) -> list[int]:
        """The lines that are selected, from the top."""
        chosen = self.selectionModel()
        assert chosen is not None
        return lines_of_selection(chosen.selection())

    @property
    def lines_on_screen(self) -> range:
        """The lines that can be seen."""
        viewport = self.viewport()
        if viewport is None or not self.lines.rowCount():
            return range(0)
        first = max(self.rowAt(0), 0)
        last = self.rowAt(viewport.height() - 1)
        return range(first, (last if last >= 0 else self.lines.rowCount() - 1) + 1)

    def go_to(self, line: int) -> None:
        """Make a line the current one, alone, and bring it into view."""
        flags = QItemSelectionModel.SelectionFlag
        self.accept()
        self._make_current(line, flags.ClearAndSelect | flags.Rows)

    def line_after(self, by: int) -> int | None:
        """Return the line so many below the current one; None where there is none."""
        index, last = self.currentIndex(), self.lines.rowCount() - 1
        if by > 0 and self.proposes:  # nobody has gone to this row yet
            by = 0
        line = index.row() + by if index.isValid() else (0 if by > 0 else last)
        return line if 0 <= line <= last else None

    @property
    def proposes(self) -> bool:
        """Whether the current row is one that nobody has gone to."""
        return self._proposed is not None and self._proposed == self.current

    def propose_first(self) -> None:
        """Make the first line that is not read the current one that somebody may go to."""
        if self.lines.rowCount():
            read = self.lines.rows.flags['read'].values[self.lines.order.shown]
            self.go_to(int(read.argmin()))  # the first of all, where all are read
            self._proposed = self.current

    def accept(self) -> None:
        """Take the current row as one that somebody has gone to."""
        self._proposed = None

    def repaint_lines(self) -> None:
        """Draw what is on the screen anew."""
        viewport = self.viewport()
        if viewport is not None:
            viewport.update()

    def start(self, change: Callable[[], None]) -> None:
        """Show other rows altogether."""
        self._kept = self._proposed = None
        self.titles.start(change)

    def keeping(self, change: Callable[[], None]) -> None:
        """Sort or filter, with the rows selected that were, and the current one where it was."""
        anchor = self._anchor(self.current if self._is_on_screen(self.current) else None)
        self._replace(change)
        self._hold(anchor, top=True)

    def take_arrivals(self) -> None:
        """Show rows that came, where they belong; what is on the screen stays there."""
        model, bar = self.lines, self.verticalScrollBar()
        assert bar is not None
        arrivals = model.order.arrivals()
        if not len(arrivals.at):
            return
        follows = 0 < bar.maximum() == bar.value()
        reads = self._is_on_screen(self.current)
        first = self.lines_on_screen[:1]
        place = self.current if reads else None
        if place is None and bar.value() > 0 and first:
            place = model.place_at(first[0])
        anchor = self._anchor(place)
        parts = list(arrivals.runs())
        if len(parts) <= _MOST_PARTS:
            model.insert(arrivals, parts)
        else:
            self._replace(lambda: model.order.insert(arrivals))
        if follows and not reads:
            self.updateGeometries()
            bar.setValue(bar.maximum())
        else:
            self._hold(anchor, top=False)

    def set_line_height(self, least: int) -> None:
        """Make all lines as high as text needs, and at least so many pixels."""
        down = self.verticalHeader()
        assert down is not None
        place = self.current if self._is_on_screen(self.current) else None
        if place is None and self.lines_on_screen:
            place = self.lines.place_at(self.lines_on_screen[0])
        anchor = self._anchor(place)
        down.setDefaultSectionSize(max(self.fontMetrics().height() + 10, least))
        self._hold(anchor, top=False)

    # -- Qt's side ----------------------------------------------------------------------

    def event(self, event: QEvent | None) -> bool:
        """Claim keys before a shortcut of the window takes them."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and (_is_open(event) or event.matches(QKeySequence.StandardKey.Copy))
        ):
            event.accept()
            return True
        return super().event(event)

    def focusInEvent(self, event: QFocusEvent | None) -> None:
        """Remember that the first row becomes the current one only because keys arrive here."""
        before = self.current
        super().focusInEvent(event)
        if before is None and self.current is not None:
            self._proposed = self.current

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Open with Return, copy, and go to the ends; everything else as in any table."""
        if event is None:
            return
        last = self.lines.rowCount() - 1
        if _is_open(event):
            if self.currentIndex().isValid():
                self.opened.emit()
        elif event.matches(QKeySequence.StandardKey.Copy):
            self.copy_wanted.emit()
        elif (
            event.key() in (Qt.Key.Key_Home, Qt.Key.Key_End)
            and not event.modifiers()
            and last >= 0
        ):
            self.go_to(0 if event.key() == Qt.Key.Key_Home else last)
        else:
            super().keyPressEvent(event)

    def keyboardSearch(self, search: str | None) -> None:
        """Leave letters and figures to those who label with them."""

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Give the files what the other columns leave."""
        super().resizeEvent(event)
        viewport = self.viewport()
        if viewport is not None:
            self.titles.fit_into(viewport.width())
        self.scrolled.emit()

    # -- staying where one reads ---------------------------------------------------------

    def _moved(self, index: QModelIndex) -> None:
        if not self._restoring:
            self._kept = self.lines.place_at(index.row()) if index.isValid() else None
            self.accept()
            self.moved.emit()

    def _replace(self, change: Callable[[], None]) -> None:
        model, chosen = self.lines, self.selectionModel()
        assert chosen is not None
        before = self.current
        held = model.order.shown[self.selected_lines]
        self._restoring = True
        model.beginResetModel()
        change()
        model.endResetModel()
        flags = QItemSelectionModel.SelectionFlag
        chosen.select(selection_of_rows(held, model), flags.ClearAndSelect | flags.Rows)
        line = model.order.line_of(self._kept) if self._kept is not None else None
        if line is not None:
            how = flags.NoUpdate if len(held) else flags.Select | flags.Rows
            self._make_current(line, how)
        self._restoring = False
        if self.current != before:
            self.moved.emit()

    def _is_on_screen(self, place: int | None) -> bool:
        line = self.lines.order.line_of(place) if place is not None else None
        return line is not None and line in self.lines_on_screen

    def _anchor(self, place: int | None) -> tuple[int, int] | None:
        """Return a row with how far below the top of the view it is."""
        line = self.lines.order.line_of(place) if place is not None else None
        if place is None or line is None:
            return None
        return place, self.rowViewportPosition(line)

    def _hold(self, anchor: tuple[int, int] | None, *, top: bool) -> None:
        """Scroll to where the anchor is again as far below the top; or to the top."""
        bar, down = self.verticalScrollBar(), self.verticalHeader()
        assert bar is not None and down is not None
        self.updateGeometries()
        line = self.lines.order.line_of(anchor[0]) if anchor is not None else None
        if anchor is not None and line is not None:
            bar.setValue(line * down.defaultSectionSize() - anchor[1])
        elif top:
            bar.setValue(0)
        self.scrolled.emit()

    def _make_current(self, line: int, how: QItemSelectionModel.SelectionFlag) -> None:
        """Move to a line without moving sideways."""
        chosen, across = self.selectionModel(), self.horizontalScrollBar()
        assert chosen is not None and across is not None
        aside = across.value()
        index = self.lines.index(line, next(iter(self.titles.shown), 0))
        chosen.setCurrentIndex(index, how)
        self.scrollTo(index)
        across.setValue(aside)


def _is_open(event: QKeyEvent) -> bool:
    return event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
