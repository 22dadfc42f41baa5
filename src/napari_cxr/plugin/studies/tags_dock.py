"""The dock that shows the header of the radiograph on show, as a table that can be searched."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication, QKeySequence, QShortcut
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout

from napari_cxr.dicom.tag_listing import TagRow
from napari_cxr.output_text import terminal_line, to_csv_cell
from napari_cxr.plugin.background import Failure, JobOutcome, RunningJob, run_job
from napari_cxr.plugin.base_dock import Dock, dropped_files
from napari_cxr.plugin.docks import dock_signals, is_same_viewer, unwrap_viewer
from napari_cxr.plugin.layers import path_of
from napari_cxr.plugin.reader import last_folder
from napari_cxr.plugin.style import keep_space, quiet_label
from napari_cxr.plugin.widgets.row_table import (
    RowFilterProxy,
    RowTableModel,
    RowTableView,
    TableColumn,
)
from napari_cxr.plugin.widgets.sections import fill_dock
from napari_cxr.plugin.widgets.text import InlineMessage
from napari_cxr.workers.decoder_pool import shared_decoder

__all__ = ['TagsDock']

_COLUMNS = (
    TableColumn('Element', 'As the standard calls it; what lies in a sequence is indented'),
    TableColumn('Value', 'What may tell whose image it is stays hidden until it is switched on'),
    TableColumn('Tag', 'Group and element'),
    TableColumn('VR', 'Value representation'),
)
_WIDTHS = (150, 150, 84)
_NOTHING = (
    'Open a DICOM radiograph, or choose a file, to see its header. A file can also be dropped '
    'onto this dock.'
)


class TagModel(RowTableModel[TagRow]):
    """The elements of a header; text in it is never taken for anything else."""

    def __init__(self) -> None:
        super().__init__(_COLUMNS)

    def text(self, row: int, column: int) -> str:
        """Return a name, a value, a tag or a value representation."""
        found = self.row(row)
        name = f'{"    " * found.depth}{found.name or "Unknown element"}'
        if found.private:
            name += ' (private)'
        return terminal_line((name, found.value, found.tag, found.vr)[column])


class TagsDock(Dock):
    """The header of the selected radiograph.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    #: A header was read, or could not be.
    listed = Signal()

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(unwrap_viewer(napari_viewer))
        self.setAcceptDrops(True)
        self._path = ''
        self._job: RunningJob | None = None
        self.model = TagModel()
        self.proxy = RowFilterProxy(self.model, self)
        self.table = RowTableView(self.proxy, 'Header tags', multi_select=True)
        self.table.setSortingEnabled(True)
        # In the order of the file until a title is clicked.
        self.table.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.table.setMinimumHeight(260)
        for column, width in enumerate(_WIDTHS):
            self.table.setColumnWidth(column, width)
        self.table.titles.setStretchLastSection(True)
        self.search = QLineEdit()
        self.search.setPlaceholderText('Search names, values and tags')
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName('Search the header')
        self.choose = QPushButton('File…')
        self.choose.setToolTip('Show the header of another file')
        self.identity = QCheckBox('Show identity')
        self.identity.setToolTip(
            'Show names, numbers, dates, free text and private elements too, until this is '
            'switched off, or napari ends'
        )
        self.copy = QPushButton('Copy')
        self.copy.setToolTip('Copy the selected rows, or all of them, as a table (Ctrl+C)')
        self.status = quiet_label(_NOTHING)
        keep_space(self.status, lines=1)
        self.message = InlineMessage()
        first, second = QHBoxLayout(), QHBoxLayout()
        first.addWidget(self.search, 1)
        first.addWidget(self.choose)
        second.addWidget(self.identity, 1)
        second.addWidget(self.copy)
        fill_dock(self, self.status, self.message, self.table)
        above = self.table.parentWidget()
        layout = above.layout() if above is not None else None
        if isinstance(layout, QVBoxLayout):
            layout.insertLayout(0, first)
            layout.insertLayout(1, second)
            layout.setStretchFactor(self.table, 100)
            layout.setSpacing(6)
        self.search.textChanged.connect(self.proxy.set_filter)
        self.choose.clicked.connect(self.choose_file)
        self.identity.toggled.connect(self._read)
        self.copy.clicked.connect(self.copy_rows)
        QShortcut(QKeySequence.StandardKey.Copy, self.table).activated.connect(self.copy_rows)
        self.viewer.layers.selection.events.active.connect(self._follow)
        dock_signals().tags_requested.connect(self._asked)
        self._follow()

    def show_file(self, path: str) -> None:
        """Show the header of a file; returns at once."""
        self._path = path
        self._read()

    def choose_file(self) -> None:
        """Ask for a file and show its header."""
        chosen, _ = QFileDialog.getOpenFileName(self, 'Show the header of', last_folder())
        if chosen:
            self.show_file(chosen)

    def copy_rows(self) -> None:
        """Copy the selected rows, or all that are shown, as lines of cells."""
        lines = self.table.selected_lines or range(self.proxy.rowCount())
        rows = [self.proxy.source_row(line) for line in lines]
        cells = (
            '\t'.join(str(to_csv_cell(self.model.text(row, column))) for column in range(4))
            for row in rows
        )
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None and rows:
            clipboard.setText('\n'.join(cells))
            self.status.setText(f'Copied {len(rows):,} row{"s" * (len(rows) > 1)}.')

    def _asked(self, viewer: ViewerModel, path: str) -> None:
        if is_same_viewer(viewer, self.viewer):
            self.show_file(path)

    def _follow(self) -> None:
        """Show the header of the radiograph that was selected."""
        active = self.viewer.layers.selection.active
        path = path_of(active) if active is not None else ''
        if path and path != self._path:
            self.show_file(path)

    def _read(self) -> None:
        if not self._path:
            return
        if self._job is not None:
            self._job.cancel()
        self.message.clear()
        wanted = self._path, self.identity.isChecked()
        self._job = run_job(
            self, _listing(*wanted), 'Reading the header', done=self._take, ended=self.listed.emit
        )

    def _take(self, outcome: JobOutcome | Failure) -> None:
        if isinstance(outcome, Failure):
            self.model.set_rows([])
            self.status.setText('')
            self.message.show_error(outcome.text, outcome.details)
            return
        if outcome.result is None:
            return
        wanted, rows = outcome.result
        if wanted != (self._path, self.identity.isChecked()):
            return  # another one was asked for meanwhile
        self.model.set_rows(rows)
        hidden = sum(row.hidden for row in rows)
        said = f', {hidden:,} hidden' if hidden else ''
        self.status.setText(f'{len(rows):,} elements{said}')

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Accept one local file."""
        if event is not None and len(dropped_files(event)) == 1:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Show the header of the dropped file."""
        paths = dropped_files(event) if event is not None else []
        if len(paths) == 1 and Path(paths[0]).is_file():
            self.show_file(paths[0])


def _listing(
    path: str, identity: bool
) -> Generator[Any, None, tuple[tuple[str, bool], list[TagRow]]]:
    found = yield from shared_decoder().tags(path, identity)
    return (path, identity), [TagRow._make(row) for row in found]
