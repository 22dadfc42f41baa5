"""The view of the score table: keys, selection, and a stable scroll position."""

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
from napari_cxr.plugin.widgets.row_table import style_row_table

__all__ = ['ScoreTableView']

#: New rows in more ranges than this are inserted by a reset of the model.
_MOST_PARTS = 64


class ScoreTableView(QTableView):
    """The lines; selection and scroll position stay when rows are sorted, filtered or added.

    Parameters
    ----------
    model : ScoreTableModel
        The model.
    choice : ColumnChoice
        Shown columns, their order and widths.
    parent : QWidget, optional
        Qt parent.
    """

    #: The current row has changed.
    moved = Signal()
    #: The current row is to be opened: Return, or a double click.
    opened = Signal()
    #: The title of a column was clicked: its index.
    title_clicked = Signal(int)
    #: The selected rows are to be copied.
    copy_wanted = Signal()
    #: Other lines are visible.
    scrolled = Signal()

    def __init__(
        self, model: ScoreTableModel, choice: ColumnChoice, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        #: The model.
        self.lines = model
        self._kept_current: int | None = None
        self._proposed: int | None = None
        self._restoring = False
        self.titles = ScoreTableHeader(model, choice, self)
        self.setHorizontalHeader(self.titles)
        self.setModel(model)
        # Titles are never selected; Qt would check all rows of each column to find that out.
        self.titles.setSelectionModel(QItemSelectionModel(model, self.titles))
        style_row_table(self, 'Scored images', multi_select=True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        down, chosen, bar = self.verticalHeader(), self.selectionModel(), self.verticalScrollBar()
        assert down is not None and chosen is not None and bar is not None
        self.titles.sectionClicked.connect(self.title_clicked)
        # After Qt's own slot, which does not know the contents of the cells.
        self.titles.sectionHandleDoubleClicked.connect(self.titles.fit_section)
        down.setSectionResizeMode(down.ResizeMode.Fixed)
        self.set_line_height(0)
        chosen.currentRowChanged.connect(self._moved)
        bar.valueChanged.connect(self.scrolled)
        self.doubleClicked.connect(self.opened)

    # -- rows ---------------------------------------------------------------------------

    @property
    def current(self) -> int | None:
        """Index of the current row among all; None if there is none."""
        index = self.currentIndex()
        return self.lines.place_at(index.row()) if index.isValid() else None

    @property
    def selected_lines(self) -> list[int]:
        """The selected lines, from the top."""
        chosen = self.selectionModel()
        assert chosen is not None
        return lines_of_selection(chosen.selection())

    @property
    def lines_on_screen(self) -> range:
        """The visible lines."""
        viewport = self.viewport()
        if viewport is None or not self.lines.rowCount():
            return range(0)
        first = max(self.rowAt(0), 0)
        last = self.rowAt(viewport.height() - 1)
        return range(first, (last if last >= 0 else self.lines.rowCount() - 1) + 1)

    def go_to(self, line: int) -> None:
        """Make a line the only selected one, and scroll to it."""
        flags = QItemSelectionModel.SelectionFlag
        self.accept_current()
        self._make_current(line, flags.ClearAndSelect | flags.Rows)

    def line_after(self, by: int) -> int | None:
        """Return the line so many below the current one; None if there is none."""
        index, last = self.currentIndex(), self.lines.rowCount() - 1
        if by > 0 and self.is_proposed:  # the user has not gone to this row
            by = 0
        line = index.row() + by if index.isValid() else (0 if by > 0 else last)
        return line if 0 <= line <= last else None

    @property
    def is_proposed(self) -> bool:
        """Whether the current row became current without the user going to it."""
        return self._proposed is not None and self._proposed == self.current

    def propose_first(self) -> None:
        """Make the first row without annotation current, as a proposal where to start."""
        if self.lines.rowCount():
            read = self.lines.rows.flags['read'].values[self.lines.order.shown]
            self.go_to(int(read.argmin()))  # the first one if all are annotated
            self._proposed = self.current

    def accept_current(self) -> None:
        """Treat the current row as one that the user has gone to."""
        self._proposed = None

    def repaint_lines(self) -> None:
        """Repaint the visible lines."""
        viewport = self.viewport()
        if viewport is not None:
            viewport.update()

    def start(self, change: Callable[[], None]) -> None:
        """Show rows of another run."""
        self._kept_current = self._proposed = None
        self.titles.start(change)

    def keep_selection(self, change: Callable[[], None]) -> None:
        """Sort or filter, and keep the selection and the position of the current row."""
        anchor = self._anchor(self.current if self._is_on_screen(self.current) else None)
        self._replace(change)
        self._restore_scroll(anchor, top=True)

    def take_arrivals(self) -> None:
        """Insert new rows where they belong; the visible rows stay where they are."""
        model, bar = self.lines, self.verticalScrollBar()
        assert bar is not None
        arrivals = model.order.arrivals()
        if not len(arrivals.at):
            return
        follows = 0 < bar.maximum() == bar.value()
        current_visible = self._is_on_screen(self.current)
        first = self.lines_on_screen[:1]
        place = self.current if current_visible else None
        if place is None and bar.value() > 0 and first:
            place = model.place_at(first[0])
        anchor = self._anchor(place)
        parts = list(arrivals.runs())
        if len(parts) <= _MOST_PARTS:
            model.insert(arrivals, parts)
        else:
            self._replace(lambda: model.order.insert(arrivals))
        if follows and not current_visible:
            self.updateGeometries()
            bar.setValue(bar.maximum())
        else:
            self._restore_scroll(anchor, top=False)

    def set_line_height(self, least: int) -> None:
        """Set the minimum height of lines in pixels; they are at least as high as text."""
        down = self.verticalHeader()
        assert down is not None
        place = self.current if self._is_on_screen(self.current) else None
        if place is None and self.lines_on_screen:
            place = self.lines.place_at(self.lines_on_screen[0])
        anchor = self._anchor(place)
        down.setDefaultSectionSize(max(self.fontMetrics().height() + 10, least))
        self._restore_scroll(anchor, top=False)

    # -- Qt methods -----------------------------------------------------------------------

    def event(self, event: QEvent | None) -> bool:
        """Claim keys before shortcuts of the window."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and (_is_open(event) or event.matches(QKeySequence.StandardKey.Copy))
        ):
            event.accept()
            return True
        return super().event(event)

    def focusInEvent(self, event: QFocusEvent | None) -> None:
        """Note that the first row becomes current only because the table has the focus."""
        before = self.current
        super().focusInEvent(event)
        if before is None and self.current is not None:
            self._proposed = self.current

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Open with Return, copy, and go to the first or last row; otherwise as in any table."""
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
        """Leave letters and digits to the shortcuts of annotation."""

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Fit the columns to the width."""
        super().resizeEvent(event)
        viewport = self.viewport()
        if viewport is not None:
            self.titles.fit_into(viewport.width())
        self.scrolled.emit()

    # -- stable selection and scroll position -------------------------------------------------

    def _moved(self, index: QModelIndex) -> None:
        if not self._restoring:
            self._kept_current = self.lines.place_at(index.row()) if index.isValid() else None
            self.accept_current()
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
        line = model.order.line_of(self._kept_current) if self._kept_current is not None else None
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
        """Return a row with its distance from the top of the view."""
        line = self.lines.order.line_of(place) if place is not None else None
        if place is None or line is None:
            return None
        return place, self.rowViewportPosition(line)

    def _restore_scroll(self, anchor: tuple[int, int] | None, *, top: bool) -> None:
        """Scroll so that the anchor is at its old distance from the top; or to the top."""
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
        """Make a line current without scrolling horizontally."""
        chosen, across = self.selectionModel(), self.horizontalScrollBar()
        assert chosen is not None and across is not None
        aside = across.value()
        index = self.lines.index(line, next(iter(self.titles.shown), 0))
        chosen.setCurrentIndex(index, how)
        self.scrollTo(index)
        across.setValue(aside)


def _is_open(event: QKeyEvent) -> bool:
    return event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
