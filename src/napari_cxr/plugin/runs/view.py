"""The table of runs on the screen: its columns, and what is selected in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from qtpy.QtCore import QItemSelectionModel, QPoint, Qt, Signal
from qtpy.QtGui import QAction, QKeyEvent
from qtpy.QtWidgets import QMenu, QTableView, QWidget

from napari_cxr.plugin.plain_table import make_plain
from napari_cxr.plugin.runs.columns import COLUMNS, RunRow
from napari_cxr.plugin.runs.table import RunsProxy

__all__ = ['RunsView']


class RunsView(QTableView):
    """The table; columns can be sorted, moved and hidden.

    Parameters
    ----------
    proxy : RunsProxy
        What it shows.
    parent : QWidget, optional
        Qt parent.
    """

    #: Other runs are selected, or what is known of them has changed.
    selected = Signal()
    #: The person wants to see a run: return, or a double click.
    opened = Signal()
    #: Other columns are hidden.
    columns_changed = Signal()

    def __init__(self, proxy: RunsProxy, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.proxy = proxy
        self.setModel(proxy)
        self.setSortingEnabled(True)
        across = make_plain(self, 'Training runs', several=True)
        # napari's arrow lies on the title; the proxy writes one beside it.
        self.setStyleSheet(
            'QTableView::item { padding: 0 5px; } QHeaderView::section { padding: 2px 5px; }'
            'QHeaderView::up-arrow, QHeaderView::down-arrow { image: none; width: 0; }'
        )
        chosen = self.selectionModel()
        assert chosen is not None
        across.setSectionsMovable(True)
        across.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        across.customContextMenuRequested.connect(self._offer_columns)
        self.fit_columns()
        best = [column.key for column in COLUMNS].index('val_auc')
        self.sortByColumn(best, Qt.SortOrder.DescendingOrder)
        chosen.selectionChanged.connect(self.selected)
        self.doubleClicked.connect(self.opened)

    @property
    def runs(self) -> list[RunRow]:
        """The runs that are selected, from the top."""
        chosen = self.selectionModel()
        assert chosen is not None
        rows = sorted(index.row() for index in chosen.selectedRows())
        return [self.proxy.row_at(row) for row in rows]

    def select_named(self, names: Collection[str]) -> None:
        """Select the runs of these names, where they are on show."""
        chosen = self.selectionModel()
        assert chosen is not None
        flags = QItemSelectionModel.SelectionFlag
        for row in range(self.proxy.rowCount()):
            if self.proxy.row_at(row).name in names:
                chosen.select(self.proxy.index(row, 0), flags.Select | flags.Rows)

    @property
    def hidden(self) -> list[str]:
        """Keys of the columns that are not shown."""
        return [c.key for i, c in enumerate(COLUMNS) if self.isColumnHidden(i)]

    def hide_columns(self, keys: Sequence[str]) -> None:
        """Show all columns but these; the first always stays."""
        for i, column in enumerate(COLUMNS):
            self.setColumnHidden(i, column.key in keys and i > 0)

    def fit_columns(self) -> None:
        """Make columns as wide as their titles and the values on the screen need."""
        self.resizeColumnsToContents()
        metrics, header = self.fontMetrics(), self.horizontalHeader()
        assert header is not None
        for i in range(len(COLUMNS)):
            room = 26 if i else 60  # for the arrow that tells the order
            least = metrics.horizontalAdvance(COLUMNS[i].title) + room
            header.resizeSection(i, min(max(least, header.sectionSize(i) + 8), 240))

    def make_room(self) -> None:
        """Fit all columns to a first row, and that of the names to any that came later."""
        header = self.horizontalHeader()
        assert header is not None
        needed = min(self.sizeHintForColumn(0) + 8, 240)
        if self.proxy.rowCount() == 1:
            self.fit_columns()
        elif needed > header.sectionSize(0):
            header.resizeSection(0, needed)

    def columns_menu(self) -> QMenu:
        """Return a menu of the columns, those that are shown ticked."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        for i, column in enumerate(COLUMNS[1:], 1):
            action = QAction(column.title, menu)
            action.setCheckable(True)
            action.setChecked(not self.isColumnHidden(i))
            action.setToolTip(column.about)
            action.toggled.connect(lambda shown, i=i: self._show_column(i, shown))
            menu.addAction(action)
        return menu

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Show the selected run with return; everything else as in any table."""
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.opened.emit()
            return
        super().keyPressEvent(event)

    def _offer_columns(self, place: QPoint) -> None:
        header = self.horizontalHeader()
        assert header is not None
        self.columns_menu().popup(header.mapToGlobal(place))

    def _show_column(self, column: int, shown: bool) -> None:
        self.setColumnHidden(column, not shown)
        self.columns_changed.emit()
