"""Rows of the table, opened and read: table, panel, layers and reading list in step."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any
from weakref import ref

from napari.components import ViewerModel
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_cxr.plugin.classifying import Failure
from napari_cxr.plugin.docks import open_dock
from napari_cxr.plugin.reading import jobs
from napari_cxr.plugin.reading.lists import TableLabels
from napari_cxr.plugin.reading.opener import RowOpener
from napari_cxr.plugin.reading.panel import ReadingPanel
from napari_cxr.plugin.reading.reach import KeysInReach
from napari_cxr.plugin.reading.words import Sight
from napari_cxr.plugin.scores.table import ScoreTable
from napari_cxr.plugin.shared import shared
from napari_cxr.plugin.when_gone import when_gone
from napari_cxr.scoring.reading.export import Exported
from napari_cxr.scoring.reading.reading_list import ReadingList
from napari_cxr.scoring.row import Row, Run

__all__ = ['ReadingDesk']

#: Rows that are read ahead of a person who goes through the table.
_AHEAD = 3


class ReadingDesk(QObject):
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
    opening = Signal(str)
    #: Labels were saved: the `Exported`, and whether the Train dock takes it.
    saved = Signal(object, bool)
    #: Labels were given or taken back.
    labelled = Signal()

    def __init__(
        self, viewer: ViewerModel, table: ScoreTable, panel: ReadingPanel, dock: QWidget
    ) -> None:
        super().__init__(dock)
        self._viewer, self._table, self._panel, self._dock = viewer, table, panel, dock
        self._run: Run | None = None
        self._out = self._model = self._device = ''
        self._problem = self._unshown = ''  # of the row that was opened last, and its path
        self._told = ''  # of labels that are not saved
        self._exporting: Any = None
        self._cancelled = Event()  # the export under way
        self.opener = RowOpener(viewer)
        self._lists = TableLabels(partial(_tell_changed, ref(panel)), self)
        when_gone(self, self._cancelled.set)
        when_gone(self, self.opener.stops.stop)
        table.opened.connect(self.open)
        table.chosen.connect(panel.show_row)
        table.chosen.connect(self._tell_seen)
        panel.about_to_say.connect(self._tell_seen)  # a layer may have been hidden by hand
        panel.labelled.connect(self._labelled)
        panel.step.connect(self.step)
        panel.row_wanted.connect(self._go_to)
        panel.export_wanted.connect(self._export)
        panel.saving_changed.connect(self._tell_unsaved)
        self._lists.came.connect(self._take_reading)
        self.opener.busy.connect(self.busy)
        self.opener.failed.connect(self._not_opened)
        self.opener.turned.connect(self._tell_seen)
        self._keys = KeysInReach(viewer, panel, dock)

    @property
    def reading(self) -> ReadingList | None:
        """The labels of the table on show, once they are open."""
        return self._lists.current

    @property
    def unsaved_problem(self) -> str:
        """Why labels are not on the disk, also of a table before; empty where all is well."""
        return self._lists.unsaved_problem

    def start(self, run: Run, out: str, model: str, device: str) -> None:
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
        self._close_reading()
        self.opener.close()  # what it reads is another table's
        self._run = run
        self._out, self._model, self._device = out, model, device
        negative = run.label_rule.negative
        self._panel.start(run.labels, run.several, None, decision=run.decision, negative=negative)
        self._table.set_reading(None)
        self._lists.open(out, run.labels)
        self._tell_unsaved()

    def use(self, model: str, device: str) -> None:
        """Open images with another model or device from now on; the table stays."""
        self._model, self._device = model, device

    def add(self, rows: tuple[Row, ...]) -> None:
        """Count rows that have come."""
        self._panel.add(rows)

    def open(self, row: Row) -> None:
        """Show a row's radiograph with its heatmap, and read the next ones ahead."""
        self._keys.reach_image()
        self.opening.emit(self._problem)
        self._problem = self._unshown = ''
        self._panel.show_row(row)
        made_with = self._run.model_hash if self._run is not None else ''
        self.opener.open(row, self._model, self._device, made_with, self._out)
        self._tell_seen()
        following = self._table.following(_AHEAD)
        self.opener.ahead(following, self._model, self._device, made_with, self._out)

    def step(self, by: int) -> None:
        """Go to the next row or the one before, and open it."""
        row = self._table.step(by)
        if row is not None:
            self.open(row)
        elif by > 0:
            self._panel.show_end()

    def leave(self) -> None:
        """Stop opening, and let others open the labels."""
        self._keys.leave_image()
        self._close_reading()
        self._table.set_reading(None)
        self._panel.set_reading(None, 'Open the table again to read it.')
        self.opener.close()

    def truths(self) -> dict[str, str]:
        """Return the labels that the person gave by path: joined by '|', empty for none."""
        reading = self.reading
        if reading is None:
            return {}
        return {
            path: '|'.join(entry.labels) for path, entry in reading if entry.answer == 'labels'
        }

    def _take_reading(self, result: ReadingList | Failure) -> None:
        if isinstance(result, Failure):
            self._panel.set_reading(None, result.text)
        else:
            self._panel.set_reading(result)
            self._table.set_reading(result)

    def _close_reading(self) -> None:
        self._panel.finish_note()
        self._lists.close()

    def _tell_unsaved(self) -> None:
        """Say once what is not saved of a table before; of this one, the panel does."""
        here = self.reading
        problem = '' if here is not None and here.problem else self.unsaved_problem
        if problem and problem != self._told:
            self.failed.emit(problem, '')
        elif self._told and not problem:
            self.opening.emit(self._told)  # it is no longer so
        self._told = problem

    def _labelled(self, path: str) -> None:
        self._table.refresh(path)
        self.labelled.emit()

    def _go_to(self, path: str) -> None:
        """Go to a file's row and open it; one that the filter hides is opened all the same."""
        rows = (row for row in self._table.rows() if row.path == path)
        row = self._table.go_to(path) or next(rows, None)
        if row is not None:
            self.open(row)

    def _not_opened(self, row: Row, text: str) -> None:
        self._problem, self._unshown = text, row.path
        self._tell_seen()
        if not self._panel.isVisible():
            self.failed.emit(text, '')

    def _tell_seen(self) -> None:
        """Let the panel say whether its row is on screen, and wait while it is about to be."""
        row, opener = self._panel.reads.row, self.opener
        coming = row is not None and row.path == opener.coming
        seen = coming or row is None or row.path == opener.on_screen
        problem = self._problem if row is not None and row.path == self._unshown else ''
        self._panel.show_sight(Sight(seen, coming, coming and opener.awaited, problem))

    # -- saving -------------------------------------------------------------------------

    def _export(self, form: str) -> None:
        """Ask where labels shall be saved, and save them."""
        table = Path(self._out)
        if form == 'folders':
            parent = QFileDialog.getExistingDirectory(
                self._dock, 'Choose where the folder with the labels is made', str(table.parent)
            )
            path = str(_free(Path(parent), f'{table.stem}-labels')) if parent else ''
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
        reading, run = self.reading, self._run
        if reading is None or run is None:
            return
        self._panel.finish_note()
        self.busy.emit('Saving the labels')
        rows = sorted(self._table.rows(), key=lambda row: row.number)
        worker = self._exporting = jobs.export(
            form, path, rows, dict(reading), run, self._out, self._cancelled
        )
        worker.returned.connect(partial(self._exported, form))
        worker.start()

    def _exported(self, form: str, result: Exported | Failure | None) -> None:
        self.busy.emit('')
        if isinstance(result, Failure):
            self.failed.emit(result.text, result.details)
        elif result is not None:
            self.saved.emit(result, form != 'all')

    def train(self, saved: Exported) -> None:
        """Open labels that were saved in the Train dock."""
        open_dock(self._viewer, 'Train a classifier')
        shared().images_wanted.emit(self._viewer, saved.path, saved.patient)


def _free(parent: Path, name: str) -> Path:
    """Return a folder that does not exist yet."""
    number, folder = 1, parent / name
    while folder.exists():
        number += 1
        folder = parent / f'{name}-{number}'
    return folder


def _tell_changed(panel: ref[ReadingPanel]) -> None:
    there = panel()
    if there is not None:
        with suppress(RuntimeError):  # the dock has been closed meanwhile
            there.saving_changed.emit()
