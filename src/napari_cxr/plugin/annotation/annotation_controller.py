"""The controller of annotation: keeps table, panel, layers and annotations in step.

`TableLabels` holds the annotations of the table on screen: they are opened one table after the
other, and closed once everything is saved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any
from weakref import ref

from napari.components import ViewerModel
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_cxr.plugin.annotation import label_export
from napari_cxr.plugin.annotation.annotation_panel import AnnotationPanel
from napari_cxr.plugin.annotation.annotation_state import RowVisibility, unsaved_message
from napari_cxr.plugin.annotation.keyboard_shortcuts import ShortcutScope
from napari_cxr.plugin.annotation.row_opener import RowOpener
from napari_cxr.plugin.background import Failure, when_destroyed
from napari_cxr.plugin.docks import dock_signals, open_dock
from napari_cxr.plugin.score_table.table_widget import ScoreTable
from napari_cxr.scoring.annotation.csv_export import ExportResult
from napari_cxr.scoring.annotation.reading_list import ReadingList
from napari_cxr.scoring.score_row import ScoreRow, ScoringRun

__all__ = ['AnnotationController', 'TableLabels']


class TableLabels(QObject):
    """Opens the reading list of one table at a time.

    A list that was closed while labels were not on the disk yet goes on saving; the same table
    is opened again after that.

    Parameters
    ----------
    changed : callable
        Called in other threads when saving has come further, or fails.
    parent : QObject, optional
        Qt parent.
    """

    #: The `ReadingList` of the table that was asked for last, or a `Failure`.
    came = Signal(object)

    def __init__(self, changed: Callable[[], None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._changed = changed
        self._open: list[ReadingList] = []  # at most one
        self._closing: list[ReadingList] = []
        self._wanted: tuple[str, tuple[str, ...]] | None = None
        self._number = 0  # of the openings: the same table may be opened twice
        self._opening = 0  # the one that is under way
        self._workers: list[Any] = []
        self._busy = False
        # Whoever closes the dock must not keep the labels from others.
        when_destroyed(self, partial(_close, self._open))

    @property
    def current(self) -> ReadingList | None:
        """The list that is open."""
        return self._open[0] if self._open else None

    @property
    def unsaved_problem(self) -> str:
        """What is not saved and why, in a sentence; empty where nothing is known to prevent it."""
        problems = map(unsaved_message, (*self._open, *self._closing))
        return next(filter(None, problems), '')

    def open(self, table: str, labels: Sequence[str]) -> None:
        """Open the list of another table in place of the current one; returns at once."""
        self.close()
        self._wanted = table, tuple(labels)
        self._go_on()

    def close(self) -> None:
        """Close the current list, as soon as all of it is saved."""
        self._number += 1
        self._wanted = None
        self._let_go(self._open)
        self._open.clear()

    def _let_go(self, readings: Sequence[ReadingList]) -> None:
        for reading in readings:
            reading.close()
        self._closing = [each for each in (*self._closing, *readings) if not each.closed]

    def _go_on(self) -> None:
        """Start to open what is wanted, where no other opening is under way."""
        if self._busy or self._wanted is None:
            return
        (table, labels), self._wanted = self._wanted, None
        self._busy, self._opening = True, self._number
        worker = label_export.open_labels(table, labels, self._changed, tuple(self._closing))
        # Kept, because a worker that goes may take with it what it has just told.
        self._workers = [*self._workers[-1:], worker]
        # Of a method Qt forgets the connection when this object goes, of a `partial` it does not.
        worker.returned.connect(self._take)
        worker.start()

    def _take(self, result: ReadingList | Failure) -> None:
        self._busy = False
        self._closing = [each for each in self._closing if not each.closed]
        if self._opening == self._number:
            if isinstance(result, ReadingList):
                self._open[:] = [result]
            self.came.emit(result)
        elif isinstance(result, ReadingList):
            self._let_go([result])
        self._go_on()


def _close(readings: list[ReadingList]) -> None:
    for reading in readings:
        reading.close()


#: Rows that are read ahead of a person who goes through the table.
_AHEAD = 3


class AnnotationController(QObject):
    """Opens rows, keeps what a person says of them, and hears the keys.

    Parameters
    ----------
    viewer : ViewerModel
        Where images are opened.
    table : ScoreTable
        The rows.
    panel : ReadingPanel
        What is said of the current one.
    dock : QWidget
        Where the keys work, besides napari's canvas.
    """

    #: Something failed: a sentence, and technical details.
    failed = Signal(str, str)
    #: What is being done; empty once it is.
    busy = Signal(str)
    #: What was wrong is so no longer, as with a row when another one is opened; or nothing.
    resolved = Signal(str)
    #: Labels were saved: the `Exported`, and whether the Train dock takes it.
    saved = Signal(object, bool)
    #: Labels were given or taken back.
    labelled = Signal()

    def __init__(
        self, viewer: ViewerModel, table: ScoreTable, panel: AnnotationPanel, dock: QWidget
    ) -> None:
        super().__init__(dock)
        self._viewer, self._table, self._panel, self._dock = viewer, table, panel, dock
        self._run: ScoringRun | None = None
        self._out = self._model = self._device = ''
        self._problem = self._failed_path = ''  # of the row that was opened last, and its path
        self._unsaved_shown = ''  # of labels that are not saved
        self._exporting: Any = None
        self._cancelled = Event()  # the export under way
        self.opener = RowOpener(viewer, self)
        self._table_labels = TableLabels(partial(_show_saving, ref(panel)), self)
        when_destroyed(self, self._cancelled.set)
        table.opened.connect(self.open)
        table.chosen.connect(panel.show_row)
        table.chosen.connect(self._show_visibility)
        panel.about_to_label.connect(self._show_visibility)  # a layer may have been hidden by hand
        panel.labelled.connect(self._labelled)
        panel.step.connect(self.step)
        panel.row_wanted.connect(self._go_to)
        panel.export_wanted.connect(self._export)
        panel.saving_changed.connect(self._show_unsaved)
        self._table_labels.came.connect(self._take_annotations)
        self.opener.busy.connect(self.busy)
        self.opener.failed.connect(self._not_opened)
        self.opener.layers_changed.connect(self._show_visibility)
        self._shortcuts = ShortcutScope(viewer, panel, dock)

    @property
    def annotations(self) -> ReadingList | None:
        """The labels of the table on show, once they are open."""
        return self._table_labels.current

    @property
    def unsaved_problem(self) -> str:
        """Why labels are not on the disk, also of a table before; empty where all is well."""
        return self._table_labels.unsaved_problem

    def start(self, run: ScoringRun, out: str, model: str, device: str) -> None:
        """Begin with another table; its rows come by `add`.

        Parameters
        ----------
        run : Run
            What they have in common.
        out : str
            The table.
        model, device : str
            With which its images are opened.
        """
        self._close_annotations()
        self.opener.close()  # what it reads is another table's
        self._run = run
        self._out, self._model, self._device = out, model, device
        negative = run.label_rule.negative
        self._panel.start(run.labels, run.multilabel, None, decision=run.decision, negative=negative)
        self._table.set_annotations(None)
        self._table_labels.open(out, run.labels)
        self._show_unsaved()

    def set_model(self, model: str, device: str) -> None:
        """Open images with another model or device from now on; the table stays."""
        self._model, self._device = model, device

    def add(self, rows: tuple[ScoreRow, ...]) -> None:
        """Count rows that have come."""
        self._panel.add(rows)

    def open(self, row: ScoreRow) -> None:
        """Show a row's radiograph with its heatmap, and read the next ones ahead."""
        self._shortcuts.add_around_image()
        self.resolved.emit(self._problem)
        self._problem = self._failed_path = ''
        self._panel.show_row(row)
        made_with = self._run.model_hash if self._run is not None else ''
        self.opener.open(row, self._model, self._device, made_with, self._out)
        self._show_visibility()
        following = self._table.following(_AHEAD)
        self.opener.load_ahead(following, self._model, self._device, made_with, self._out)

    def step(self, by: int) -> None:
        """Go to the next row or the one before, and open it."""
        row = self._table.step(by)
        if row is not None:
            self.open(row)
        elif by > 0:
            self._panel.show_end()

    def close(self) -> None:
        """Stop opening, and let others open the labels."""
        self._shortcuts.remove_around_image()
        self._close_annotations()
        self._table.set_annotations(None)
        self._panel.set_annotations(None, 'Open the table again to read it.')
        self.opener.close()

    def labels(self) -> dict[str, str]:
        """Return the labels that the person gave by path: joined by '|', empty for none."""
        reading = self.annotations
        if reading is None:
            return {}
        return {
            path: '|'.join(entry.labels) for path, entry in reading if entry.answer == 'labels'
        }

    def _take_annotations(self, result: ReadingList | Failure) -> None:
        if isinstance(result, Failure):
            self._panel.set_annotations(None, result.text)
        else:
            self._panel.set_annotations(result)
            self._table.set_annotations(result)

    def _close_annotations(self) -> None:
        self._panel.finish_note()
        self._table_labels.close()

    def _show_unsaved(self) -> None:
        """Say once what is not saved of a table before; of this one, the panel does."""
        here = self.annotations
        problem = '' if here is not None and here.problem else self.unsaved_problem
        if problem and problem != self._unsaved_shown:
            self.failed.emit(problem, '')
        elif self._unsaved_shown and not problem:
            self.resolved.emit(self._unsaved_shown)  # it is no longer so
        self._unsaved_shown = problem

    def _labelled(self, path: str) -> None:
        self._table.refresh(path)
        self.labelled.emit()

    def _go_to(self, path: str) -> None:
        """Go to a file's row and open it; one that the filter hides is opened all the same."""
        rows = (row for row in self._table.rows() if row.path == path)
        row = self._table.go_to(path) or next(rows, None)
        if row is not None:
            self.open(row)

    def _not_opened(self, row: ScoreRow, text: str) -> None:
        self._problem, self._failed_path = text, row.path
        self._show_visibility()
        if not self._panel.isVisible():
            self.failed.emit(text, '')

    def _show_visibility(self) -> None:
        """Let the panel say whether its row is on screen, and wait while it is about to be."""
        row, opener = self._panel.state.row, self.opener
        coming = row is not None and row.path == opener.pending
        seen = coming or row is None or row.path == opener.on_screen
        problem = self._problem if row is not None and row.path == self._failed_path else ''
        self._panel.show_visibility(
            RowVisibility(seen, coming, coming and opener.waiting, problem)
        )

    # -- saving -------------------------------------------------------------------------

    def _export(self, form: str) -> None:
        """Ask where labels shall be saved, and save them."""
        table = Path(self._out)
        if form == 'folders':
            parent = QFileDialog.getExistingDirectory(
                self._dock, 'Choose where the folder with the labels is made', str(table.parent)
            )
            path = str(_free_folder(Path(parent), f'{table.stem}-labels')) if parent else ''
        else:
            proposed = table.with_name(f'{table.stem}-labels.csv')
            path, _ = QFileDialog.getSaveFileName(
                self._dock, 'Save the labels', str(proposed), 'Tables (*.csv)'
            )
            if path and Path(path).suffix.lower() != '.csv':
                path = f'{path}.csv'
                if Path(path).exists():  # the file dialog has asked about the name without it
                    self.failed.emit(
                        f'There is a {Path(path).name} already, so nothing was saved. Choose '
                        'another name, or type this one with its ending to replace it.',
                        '',
                    )
                    return
        if path:
            self.export(form, path)

    def export(self, form: str, path: str) -> None:
        """Save labels as 'csv', 'all' or 'folders'; returns at once."""
        reading, run = self.annotations, self._run
        if reading is None or run is None:
            return
        self._panel.finish_note()
        self.busy.emit('Saving the labels')
        rows = sorted(self._table.rows(), key=lambda row: row.number)
        worker = self._exporting = label_export.export_labels(
            form, path, rows, dict(reading), run, self._out, self._cancelled
        )
        worker.returned.connect(partial(self._exported, form))
        worker.start()

    def _exported(self, form: str, result: ExportResult | Failure | None) -> None:
        self.busy.emit('')
        if isinstance(result, Failure):
            self.failed.emit(result.text, result.details)
        elif result is not None:
            self.saved.emit(result, form != 'all')

    def train(self, saved: ExportResult) -> None:
        """Open labels that were saved in the Train dock."""
        open_dock(self._viewer, 'Train a classifier')
        dock_signals().images_requested.emit(self._viewer, saved.path, saved.patient)


def _free_folder(parent: Path, name: str) -> Path:
    """Return a folder that does not exist yet."""
    number, folder = 1, parent / name
    while folder.exists():
        number += 1
        folder = parent / f'{name}-{number}'
    return folder


def _show_saving(panel: ref[AnnotationPanel]) -> None:
    there = panel()
    if there is not None:
        with suppress(RuntimeError):  # the dock has been closed meanwhile
            there.saving_changed.emit()
