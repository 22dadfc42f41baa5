"""The menus of the table of scores: of its rows, and of its columns."""

from __future__ import annotations

from qtpy.QtCore import QObject, QPoint, Qt, Signal
from qtpy.QtWidgets import QWidget

from napari_cxr.plugin.scores.actions import RowMenu, to_clipboard
from napari_cxr.plugin.scores.column_choice import ColumnChoice
from napari_cxr.plugin.scores.copy import as_text
from napari_cxr.plugin.scores.table_view import ScoreView

__all__ = ['TableMenus']


class TableMenus(QObject):
    """Opens them where they are asked for, with the mouse or the menu key.

    Parameters
    ----------
    view : ScoreView
        Of whose rows and columns.
    choice : ColumnChoice
        Which columns are wanted.
    """

    #: The current row shall be opened.
    open_wanted = Signal()

    def __init__(self, view: ScoreView, choice: ColumnChoice) -> None:
        super().__init__(view)
        self._view, self._choice = view, choice
        self.out = ''  # the table, by whose place files are found
        for asked, slot in ((view, self._offer_actions), (view.titles, self._offer_titles)):
            asked.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
            asked.customContextMenuRequested.connect(slot)
        view.copy_wanted.connect(self.copy)

    def copy(self) -> None:
        """Copy the selected rows, columns as they are shown, for a spreadsheet."""
        view, model = self._view, self._view.lines
        if lines := view.selected_lines:
            columns = [model.columns[i] for i in view.titles.shown]
            to_clipboard(as_text(model.rows, columns, model.order.shown[lines]))

    def offer_columns(self, button: QWidget) -> None:
        """Open the menu of the columns below a button."""
        self._open_columns(button.mapToGlobal(button.rect().bottomLeft()))

    def _offer_titles(self, place: QPoint) -> None:
        self._open_columns(self._view.titles.mapToGlobal(place))

    def _open_columns(self, place: QPoint) -> None:
        model = self._view.lines
        menu = self._choice.menu(model.columns, model.rows, model.order.column, self._view)
        menu.popup(place)

    def _offer_actions(self, place: QPoint) -> None:
        view, viewport = self._view, self._view.viewport()
        current = view.currentIndex()
        if viewport is None or not current.isValid():
            return
        line = view.visualRect(current)
        if not line.contains(line.left(), place.y()):  # the menu key, or a click below all rows
            place = line.bottomLeft() if line.top() > 0 else line.topLeft()
            place.setX(max(place.x(), 0))
        menu = RowMenu(view.lines.row_at(current.row()), self.out, view)
        menu.open_wanted.connect(self.open_wanted)
        menu.copy_wanted.connect(self.copy)
        menu.popup(viewport.mapToGlobal(place))
