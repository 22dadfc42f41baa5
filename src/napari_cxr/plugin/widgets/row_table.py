"""Tables of rows that docks show: a model, a proxy that sorts and filters, and a view.

A table of runs, of images or of pairs says what its rows are and what stands in a cell; all that
Qt wants besides is here. The table of scores, made for a hundred thousand rows, has a model of
its own and shares the style alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from qtpy.QtCore import (
    QAbstractTableModel,
    QEvent,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtGui import QColor, QFont, QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_cxr.plugin.widgets.text import plain_tip

__all__ = ['RowFilterProxy', 'RowTableModel', 'RowTableView', 'TableColumn', 'style_row_table']

Row = TypeVar('Row')


@dataclass(frozen=True)
class TableColumn:
    """One column of a table.

    Parameters
    ----------
    title : str
        What stands above it.
    about : str
        One sentence that explains it, shown as tooltip of the title.
    right_aligned : bool
        Whether its cells are, as numbers are.
    """

    title: str
    about: str = ''
    right_aligned: bool = False

    @property
    def alignment(self) -> Qt.AlignmentFlag:
        """How title and cells are aligned."""
        flags = Qt.AlignmentFlag
        side = flags.AlignRight if self.right_aligned else flags.AlignLeft
        return side | flags.AlignVCenter


class RowTableModel(QAbstractTableModel, Generic[Row]):
    """Rows in the order in which they came. A table overrides `text`, and more where it differs.

    Parameters
    ----------
    columns : sequence of TableColumn
        From the left.
    parent : QObject, optional
        Qt parent.

    Attributes
    ----------
    columns : tuple of TableColumn
        From the left.
    """

    def __init__(self, columns: Sequence[TableColumn], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.columns = tuple(columns)
        self._rows: list[Row] = []

    @property
    def rows(self) -> list[Row]:
        """All rows."""
        return list(self._rows)

    def row(self, number: int) -> Row:
        """Return one row."""
        return self._rows[number]

    def set_rows(self, rows: Sequence[Row]) -> bool:
        """Show these rows instead.

        Rows that were there before, and are the first of the new ones, stay selected and where
        they are; they are redrawn, because what is known of them may have changed.

        Returns
        -------
        bool
            Whether all rows were replaced.
        """
        rows = list(rows)
        before = len(self._rows)
        if not before or rows[:before] != self._rows:
            self.beginResetModel()
            self._rows = rows
            self.endResetModel()
            return True
        if len(rows) > before:
            self.beginInsertRows(QModelIndex(), before, len(rows) - 1)
            self._rows = rows
            self.endInsertRows()
        self._rows = rows
        self.repaint_rows()
        return False

    def put_row(self, row: Row, place: int | None = None) -> None:
        """Add a row at the end, or replace the one at a place."""
        if place is None:
            last = len(self._rows)
            self.beginInsertRows(QModelIndex(), last, last)
            self._rows.append(row)
            self.endInsertRows()
        else:
            self._rows[place] = row
            self.repaint_rows(place, place)

    def repaint_rows(self, first: int = 0, last: int | None = None) -> None:
        """Say that what is known of some rows, by default of all, has changed."""
        last = len(self._rows) - 1 if last is None else last
        if first <= last:
            right = len(self.columns) - 1
            self.dataChanged.emit(self.index(first, 0), self.index(last, right))

    # -- what a table says of its cells -------------------------------------------------

    def text(self, row: int, column: int) -> str:
        """Return what a cell shows."""
        raise NotImplementedError

    def tooltip(self, row: int, column: int) -> str:
        """Return the tooltip of a cell; its text by default."""
        return self.text(row, column)

    def spoken_text(self, row: int, column: int) -> str:
        """Return what a screen reader says of a cell; its text by default."""
        return self.text(row, column)

    def font(self, row: int) -> QFont | None:
        """Return the font of a row, where it is not that of the table."""
        return None

    def color(self, row: int, column: int) -> QColor | None:
        """Return the colour of a cell's text, where it is not that of the table."""
        return None

    def sort_key(self, row: int, column: int) -> Any:
        """Return what a cell is sorted by, or None for what is not known; its text by default."""
        return self.text(row, column).casefold()

    def search_text(self, row: int) -> str:
        """Return what a filter looks in, in lower case; the texts of the cells by default."""
        texts = (self.text(row, column) for column in range(len(self.columns)))
        return '\n'.join(texts).casefold()

    # -- Qt's side ----------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of rows."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self.columns)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return a column's title, its explanation, or how it is aligned."""
        if orientation is not Qt.Orientation.Horizontal or not 0 <= section < len(self.columns):
            return None
        column = self.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(column.about or '') or None
        return column.alignment if role == Qt.ItemDataRole.TextAlignmentRole else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows, and how."""
        if not index.isValid():
            return None
        row, column = index.row(), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self.columns[column].alignment
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(self.tooltip(row, column) or '') or None
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return self.spoken_text(row, column)
        if role == Qt.ItemDataRole.FontRole:
            return self.font(row)
        return self.color(row, column) if role == Qt.ItemDataRole.ForegroundRole else None


_FILTER_WORD = re.compile(r'"([^"]*)"|(\S+)')


class RowFilterProxy(QSortFilterProxyModel, Generic[Row]):
    """Shows the rows in which all words occur, sorted by a column; what is not known is last.

    Parameters
    ----------
    model : RowTableModel
        What it sorts and filters.
    parent : QObject, optional
        Qt parent.
    live : bool
        Whether a row moves at once when what it is sorted by changes. Where rows are edited,
        nothing should jump away while it is clicked.
    """

    def __init__(
        self, model: RowTableModel[Row], parent: QObject | None = None, *, live: bool = True
    ) -> None:
        super().__init__(parent)
        self._model = model
        self._words: list[str] = []
        self.setDynamicSortFilter(live)
        self.setSourceModel(model)

    def set_filter(self, text: str) -> None:
        """Show the rows in which all these words occur; quotation marks keep words together."""
        self._words = [(phrase or word).casefold() for phrase, word in _FILTER_WORD.findall(text)]
        self.invalidate()

    def source_row(self, row: int) -> int:
        """Return the model's number of a row as it stands in the table."""
        return self.mapToSource(self.index(row, 0)).row()

    def row_at(self, row: int) -> Row:
        """Return the row that stands in a line of the table."""
        return self._model.row(self.source_row(row))

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return what the model says, with an arrow where the rows are sorted by it."""
        found = super().headerData(section, orientation, role)
        if role != Qt.ItemDataRole.DisplayRole or section != self.sortColumn():
            return found
        return f'{found} {"▾" if self.sortOrder() == Qt.SortOrder.DescendingOrder else "▴"}'

    def filterAcceptsRow(self, source_row: int, source_parent: QModelIndex) -> bool:
        """Return whether all words occur in a row."""
        if not self._words:
            return True
        text = self._model.search_text(source_row)
        return all(word in text for word in self._words)

    def lessThan(self, left: QModelIndex, right: QModelIndex) -> bool:
        """Return whether one cell stands before another in rising order."""
        one = self._model.sort_key(left.row(), left.column())
        other = self._model.sort_key(right.row(), right.column())
        if one is None or other is None:
            # Where values fall, Qt asks the other way round.
            falling = self.sortOrder() == Qt.SortOrder.DescendingOrder
            return (one is None) is not (other is None) and (one is None) is falling
        return bool(one < other)


class RowTableView(QTableView):
    """A quiet table of whole rows.

    Parameters
    ----------
    model : RowTableModel or RowFilterProxy
        What it shows.
    name : str
        What it shows, for those who hear it.
    multi_select : bool
        Whether several rows can be selected at once.
    parent : QWidget, optional
        Qt parent.

    Attributes
    ----------
    titles : QHeaderView
        The titles of the columns.
    """

    #: Other rows are selected.
    selected = Signal()
    #: The person wants to see a row, by Return or a double click: its line.
    row_opened = Signal(int)

    def __init__(
        self,
        model: QAbstractTableModel | QSortFilterProxyModel,
        name: str,
        *,
        multi_select: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setModel(model)
        self.titles = style_row_table(self, name, multi_select=multi_select)
        # The arrow of napari's style lies on the title; `RowFilterProxy` writes one beside it.
        self.setStyleSheet(
            'QHeaderView::up-arrow, QHeaderView::down-arrow { image: none; width: 0; }'
        )
        self._selection().selectionChanged.connect(self.selected)
        self.doubleClicked.connect(self._open)

    @property
    def selected_lines(self) -> list[int]:
        """The lines that are selected, from the top."""
        return sorted(index.row() for index in self._selection().selectedRows())

    def select_line(self, line: int) -> None:
        """Select a line beside those that are selected."""
        flags = QItemSelectionModel.SelectionFlag
        model = self.model()
        assert model is not None
        self._selection().select(model.index(line, 0), flags.Select | flags.Rows)

    def fit_height(self, most: int) -> None:
        """Be as high as all lines need, but no more than so many."""
        down, model = self.verticalHeader(), self.model()
        assert down is not None and model is not None
        lines = min(max(model.rowCount(), 1), most)
        height = lines * down.defaultSectionSize() + self.titles.sizeHint().height()
        self.setFixedHeight(height + 2 * self.frameWidth())

    def event(self, event: QEvent | None) -> bool:
        """Claim Return before a shortcut of the window takes it."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and event.key() in self._keys_claimed()
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Open the current row with Return; everything else as in any table."""
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._open(self.currentIndex())
            return
        super().keyPressEvent(event)

    def _keys_claimed(self) -> tuple[Qt.Key, ...]:
        return (Qt.Key.Key_Return, Qt.Key.Key_Enter)

    def _open(self, index: QModelIndex) -> None:
        if index.isValid():
            self.row_opened.emit(index.row())

    def _selection(self) -> QItemSelectionModel:
        selection = self.selectionModel()
        assert selection is not None  # there is one from `setModel` on
        return selection


def style_row_table(table: QTableView, name: str, *, multi_select: bool) -> QHeaderView:
    """Let a table show whole rows quietly: no grid, no row numbers, nothing to edit.

    Parameters
    ----------
    table : QTableView
        The table.
    name : str
        What it shows, for those who hear it.
    multi_select : bool
        Whether several rows can be selected at once.

    Returns
    -------
    QHeaderView
        The titles of its columns.
    """
    modes = QAbstractItemView.SelectionMode
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(modes.ExtendedSelection if multi_select else modes.SingleSelection)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    table.setWordWrap(False)
    table.setShowGrid(False)
    table.setTabKeyNavigation(False)
    table.setAccessibleName(name)
    across, down = table.horizontalHeader(), table.verticalHeader()
    assert across is not None and down is not None
    across.setHighlightSections(False)
    down.hide()
    down.setDefaultSectionSize(table.fontMetrics().height() + 8)
    return across
