"""The controller of several readers: who reads, how far they agree, and what is settled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_cxr.plugin.annotation.agreement_view import AgreementView
from napari_cxr.plugin.annotation.annotation_controller import AnnotationController
from napari_cxr.plugin.annotation.annotation_panel import AnnotationPanel
from napari_cxr.plugin.annotation.reader_dialog import ReaderDialog, ReadingChoice
from napari_cxr.plugin.background import Failure, JobOutcome, run_job
from napari_cxr.plugin.score_table.sort_filter import RowFilter, RowKind
from napari_cxr.plugin.score_table.table_widget import ScoreTable
from napari_cxr.scoring.annotation import Annotation
from napari_cxr.scoring.annotation.agreement import (
    AgreementReport,
    Reading,
    agreement_of,
    readings_of,
)
from napari_cxr.scoring.annotation.csv_export import count_text, no_finding_label
from napari_cxr.scoring.annotation.readers import CONSENSUS
from napari_cxr.scoring.annotation.readings_export import agreement_path_of, export_readings
from napari_cxr.scoring.score_row import ScoreRow, ScoringRun

__all__ = ['ReadersController']

#: Milliseconds after a label before readers are compared again.
_PAUSE = 400


class ReadersController(QObject):
    """Asks who reads, compares the readers of a table, and lets them settle what they differ on.

    Parameters
    ----------
    annotation : AnnotationController
        Opens the labels of a reader.
    table : ScoreTable
        The rows.
    panel : AnnotationPanel
        The labels of the current one.
    view : AgreementView
        How far readers agree.
    dock : QWidget
        Parent of dialogs.
    """

    def __init__(
        self,
        annotation: AnnotationController,
        table: ScoreTable,
        panel: AnnotationPanel,
        view: AgreementView,
        dock: QWidget,
    ) -> None:
        super().__init__(dock)
        self._annotation, self._table, self._panel = annotation, table, panel
        self._view, self._dock = view, dock
        self._report: AgreementReport | None = None
        self._settling = self._chosen = False
        self._comparing = self._again = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE)
        self._timer.timeout.connect(self.compare)
        panel.reader.wanted.connect(self.choose)
        view.wanted.connect(self.compare)
        view.disagreements_wanted.connect(self.show_disagreements)
        view.settle_wanted.connect(self.settle)
        view.export_wanted.connect(self._export)
        annotation.readers_export_wanted.connect(self._export)
        annotation.labelled.connect(self._timer.start)
        annotation.started.connect(self._clear)
        annotation.opened.connect(self._opened)
        table.chosen.connect(self._show_others)

    # -- who reads --------------------------------------------------------------------------

    def choose(self) -> None:
        """Ask who reads, as soon as it is known who has read."""
        annotation = self._annotation
        if annotation.run is not None:
            finding = partial(_readings, annotation.out, annotation.run)
            run_job(self, finding, 'Looking for readers', done=self._ask)

    def _ask(self, outcome: JobOutcome | Failure) -> None:
        if isinstance(outcome, Failure):
            self._annotation.failed.emit(outcome.text, outcome.details)
            return
        readings, _ = outcome.result
        images = sum(row.status == 'scored' for row in self._table.rows())
        self.dialog = ReaderDialog(self._annotation.choice, readings, images, self._dock)
        self.dialog.chosen.connect(self._take_choice)
        self.dialog.open()

    def _take_choice(self, choice: ReadingChoice) -> None:
        self._chosen = True
        self._annotation.set_reading(choice)

    # -- how far they agree ------------------------------------------------------------------

    def compare(self) -> None:
        """Compare the readers of the table, if that is seen by anybody; returns at once."""
        annotation, run = self._annotation, self._annotation.run
        if run is None or not (self._view.isVisible() or self._table.settles):
            return
        state = self._panel.state
        if state.blinded and state.counts.read < state.total:
            self._report = None
            left = count_text(state.total - state.counts.read, 'image')
            self._view.show_nothing(
                f'You are reading blinded. What others said is shown when you have finished: '
                f'{left} left.'
            )
            return
        if self._comparing:
            self._again = True
            return
        self._comparing = True
        comparing = partial(_compare, annotation.out, run, self._table.rows())
        run_job(self, comparing, 'Comparing the readers', done=self._take, ended=self._ended)

    def _take(self, outcome: JobOutcome | Failure) -> None:
        if isinstance(outcome, Failure):
            self._view.show_nothing(outcome.text)
            return
        out, report, problems = outcome.result
        if out != self._annotation.out:
            return
        self._report = report
        self._view.show_report(report, tuple(problems))
        self._table.set_disagreed(report.disagreements)
        self._show_others(self._table.current())
        if self._settling:
            self._settling = False
            self._table.show_only(RowFilter(which=RowKind.NOT_SETTLED))
            self._annotation.step(1)
            self._panel.wanted.emit()

    def _ended(self) -> None:
        self._comparing = False
        if self._again:
            self._again = False
            self.compare()

    def show_disagreements(self) -> None:
        """Show only rows on which readers disagree."""
        self._table.show_only(RowFilter(which=RowKind.DISAGREED))

    def settle(self) -> None:
        """Open the consensus, and go through what readers disagree on."""
        self._settling = True
        if self._annotation.choice.reader.is_consensus:
            self.compare()
        else:
            self._annotation.set_reading(ReadingChoice(CONSENSUS))

    def _opened(self) -> None:
        choice = self._annotation.choice
        self._table.settles = choice.reader.is_consensus
        self.compare()
        self._show_others(self._table.current())
        if self._chosen:
            self._panel.wanted.emit()
            self._panel.setFocus()
        if self._chosen and choice.blinded:
            self._open_next()
        self._chosen = False

    def _open_next(self) -> None:
        """Open the first image that is not read yet."""
        reading = self._annotation.annotations
        rows = self._table.visible_rows()
        unread = (row for row in rows if reading is None or reading.get(row.path) is None)
        row = next(unread, None)
        if row is not None and self._table.go_to(row.path) is not None:
            self._annotation.open(row)

    def _clear(self) -> None:
        self._report, self._settling = None, False
        self._table.settles = False
        self._view.show_nothing('')
        self._panel.show_others('')

    def _show_others(self, row: ScoreRow | None) -> None:
        """Show what each reader said of a row, where the consensus is being settled."""
        said = []
        if row is not None and self._report is not None and self._table.settles:
            for reading in self._report.readings:
                entry = reading.entries.get(row.path)
                if entry is not None and not reading.reader.is_consensus and entry.read:
                    run = self._annotation.run
                    none = no_finding_label(run) if run is not None else ''
                    said.append(f'{reading.reader.title}: {_answer(entry, none)}')
        self._panel.show_others('\n'.join(said))

    # -- export ------------------------------------------------------------------------------

    def _export(self) -> None:
        """Ask where all readings go, and write them."""
        annotation, run = self._annotation, self._annotation.run
        if run is None:
            return
        table = Path(annotation.out)
        proposed = table.with_name(f'{table.stem}-readings.csv')
        path, _ = QFileDialog.getSaveFileName(
            self._dock, 'Export all readings', str(proposed), 'Tables (*.csv)'
        )
        if path:
            self.export(path)

    def export(self, path: str) -> None:
        """Write a row for each image and reader, and the agreement beside it."""
        annotation, run = self._annotation, self._annotation.run
        if run is None:
            return
        path = path if path.lower().endswith('.csv') else f'{path}.csv'
        if Path(path) == Path(annotation.out):
            annotation.failed.emit('This is the table of the scores: choose another name.', '')
            return
        rows = sorted(self._table.rows(), key=lambda row: row.number)
        exporting = partial(_export_readings, path, annotation.out, run, rows)
        run_job(self, exporting, 'Exporting the readings', done=self._exported)

    def _exported(self, outcome: JobOutcome | Failure) -> None:
        if isinstance(outcome, Failure):
            self._annotation.failed.emit(outcome.text, outcome.details)
            return
        path = Path(outcome.result)
        self._annotation.noted.emit(
            f'Saved {path.name} and {agreement_path_of(path).name} in {path.parent.name}.'
        )


def _readings(table: str, run: ScoringRun) -> tuple[list[Reading], list[str]]:
    problems: list[str] = []
    return readings_of(table, run.labels, problems), problems


def _compare(
    table: str, run: ScoringRun, rows: Sequence[ScoreRow]
) -> tuple[str, AgreementReport, list[str]]:
    readings, problems = _readings(table, run)
    return table, agreement_of(readings, rows, run), problems


def _export_readings(path: str, table: str, run: ScoringRun, rows: Sequence[ScoreRow]) -> str:
    readings, _ = _readings(table, run)
    export_readings(path, readings, rows, run)
    return path


def _answer(entry: Annotation, none: str) -> str:
    if entry.unusable:
        answer = f'not usable ({entry.reason})' if entry.reason else 'not usable'
    elif entry.unsure:
        answer = 'unsure'
    else:
        answer = ', '.join(entry.labels) or none
    return f'{answer}. {entry.note}' if entry.note else answer
