"""The dock with all training runs: sort, filter, compare and resume them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from napari.components import ViewerModel
from qtpy.QtCore import Qt, QUrl, Signal
from qtpy.QtGui import (
    QDesktopServices,
    QDragEnterEvent,
    QDropEvent,
    QKeySequence,
    QResizeEvent,
    QShortcut,
)
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSplitter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.plugin.background import Failure, JobOutcome, run_job
from napari_cxr.plugin.base_dock import Dock, dropped_files
from napari_cxr.plugin.docks import dock_signals, open_dock
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.runs import run_files
from napari_cxr.plugin.runs.run_actions import RunsTableActions
from napari_cxr.plugin.runs.run_files import RunsInFolder
from napari_cxr.plugin.runs.run_results import SelectedCurves
from napari_cxr.plugin.runs.runs_table import RunRow, RunsTableModel, RunsTableView
from napari_cxr.plugin.style import keep_space, quiet_label
from napari_cxr.plugin.widgets.row_table import RowFilterProxy
from napari_cxr.plugin.widgets.sections import scrollable
from napari_cxr.plugin.widgets.text import InlineMessage, PlainLabel, plain_tip
from napari_cxr.training.training_events import RunsDone

__all__ = ['RunsDock', 'RunsHeader']


class RunsHeader(QWidget):
    """The folder, the filter, and buttons to choose columns and to save the table.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: Another folder was chosen.
    folder_chosen = Signal(str)
    refresh_requested = Signal()
    filter_changed = Signal(str)
    columns_requested = Signal()
    save_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.place = PlainLabel()
        self.place.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.choose = QPushButton('Folder…')
        self.choose.setToolTip('Show the runs in this folder and in the folders below it')
        self.again = QToolButton()
        self.again.setText('↻')
        self.again.setToolTip('Refresh (F5)')
        self.again.setAccessibleName('Refresh')
        self.filter = QLineEdit()
        self.filter.setPlaceholderText('Filter')
        self.filter.setMinimumWidth(70)
        self.filter.setClearButtonEnabled(True)
        self.filter.setToolTip('Show the runs that contain all of these words in any column')
        self.filter.setAccessibleName('Filter')
        self.columns = QPushButton('Columns')
        self.columns.setToolTip('Choose the columns to show')
        self.save = QPushButton('Save…')
        self.save.setToolTip('Save the rows that are shown as a CSV file')
        self._lower = QWidget()
        first, second = QHBoxLayout(), QHBoxLayout(self._lower)
        second.setContentsMargins(0, 0, 0, 0)
        first.addWidget(self.place, 1)
        for widget in (self.again, self.choose):
            first.addWidget(widget)
        second.addWidget(self.filter, 1)
        for widget in (self.columns, self.save):
            second.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(first)
        layout.addWidget(self._lower)
        self.choose.clicked.connect(self._choose)
        self.again.clicked.connect(self.refresh_requested)
        self.filter.textChanged.connect(self.filter_changed)
        self.columns.clicked.connect(self.columns_requested)
        self.save.clicked.connect(self.save_requested)

    def set_folder(self, folder: str) -> None:
        """Show the name of the folder."""
        self.place.setToolTip(plain_tip(folder))
        self._elide()

    def offer(self, every: int, shown: int) -> None:
        """Show the controls that apply to this many runs, after and before filtering."""
        self._lower.setVisible(every > 0)
        self.save.setEnabled(shown > 0)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Shorten the name of the folder to the width."""
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        metrics, width = self.place.fontMetrics(), max(self.place.width() - 12, 60)
        self.place.setText(
            metrics.elidedText(self.place.toolTip(), Qt.TextElideMode.ElideLeft, width)
        )

    def _choose(self) -> None:
        path = QFileDialog.getExistingDirectory(
            self, 'Choose the folder of your runs', self.place.toolTip()
        )
        if path:
            self.folder_chosen.emit(path)


_MOST_EPOCHS = 100_000

_NO_RUNS = (
    'There are no runs in this folder. Train a network in the dock “Train a classifier”, or '
    'choose the folder that contains your runs.'
)


class RunsDock(Dock):
    """A table of the runs below a folder, and the curves of those that are selected.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self._reading = False
        self._build()
        self._connect()
        chosen = preferences('runs')
        self.view.hide_columns(chosen.hidden.split())
        self.folder = _usual_folder()
        self.refresh()

    def _build(self) -> None:
        self.setAcceptDrops(True)
        self.head = RunsHeader()
        self.model = RunsTableModel(self)
        self.proxy = RowFilterProxy(self.model, self)
        self.view = RunsTableView(self.proxy)
        self.count = quiet_label()
        self.progress = QProgressBar()
        self.progress.setAccessibleName('Progress')
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(4)
        self.progress.setAccessibleName('Fraction of the runs that are complete')
        self.progress.hide()
        keep_space(self.progress)
        self.actions_row = RunsTableActions()
        self.message = InlineMessage()
        self.curves = SelectedCurves(self.viewer.theme)
        upper = QWidget()
        above = QVBoxLayout(upper)
        above.setContentsMargins(0, 0, 0, 8)  # above the handle
        above.setSpacing(8)
        above.addWidget(self.head)
        above.addWidget(self.view, 1)
        for widget in (self.progress, self.count, self.message, self.actions_row):
            above.addWidget(widget)
        above.addStretch(0)  # when there is no table
        self.parts = QSplitter(Qt.Orientation.Vertical)
        self.parts.addWidget(upper)
        self.parts.addWidget(scrollable(self.curves))
        self.parts.setChildrenCollapsible(False)
        self.parts.setStretchFactor(0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.addWidget(self.parts)
        self.setMinimumWidth(280)

    def _connect(self) -> None:
        head = self.head
        head.folder_chosen.connect(self.set_folder)
        head.refresh_requested.connect(self.refresh)
        head.filter_changed.connect(self._filter)
        head.columns_requested.connect(self._offer_columns)
        head.save_requested.connect(self.export)
        self.view.selected.connect(self._select)
        self.view.row_opened.connect(self.curves.read_now)
        self.view.columns_changed.connect(self._save_columns)
        self.curves.failed.connect(self._show_failure)
        self.curves.settled.connect(self.settled)
        actions = self.actions_row
        actions.settings_requested.connect(self._load_settings)
        actions.resume_requested.connect(self._resume)
        actions.more_epochs_requested.connect(self._ask_for_more_epochs)
        actions.classify_requested.connect(self._classify)
        actions.folder_requested.connect(self._open_folder)
        dock_signals().run_done.connect(self.add_run)
        QShortcut(QKeySequence(Qt.Key.Key_F5), self).activated.connect(self.refresh)

    # -- the table ----------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether something is being read."""
        return self._reading or self.curves.busy

    def set_folder(self, folder: str) -> None:
        """Show the runs of another folder, and remember the choice."""
        self.folder = Path(folder)
        save_preferences('runs', folder=str(folder))
        self.model.set_rows([])
        self.progress.hide()
        self.refresh()

    def refresh(self) -> None:
        """Read the runs again; returns at once."""
        self.message.clear()
        self.curves.forget()
        self._reading = True
        self._show_count()
        reading = partial(run_files.read_runs, self.folder)
        run_job(self, reading, 'Reading the runs', done=self._show_table)

    def add_run(self, folder: str, event: RunsDone | None) -> None:
        """Show a run that has just ended.

        Parameters
        ----------
        folder : str
            Folder of the run, or of the sweep or cross-validated run that it belongs to.
        event : RunsDone, optional
            Carries the row of one run of several; without it the table is read again.
        """
        where = Path(folder)
        if not (where == self.folder or where.is_relative_to(self.folder)):
            return
        if event is None:
            self.progress.hide()
            self.refresh()
            return
        if event.run != where.name:
            return  # a fold of one run of a sweep
        is_fold = str(event.row.get('run', '')).startswith(f'{where.name}/')
        if event.row and (not is_fold or where == self.folder):  # otherwise they share a row
            self.model.add_row(run_files.row_of_ended_run(self.folder, where, event.row))
            self.view.fit_added_row()
        self.progress.setVisible(0 < event.done < event.total)
        self.progress.setRange(0, max(event.total, 1))
        self.progress.setValue(event.done)
        self._show_count()

    def _show_table(self, outcome: JobOutcome) -> None:
        table: RunsInFolder = outcome.result
        if table.folder != self.folder:
            return  # another one was chosen in the meantime
        self._reading = False
        chosen = {run.name for run in self.view.runs}
        self.model.set_rows(table.rows)
        self.view.fit_columns()
        self.view.select_named(chosen)
        if table.failure is not None:
            self._show_failure(table.failure)
        self._show_count()
        self.settled.emit()

    def _show_count(self) -> None:
        """Show the folder and the number of runs."""
        self.head.set_folder(str(self.folder))
        every, shown = self.model.rowCount(), self.proxy.rowCount()
        if self._reading and not every:
            text = 'Reading the runs…'
        elif not every:
            text = '' if self.message.text else _NO_RUNS
        else:
            text = f'{every:,} {"run" if every == 1 else "runs"}'
            text += f', {shown:,} shown' if shown < every else ''
            if not self.progress.isHidden():
                text += f' · {self.progress.value()} of {self.progress.maximum()} complete'
        self.count.setText(text)
        self.count.setVisible(bool(text))
        for widget in (self.view, self.actions_row, self.curves):
            widget.setVisible(bool(every))
        self.head.offer(every, shown)
        self.actions_row.offer(self.view.runs)

    def _select(self) -> None:
        self.actions_row.offer(self.view.runs)
        self.curves.show_runs(self.view.runs)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Accept a folder."""
        paths = dropped_files(event) if event is not None else []
        if event is not None and len(paths) == 1 and Path(paths[0]).is_dir():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Show the runs of the dropped folder."""
        for path in dropped_files(event) if event is not None else ():
            self.set_folder(path)

    def _show_failure(self, failure: Failure) -> None:
        self.message.show_error(failure.text, failure.details)

    # -- actions ------------------------------------------------------------------------

    def export(self) -> None:
        """Ask for a file, and write the rows to it as CSV, as filtered and sorted."""
        path, _ = QFileDialog.getSaveFileName(
            self, 'Save the table', str(self.folder / 'runs.csv'), 'Tables (*.csv)'
        )
        if path:
            rows = [self.proxy.row_at(i).values for i in range(self.proxy.rowCount())]
            writing = partial(run_files.write_runs, rows, path)
            run_job(self, writing, 'Saving the table', done=self._show_saved)

    def _show_saved(self, outcome: JobOutcome | Failure) -> None:
        if isinstance(outcome, Failure):
            self._show_failure(outcome)
        else:
            self.count.setText(f'Saved to {outcome.result}')
        self.settled.emit()

    def _filter(self, text: str) -> None:
        self.proxy.set_filter(text)
        self._show_count()

    def _offer_columns(self) -> None:
        button = self.head.columns
        self.view.columns_menu().popup(button.mapToGlobal(button.rect().bottomLeft()))

    def _save_columns(self) -> None:
        save_preferences('runs', hidden=' '.join(self.view.hidden))

    def _selected_run(self) -> RunRow | None:
        runs = self.view.runs
        return runs[0] if len(runs) == 1 else None

    def _load_settings(self) -> None:
        if (run := self._selected_run()) is not None:
            open_dock(self.viewer, 'Train a classifier')
            dock_signals().run_requested.emit(self.viewer, str(run.path))

    def _resume(self) -> None:
        if (run := self._selected_run()) is not None:
            open_dock(self.viewer, 'Train a classifier')
            dock_signals().resume_requested.emit(self.viewer, str(run.path))

    def _ask_for_more_epochs(self) -> None:
        """Ask for how many epochs the selected run shall have, and go on in the Train dock."""
        run = self._selected_run()
        if run is None:
            return
        done = run.values.get('epochs') or 0
        epochs, accepted = QInputDialog.getInt(
            self,
            'More epochs',
            f'“{run.name}” has done {done:,} epochs. Epochs in all:',
            value=2 * done,
            min=done + 1,
            max=_MOST_EPOCHS,
        )
        if accepted:
            open_dock(self.viewer, 'Train a classifier')
            dock_signals().more_epochs_requested.emit(self.viewer, str(run.path), epochs)

    def _classify(self) -> None:
        if (run := self._selected_run()) is not None:
            open_dock(self.viewer, 'Classify chest radiograph')
            dock_signals().model_requested.emit(self.viewer, str(run.path / 'best.safetensors'))

    def _open_folder(self) -> None:
        if (run := self._selected_run()) is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(run.path)))

    def set_theme(self, theme: str) -> None:
        """Draw the curves in the colours of a theme."""
        self.curves.set_theme(theme)


def _default_folder() -> Path:
    """Return the folder in which the Train dock saves runs by default."""
    runs = preferences('train').runs
    return Path(runs).expanduser() if runs else Path.home() / 'napari-cxr-runs'


def _usual_folder() -> Path:
    chosen = preferences('runs').folder
    return Path(chosen) if chosen else _default_folder()
