"""Actions on the score table: context menus, copying rows, and the page of an empty table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from qtpy.QtCore import QObject, QPoint, Qt, QUrl, Signal
from qtpy.QtGui import QDesktopServices, QGuiApplication
from qtpy.QtWidgets import QMenu, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_cxr.output_text import to_csv_cell
from napari_cxr.plugin.score_table.column_choice import ColumnChoice
from napari_cxr.plugin.score_table.score_columns import PICTURE, ScoreColumn
from napari_cxr.plugin.score_table.score_rows import ScoreRows
from napari_cxr.plugin.score_table.score_view import ScoreTableView
from napari_cxr.plugin.widgets.text import PlainLabel
from napari_cxr.scoring import ScoreRow
from napari_cxr.scoring.table_reader import image_path_of

__all__ = [
    'EmptyTablePage',
    'RowMenu',
    'TableMenus',
    'copy_to_clipboard',
    'rows_as_text',
    'show_folder',
]


def rows_as_text(
    rows: ScoreRows, columns: Sequence[ScoreColumn], places: Sequence[int] | np.ndarray
) -> str:
    """Return rows as lines of tab-separated cells, below a line of titles.

    Parameters
    ----------
    rows : ScoreRows
        All rows.
    columns : sequence of ScoreColumn
        Columns to write.
    places : sequence of int
        Indices of the rows.
    """
    places = np.asarray(places, dtype=np.int64)
    written = [column for column in columns if column.key != PICTURE]
    cells = [_cell_texts(rows, column, places) for column in written]
    lines = ['\t'.join(_one_line(column.title) for column in written)]
    # Most likely into a spreadsheet, which must not compute what a file is called.
    lines += ['\t'.join(map(str, map(to_csv_cell, line))) for line in zip(*cells, strict=True)]
    return '\n'.join(lines) + '\n'


def _cell_texts(rows: ScoreRows, column: ScoreColumn, places: np.ndarray) -> list[str]:
    if column.kind in ('bar', 'share'):  # one by one would take a second
        values = rows.numbers[column.key].values[places].tolist()
        return ['' if value != value else f'{value:.7g}' for value in values]
    if column.kind in ('file', 'text', 'label', 'note'):  # each distinct text once
        entries = rows.texts[column.key]
        texts = [_one_line(text) for text in entries.categories]
        return [texts[code] for code in entries.codes[places].tolist()]
    return [_one_line(column.copied(rows, place)) for place in places.tolist()]


def _one_line(text: str) -> str:
    return ' '.join(text.split()) if '\t' in text or '\n' in text or '\r' in text else text


class RowMenu(QMenu):
    """Context menu of a row: open, copy, and show the folder.

    Parameters
    ----------
    row : Row
        The current row.
    table : str
        Its table.
    parent : QWidget, optional
        Qt parent.
    """

    open_wanted = Signal()
    #: The selected rows are to be copied.
    copy_wanted = Signal()

    def __init__(self, row: ScoreRow, table: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        for text, slot in (
            ('Open', self.open_wanted.emit),
            ('Copy the selected rows', self.copy_wanted.emit),
            ('Copy the path', lambda: copy_to_clipboard(row.path)),
            ('Show the folder', lambda: show_folder(image_path_of(row.path, table))),
        ):
            action = self.addAction(text)
            if action is not None:
                action.triggered.connect(lambda _=False, slot=slot: slot())
        self.aboutToHide.connect(self.deleteLater)


def copy_to_clipboard(text: str) -> None:
    """Copy a text to the clipboard."""
    clipboard = QGuiApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(text)


def show_folder(file: str) -> None:
    """Show the folder of a file in the file manager of the desktop."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(Path(file).parent)))


class TableMenus(QObject):
    """Opens context menus of rows and columns, by the mouse or the menu key.

    Parameters
    ----------
    view : ScoreTableView
        The view.
    choice : ColumnChoice
        Shown columns.
    """

    #: The current row is to be opened.
    open_wanted = Signal()

    def __init__(self, view: ScoreTableView, choice: ColumnChoice) -> None:
        super().__init__(view)
        self._view, self._choice = view, choice
        self.out = ''  # path of the table, by which relative paths are resolved
        for asked, slot in ((view, self._offer_actions), (view.titles, self._offer_titles)):
            asked.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
            asked.customContextMenuRequested.connect(slot)
        view.copy_wanted.connect(self.copy)

    def copy(self) -> None:
        """Copy the selected rows with the shown columns, for a spreadsheet."""
        view, model = self._view, self._view.lines
        if model.rows.is_blinded:
            return  # paths tell too much
        if lines := view.selected_lines:
            columns = [model.columns[i] for i in view.titles.shown]
            copy_to_clipboard(rows_as_text(model.rows, columns, model.order.shown[lines]))

    def offer_columns(self, button: QWidget) -> None:
        """Open the menu of columns below a button."""
        self._open_columns(button.mapToGlobal(button.rect().bottomLeft()))

    def _offer_titles(self, place: QPoint) -> None:
        self._open_columns(self._view.titles.mapToGlobal(place))

    def _open_columns(self, place: QPoint) -> None:
        model = self._view.lines
        if model.rows.is_blinded:
            return
        menu = self._choice.menu(model.columns, model.rows, model.order.column, self._view)
        menu.popup(place)

    def _offer_actions(self, place: QPoint) -> None:
        view, viewport = self._view, self._view.viewport()
        current = view.currentIndex()
        if viewport is None or not current.isValid() or view.lines.rows.is_blinded:
            return
        line = view.visualRect(current)
        if not line.contains(line.left(), place.y()):  # the menu key, or a click below all rows
            place = line.bottomLeft() if line.top() > 0 else line.topLeft()
            place.setX(max(place.x(), 0))
        menu = RowMenu(view.lines.row_at(current.row()), self.out, view)
        menu.open_wanted.connect(self.open_wanted)
        menu.copy_wanted.connect(self.copy)
        menu.popup(viewport.mapToGlobal(place))


_START = 'A row for each image appears here as soon as it is scored.'

_NO_MATCH = 'No row matches the filter.'


class EmptyTablePage(QWidget):
    """Shown instead of an empty table: a hint, and a button where a filter hides all rows.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: All rows are to be shown.
    all_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = PlainLabel(_START)
        self.label.setObjectName('quiet')
        self.label.setWordWrap(True)
        self.label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.clear = QPushButton('Show all rows')
        self.clear.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        layout = QVBoxLayout(self)
        layout.setSpacing(10)
        layout.addStretch(1)
        layout.addWidget(self.label)
        layout.addWidget(self.clear, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(1)
        self.clear.clicked.connect(self.all_wanted)
        self.show_rows(0)

    def show_rows(self, every: int) -> None:
        """Show why none of so many rows is shown."""
        self.label.setText(_NO_MATCH if every else _START)
        self.clear.setVisible(bool(every))
