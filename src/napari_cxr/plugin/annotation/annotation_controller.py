"""The controller of annotation: keeps table, panel, layers and labels in step.

`TableLabels` holds the labels of the table that is shown: they are opened for one table after the
other, and closed once they are saved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from weakref import ref

from napari.components import ViewerModel
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_cxr.plugin.annotation import label_export
from napari_cxr.plugin.annotation.annotation_panel import AnnotationPanel
from napari_cxr.plugin.annotation.annotation_state import RowVisibility, unsaved_message
from napari_cxr.plugin.annotation.keyboard_shortcuts import ShortcutScope
from napari_cxr.plugin.annotation.reader_dialog import (
    ReadingChoice,
    remember_choice,
    remembered_choice,
)
from napari_cxr.plugin.annotation.row_opener import RowOpener
from napari_cxr.plugin.background import Failure, JobOutcome, run_job, when_destroyed
from napari_cxr.plugin.docks import dock_signals, open_dock
from napari_cxr.plugin.score_table.table_widget import ScoreTable
from napari_cxr.scoring.annotation import ReadingCircumstances
from napari_cxr.scoring.annotation.csv_export import ExportResult, count_text
from napari_cxr.scoring.annotation.followed_labels import FollowedLabels, follow_labels
from napari_cxr.scoring.annotation.readers import UNNAMED, Reader, reading_position
from napari_cxr.scoring.annotation.reading_list import ReadingList
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.score_row import ScoreRow, ScoringRun

__all__ = ['AnnotationController', 'TableLabels']


class TableLabels(QObject):
    """Opens the reading list of one table at a time.

    A list that is closed before all labels are on disk goes on saving them; the list of the
    same table is opened again after that.

    Parameters
    ----------
    changed : callable
        Called in other threads when labels were saved, or saving failed.
    parent : QObject, optional
        Qt parent.
    """

    #: The `ReadingList` of the table that was asked for last, or a `Failure`.
    opened = Signal(object)

    def __init__(self, changed: Callable[[], None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._changed = changed
        self._open: list[ReadingList] = []  # at most one
        self._closing: list[ReadingList] = []
        self._wanted: tuple[str, tuple[str, ...], Reader] | None = None
        self._number = 0  # counts requests: the same table may be opened twice
        self._opening = 0  # the number of the request whose job runs
        self._busy = False
        # A dock that was closed must not lock the labels.
        when_destroyed(self, partial(_close, self._open))

    @property
    def current(self) -> ReadingList | None:
        """The open list; None if there is none."""
        return self._open[0] if self._open else None

    @property
    def unsaved_problem(self) -> str:
        """How many changes are not saved and why; empty if saving does not fail."""
        problems = map(unsaved_message, (*self._open, *self._closing))
        return next(filter(None, problems), '')

    def open(self, table: str, labels: Sequence[str], reader: Reader = UNNAMED) -> None:
        """Open the list of a reader of a table instead of the current one; returns at once."""
        self.close()
        self._wanted = table, tuple(labels), reader
        self._open_next()

    def close(self) -> None:
        """Close the current list as soon as it is saved."""
        self._number += 1
        self._wanted = None
        self._close_lists(self._open)
        self._open.clear()

    def _close_lists(self, readings: Sequence[ReadingList]) -> None:
        for reading in readings:
            reading.close()
        self._closing = [each for each in (*self._closing, *readings) if not each.closed]

    def _open_next(self) -> None:
        """Start to open the wanted list, unless another one is being opened."""
        if self._busy or self._wanted is None:
            return
        (table, labels, reader), self._wanted = self._wanted, None
        self._busy, self._opening = True, self._number
        before = tuple(self._closing)
        opening = label_export.open_labels(table, labels, self._changed, before, reader)
        run_job(self, opening, 'Opening the labels', done=self._take)

    def _take(self, outcome: JobOutcome | Failure) -> None:
        result = outcome if isinstance(outcome, Failure) else outcome.result
        self._busy = False
        self._closing = [each for each in self._closing if not each.closed]
        if self._opening == self._number:
            if isinstance(result, ReadingList):
                self._open[:] = [result]
            self.opened.emit(result)
        elif isinstance(result, ReadingList):
            self._close_lists([result])
        self._open_next()


def _close(readings: list[ReadingList]) -> None:
    for reading in readings:
        reading.close()


#: Number of rows that are loaded ahead.
_AHEAD = 3


class AnnotationController(QObject):
    """Opens rows, saves their labels, and handles shortcuts.

    Parameters
    ----------
    viewer : ViewerModel
        Where images are opened.
    table : ScoreTable
        The rows.
    panel : AnnotationPanel
        The labels of the current one.
    dock : QWidget
        Where shortcuts work, besides the canvas.
    """

    #: Something failed: a sentence, and technical details.
    failed = Signal(str, str)
    #: What is being done; empty when it is done.
    busy = Signal(str)
    #: A problem no longer exists: its text, or an empty one.
    resolved = Signal(str)
    #: Labels were exported: the `ExportResult`, and whether the Train dock can open it.
    saved = Signal(object, bool)
    #: Labels were changed.
    labelled = Signal()
    #: Something was done that nobody asked for: a sentence.
    noted = Signal(str)
    #: Another table is shown.
    started = Signal()
    #: The labels of a reader are open.
    opened = Signal()
    #: Whether the table is read blinded.
    blinded_changed = Signal(bool)
    #: The readings of all readers are to be exported.
    readers_export_wanted = Signal()

    def __init__(
        self, viewer: ViewerModel, table: ScoreTable, panel: AnnotationPanel, dock: QWidget
    ) -> None:
        super().__init__(dock)
        self._viewer, self._table, self._panel, self._dock = viewer, table, panel, dock
        self._run: ScoringRun | None = None
        self._out = self._model = self._device = ''
        self.choice = ReadingChoice()
        self._following = ''  # what is looked for, so that it is not looked for twice
        self._problem = self._failed_path = ''  # of the row that was opened last
        self._unsaved_shown = ''
        self.opener = RowOpener(viewer, self)
        self.opener.hides = panel.state.hides
        self.opener.name_of = table.blind_name
        panel.title_of = self._title_of
        panel.state.circumstances = self._circumstances
        self._table_labels = TableLabels(partial(_show_saving, ref(panel)), self)
        table.opened.connect(self.open)
        table.chosen.connect(panel.show_row)
        table.chosen.connect(self._show_visibility)
        table.choice.doubtful_wanted.connect(self._reveal_doubtful)
        panel.about_to_label.connect(self._show_visibility)  # a layer may have been hidden by hand
        panel.labelled.connect(self._labelled)
        panel.step.connect(self.step)
        panel.advanced.connect(self._advance)
        panel.row_wanted.connect(self._go_to)
        panel.export_wanted.connect(self.export_wanted)
        panel.revealed.connect(self._show_answer)
        panel.adopt_wanted.connect(self._adopt)
        panel.saving_changed.connect(self._show_unsaved)
        self._table_labels.opened.connect(self._take_annotations)
        self.opener.busy.connect(self.busy)
        self.opener.failed.connect(self._not_opened)
        self.opener.layers_changed.connect(self._show_visibility)
        self._shortcuts = ShortcutScope(viewer, panel, dock)

    @property
    def annotations(self) -> ReadingList | None:
        """The labels of the table; None until they are open."""
        return self._table_labels.current

    @property
    def unsaved_problem(self) -> str:
        """Why labels of this or a previous table are not saved; empty if saving does not fail."""
        return self._table_labels.unsaved_problem

    @property
    def run(self) -> ScoringRun | None:
        """The run of the table that is shown; None without one."""
        return self._run

    @property
    def out(self) -> str:
        """The table that is shown."""
        return self._out

    def set_reading(self, choice: ReadingChoice) -> None:
        """Change who reads the table, and whether blinded; opens the labels of that reader."""
        if self._run is None:
            return
        remember_choice(self._out, choice)
        self._close_annotations()
        self.opener.close()
        self._table.set_annotations(None)
        self._panel.set_annotations(None)
        self._apply_choice(choice)
        self._table_labels.open(self._out, self._run.labels, choice.reader)

    def _apply_choice(self, choice: ReadingChoice) -> None:
        self.choice, self._following = choice, ''
        self._panel.show_reader(
            choice.reader, blinded=choice.blinded, reveals_after=choice.reveals_after
        )
        order = partial(reading_position, choice.reader) if choice.blinded else None
        self._table.set_blinded(order)
        self.blinded_changed.emit(choice.blinded)

    def start(self, run: ScoringRun, out: str, model: str, device: str) -> None:
        """Start with another table; its rows are added by `add`.

        Parameters
        ----------
        run : ScoringRun
            The run that made it.
        out : str
            Path of the table.
        model, device : str
            For the heatmaps of its images.
        """
        self._close_annotations()
        self.opener.close()  # it may be loading rows of another table
        self.opener.reveals_doubtful = False
        self._run = run
        self._out, self._model, self._device = out, model, device
        negative = run.label_rule.negative
        self._panel.start(
            run.labels, run.multilabel, None, decision=run.decision, negative=negative
        )
        self._table.set_annotations(None)
        self.started.emit()
        self._apply_choice(remembered_choice(out))
        self._table_labels.open(out, run.labels, self.choice.reader)
        self._show_unsaved()

    def set_model(self, model: str, device: str) -> None:
        """Change the model and device for heatmaps."""
        self._model, self._device = model, device

    def add(self, rows: tuple[ScoreRow, ...]) -> None:
        """Count new rows."""
        self._panel.add(rows)

    def open(self, row: ScoreRow) -> None:
        """Show the radiograph of a row with its heatmap, and load the next ones ahead."""
        self._shortcuts.add_around_image()
        self.resolved.emit(self._problem)
        self._problem = self._failed_path = ''
        self._panel.show_row(row)
        made_with = self._run.model_hash if self._run is not None else ''
        self.opener.open(row, self._model, self._device, made_with, self._out)
        self._show_visibility()
        following = self._table.following(_AHEAD)
        self.opener.load_ahead(following, self._model, self._device, made_with, self._out)

    def _reveal_doubtful(self, revealed: bool) -> None:
        """Show or withhold predictions and heatmaps of doubtful images."""
        self._panel.reveal_doubtful(revealed)
        self.opener.reveals_doubtful = revealed
        row = self._panel.state.row
        if row is not None and row.doubts and self.opener.on_screen == row.path:
            self.open(row)

    def set_complete(self, complete: bool) -> None:
        """Note whether more rows are to come."""
        self._panel.set_complete(complete)
        self._follow()

    def step(self, by: int) -> None:
        """Go to the next or previous row, and open it."""
        self._open_or_end(self._table.step(by), by)

    def _advance(self) -> None:
        """Go on after a label, past files that failed: there is nothing to label."""
        self._open_or_end(self._table.step(1, skip_failed=True), 1)

    def _open_or_end(self, row: ScoreRow | None, by: int) -> None:
        if row is not None:
            self.open(row)
        elif by > 0:
            self._panel.show_end()

    def close(self) -> None:
        """Stop opening rows, and close the labels."""
        self._shortcuts.remove_around_image()
        self._close_annotations()
        self._table.set_annotations(None)
        self._panel.set_annotations(None, 'Open the table again to annotate it.')
        self.opener.close()

    def labels(self) -> dict[str, str]:
        """Return the labels that the user gave, by path: joined by '|', empty for none."""
        entries = self.annotations or ()
        return {
            path: '|'.join(entry.labels) for path, entry in entries if entry.answer == 'labels'
        }

    def _take_annotations(self, result: ReadingList | Failure) -> None:
        if isinstance(result, Failure):
            self._panel.set_annotations(None, result.text)
        else:
            self._panel.set_annotations(result)
            self._table.set_annotations(result)
            self.opened.emit()
            self._follow()

    def _follow(self) -> None:
        """Look for labels that the user gave the same images elsewhere, once for each table."""
        reading, rows = self.annotations, self._table.rows()
        wanted = f'{self._out} {self.choice.reader.key} {len(rows)}'
        if reading is None or self._run is None or not rows or wanted == self._following:
            return
        self._following = wanted
        paths = [row.path for row in rows if row.status == 'scored']
        following = follow_labels(
            self._out, self._run.labels, paths, reading.everything, self.choice.reader
        )
        run_job(self, following, 'Looking for earlier labels', done=self._take_followed)

    def _take_followed(self, outcome: JobOutcome | Failure) -> None:
        reading = self.annotations
        if not isinstance(outcome, JobOutcome) or not isinstance(outcome.result, FollowedLabels):
            return
        found = outcome.result
        if found.table != self._out or reading is None or reading.reader != self.choice.reader:
            return
        began = any(reading)
        reading.set_changed_images(found.changed)
        try:
            for path, entry in found.moved.items():
                if reading.get(path) is None:
                    reading.take(path, entry)
        except ScoringError as error:
            self.failed.emit(str(error), '')
        notes = []
        if found.moved:
            notes.append(f'{count_text(len(found.moved), "label")} followed renamed images.')
        if found.changed:
            images = count_text(len(found.changed), 'image')
            notes.append(
                f'{images} changed since you labelled: the labels no longer count. Label again.'
            )
        if notes:
            self._table.set_annotations(reading)
            self._panel.state.changed.emit()
            self.noted.emit(' '.join(notes))
        if not began:
            self._panel.offer_earlier(found)

    def _adopt(self) -> None:
        """Take over labels that the user gave the same images in other tables."""
        self._panel.finish_note()
        self._panel.state.adopt(self._table.rows())
        self._table.set_annotations(self.annotations)
        self.labelled.emit()

    def _close_annotations(self) -> None:
        self._panel.finish_note()
        self._table_labels.close()

    def _show_unsaved(self) -> None:
        """Report once what is not saved of a previous table; for this one the panel does."""
        current = self.annotations
        problem = '' if current is not None and current.problem else self.unsaved_problem
        if problem and problem != self._unsaved_shown:
            self.failed.emit(problem, '')
        elif self._unsaved_shown and not problem:
            self.resolved.emit(self._unsaved_shown)
        self._unsaved_shown = problem

    def _labelled(self, path: str) -> None:
        self._table.refresh(path)
        self.labelled.emit()

    def _go_to(self, path: str) -> None:
        """Go to the row of a file and open it, even if the filter hides it."""
        rows = (row for row in self._table.rows() if row.path == path)
        row = self._table.go_to(path) or next(rows, None)
        if row is not None:
            self.open(row)

    def _not_opened(self, row: ScoreRow, text: str) -> None:
        self._problem, self._failed_path = text, row.path
        self._show_visibility()
        if not self._panel.isVisible():
            self.failed.emit(text, '')

    def _title_of(self, row: ScoreRow) -> str:
        """Return what a row is called instead of its file, while it is read blinded."""
        name = self._table.blind_name(row)
        return f'{name} of {self._panel.state.total:,}' if name else ''

    def _circumstances(self) -> ReadingCircumstances:
        """Return which image is on screen, and for how long."""
        digest, size = self.opener.image
        return ReadingCircumstances(digest, size, round(self.opener.seconds, 1))

    def _show_answer(self) -> None:
        """Show the heatmap of the row, now that the user has answered."""
        if (row := self._panel.state.row) is not None:
            self.open(row)

    def _show_visibility(self) -> None:
        """Let the panel show whether the image of its row is on screen."""
        row, opener = self._panel.state.row, self.opener
        pending = row is not None and row.path == opener.pending
        visible = pending or row is None or row.path == opener.on_screen
        problem = self._problem if row is not None and row.path == self._failed_path else ''
        self._panel.show_visibility(
            RowVisibility(visible, pending, pending and opener.waiting, problem)
        )

    # -- export ---------------------------------------------------------------------------

    def export_wanted(self, form: str) -> None:
        """Ask where to export labels, and export them."""
        table = Path(self._out)
        if form == 'readers':
            self.readers_export_wanted.emit()
            return
        if form == 'folders':
            parent = QFileDialog.getExistingDirectory(
                self._dock, 'Choose where to create the folder of the labels', str(table.parent)
            )
            path = str(_free_folder(Path(parent), f'{table.stem}-labels')) if parent else ''
        else:
            proposed = table.with_name(f'{table.stem}-labels.csv')
            path, _ = QFileDialog.getSaveFileName(
                self._dock, 'Export the labels', str(proposed), 'Tables (*.csv)'
            )
            if path and Path(path).suffix.lower() != '.csv':
                path = f'{path}.csv'
                if Path(path).exists():  # the file dialog has asked about another name
                    self.failed.emit(
                        f'{Path(path).name} already exists, so nothing was saved. Choose another '
                        'name, or type this one with its extension to replace it.',
                        '',
                    )
                    return
        if path:
            self.export(form, path)

    def export(self, form: str, path: str) -> None:
        """Export labels as 'csv', 'all' or 'folders'; returns at once."""
        reading, run = self.annotations, self._run
        if reading is None or run is None:
            return
        self._panel.finish_note()
        self.busy.emit('Exporting the labels')
        rows = sorted(self._table.rows(), key=lambda row: row.number)
        export = label_export.export_labels(form, path, rows, dict(reading), run, self._out)
        run_job(self, export, 'Exporting the labels', done=self._exported)

    def _exported(self, outcome: JobOutcome | Failure) -> None:
        self.busy.emit('')
        if isinstance(outcome, Failure):
            self.failed.emit(outcome.text, outcome.details)
        elif outcome.result is not None:
            self.saved.emit(*outcome.result)

    def train(self, saved: ExportResult) -> None:
        """Open exported labels in the Train dock."""
        open_dock(self._viewer, 'Train a classifier')
        dock_signals().images_requested.emit(self._viewer, saved.path, saved.patient)


def _free_folder(parent: Path, name: str) -> Path:
    """Return the path of a folder that does not exist yet."""
    number, folder = 1, parent / name
    while folder.exists():
        number += 1
        folder = parent / f'{name}-{number}'
    return folder


def _show_saving(panel: ref[AnnotationPanel]) -> None:
    existing = panel()
    if existing is not None:
        with suppress(RuntimeError):  # the dock was closed meanwhile
            existing.saving_changed.emit()
