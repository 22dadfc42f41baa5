"""The controller of the Batch dock: starts the jobs of a table and shows their progress.

`ScoringSession` runs one job at a time, which scores, reads or evaluates a table;
`ScoringController` shows in the panel which table that is, its progress, and what can be done
with it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_cxr import scoring
from napari_cxr.plugin.annotation.annotation_controller import AnnotationController
from napari_cxr.plugin.background import Failure, JobOutcome, RunningJob, run_job
from napari_cxr.plugin.batch import batch_jobs, scoring_messages
from napari_cxr.plugin.batch.batch_jobs import RowsArrived
from napari_cxr.plugin.batch.batch_panel import BatchPanel
from napari_cxr.plugin.batch.metrics_view import METRICS_PENDING, NO_LABELS, NOT_MEASURED
from napari_cxr.plugin.batch.scoring_messages import expected_rows, is_unfinished
from napari_cxr.plugin.batch.scoring_request import ImageCount, ScoreRequest, load_request
from napari_cxr.plugin.job_session import JobSession
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.score_table.sort_filter import RowFilter
from napari_cxr.scoring.score_row import ScoringRun
from napari_cxr.scoring.scoring_checks import InputSummary

__all__ = ['ScoringController', 'ScoringSession']


class ScoringSession(JobSession):
    """Runs the jobs of a table: 'score', 'reopen' and 'measure'.

    Scanning the input and saving a copy can run beside them.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    #: The input was scanned: an `InputSummary`.
    input_scanned = Signal(object)
    #: Images of a folder were counted: an `ImageCount`.
    images_counted = Signal(object)
    #: A copy was saved: a `TableSaved`, or the `Failure`.
    saved = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(batch_jobs.shared_scorer('inference'), parent)
        batch_jobs.shared_scorer('torch')  # made in this thread, too
        self._scan: RunningJob | None = None

    def score(self, request: ScoreRequest, *, resume: bool, shown: Sequence[int] = ()) -> None:
        """Score into a new table, or resume one; see `batch_jobs.score_images`."""
        self.start_job(
            'score',
            batch_jobs.score_images(request, resume, shown),
            'Scoring',
            description=_SCORING,
            fraction_done=_fraction_done,
        )

    def reopen(self, table: str) -> None:
        """Read a table."""
        reading = batch_jobs.reopen_table(table)
        self.start_job('reopen', reading, 'Reading the table', in_process=False)

    def measure(self, table: str, labels: Mapping[str, str], include_doubtful: bool) -> None:
        """Compute metrics of a table by its own labels, or by those of the user."""
        measuring = batch_jobs.measure_table(table, labels, include_doubtful)
        self.start_job('measure', measuring, 'Computing the metrics')

    def start_process(self) -> None:
        """Start the process before anyone clicks."""
        with suppress(OSError):  # reported at the click
            self._process.start()

    def scan_input(self, paths: tuple[str, ...], out: str, *, count: bool) -> None:
        """Scan the input, and count its images."""
        self.stop_scan()
        scan = batch_jobs.scan_input(paths, out, count)
        self._scan = run_job(self, scan, 'Scanning the images', relay=self._relay_scan)

    def stop_scan(self) -> None:
        """Stop counting images."""
        if self._scan is not None:
            self._scan.cancel()
            self._scan = None

    def save_as(self, table: str, path: str) -> None:
        """Save a copy of a table."""
        saving = partial(batch_jobs.save_table_as, table, path)
        run_job(self, saving, 'Saving the table', done=self._take_saved)

    def _relay_scan(self, event: InputSummary | ImageCount) -> None:
        signal = self.input_scanned if isinstance(event, InputSummary) else self.images_counted
        signal.emit(event)

    def _take_saved(self, outcome: JobOutcome | Failure) -> None:
        self.saved.emit(outcome.result if isinstance(outcome, JobOutcome) else outcome)


#: How napari names the job when it asks whether to close its window.
_SCORING = 'the scoring of a folder. Finished rows are kept: you can resume at any time'


def _fraction_done(event: object) -> float | None:
    if isinstance(event, scoring.ScoringStarted | scoring.ScoringProgress):
        return event.done / max(event.total, 1)
    return None


_WAITING = 'Waiting for another job to finish'

_UNKNOWN_REQUEST = (
    'This table is unfinished, but its images and settings are not known on this computer. To '
    'resume it, choose the same images, settings and table under “What to score”.'
)


class ScoringController(QObject):
    """Starts the jobs of a session, and shows their events in a panel.

    Parameters
    ----------
    panel : BatchPanel
        The panel.
    session : ScoringSession
        Runs the jobs.
    annotation : AnnotationController
        Gets each row.
    parent : QObject
        Qt parent.

    Attributes
    ----------
    run : ScoringRun or None
        The run that made the rows that are shown.
    out : str
        Their table.
    request : ScoreRequest or None
        What Resume would continue, if known: the request of the table that is shown, or of one
        that was stopped before its first row.
    done : int
        Number of finished rows.
    """

    def __init__(
        self,
        panel: BatchPanel,
        session: ScoringSession,
        annotation: AnnotationController,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._panel, self._session, self._annotation = panel, session, annotation
        self.run: ScoringRun | None = None
        self.out = ''
        self.request: ScoreRequest | None = None
        self.done = 0
        self._failed_rows = self._total = 0
        #: The table that replaces the current one as soon as its job knows the run.
        self._pending: tuple[str, ScoreRequest | None] = ('', None)
        self._on_screen = self._run_started = False
        self._reopened = False
        self._wanted: RowFilter | None = None  # of the table that is being opened
        self._summary: tuple[str, str] = ('', '')  # of a table, and its path
        self._labels_by_user: Mapping[str, str] = {}  # among the labels of the metrics
        self._include_doubtful = False
        session.started.connect(self._job_started)
        session.waits.connect(self._show_waiting)
        session.progressed.connect(self._show_event)
        session.succeeded.connect(self._succeeded)
        session.cancelled.connect(self._cancelled)
        session.failed.connect(self._failed)
        session.ended.connect(self._ended)

    def score(self, request: ScoreRequest, *, resume: bool) -> None:
        """Score into a new table, or resume one."""
        self._on_screen = resume and self.out == request.out and self.run is not None
        self._wanted = None
        self._pending, self._run_started = (request.out, request), False
        shown = [row.number for row in self._panel.table.rows()] if self._on_screen else []
        self._session.score(request, resume=resume, shown=shown)

    def open(self, table: str, wanted: RowFilter | None = None) -> None:
        """Open an existing table, finished or not, with a filter if one is given."""
        self._wanted = wanted
        out = os.path.abspath(table.removesuffix('.journal'))
        self._on_screen, self._pending, self._reopened = False, (out, load_request(out)), False
        self._run_started = False
        self._session.reopen(out)

    def measure(self, labels: Mapping[str, str]) -> None:
        """Compute metrics of the table, by these labels instead of its own."""
        self._labels_by_user = labels
        self._session.measure(self.out, labels, self._include_doubtful)

    def include_doubtful(self, wanted: bool) -> None:
        """Compute the metrics again, with doubtful images or without them."""
        self._include_doubtful = wanted
        self.measure(self._labels_by_user)

    def _job_started(self, job: str) -> None:
        self._panel.show_message('')
        if job == 'measure':
            self._panel.metrics.show_measuring()
            return
        self._panel.progress.clear()
        name = Path(self._pending[0]).name
        self._panel.progress.show_activity(
            'Starting torch, which computes the scores' if job == 'score' else f'Reading {name}'
        )

    def _show_waiting(self) -> None:
        if self._session.job == 'measure':
            self._panel.metrics.show_measuring(_WAITING)
        else:
            self._panel.progress.show_activity(_WAITING)

    def _show_event(self, event: object) -> None:
        progress = self._panel.progress
        match event:
            case scoring.ScoringPreparing(text=text):
                progress.show_activity(text)
            case ScoringRun():
                self._show_run(event)
            case scoring.ScoringStarted(run=run):
                self._show_run(run)
                self._run_started = True
                self._annotation.set_complete(False)
                self._count(event.done, event.failed, event.total)
            case RowsArrived(rows=rows) if (
                self._on_screen
            ):  # otherwise they belong to a table that is not shown
                self._panel.table.add(rows)
                self._annotation.add(rows)
                if not self._run_started:
                    failed = sum(row.status == 'error' for row in rows)
                    self._count(self.done + len(rows), self._failed_rows + failed, self._total)
            case scoring.ScoringProgress():
                self._count(event.done, event.failed, event.total)
                progress.show_progress(event)
            case scoring.ScoringWarned(text=text):
                progress.warn(text)
            case scoring.ScoringMeasured():
                self._show_run_metrics(event, so_far=True)
            case scoring.ScoringFinished():
                self._count(event.total, event.failed, event.total)
                self._show_run_metrics(event)
                self._annotation.set_complete(True)
                self._show_summary(scoring_messages.finished_message(event))

    def _show_run(self, run: ScoringRun) -> None:
        """Show another table, unless the current one is resumed."""
        self.out, self.request = self._pending
        request = self.request
        model = request.model if request is not None else run.model
        device = request.device if request is not None else preferences('batch').device
        if self._on_screen:
            self._annotation.set_model(model, device)
            return
        self._on_screen, self.run = True, run
        self._labels_by_user, self._include_doubtful = {}, False
        save_preferences('batch', shown=self.out)
        self._count(0, 0, expected_rows(self.out))
        panel = self._panel
        panel.saved.clear()
        panel.table.start(run, self.out)
        if self._wanted is not None:
            panel.table.show_only(self._wanted)
            self._wanted = None
        panel.fold_setup()
        panel.show_table(True)
        panel.metrics.clear(self._why_no_metrics(run))
        panel.show_page(panel.annotation)
        panel.show_page(panel.table)
        self._annotation.start(run, self.out, model, device)

    def _why_no_metrics(self, run: ScoringRun) -> str:
        """Return why there are no metrics yet."""
        if not run.truth:
            return NO_LABELS
        return METRICS_PENDING if self._session.job == 'score' else NOT_MEASURED

    def _show_run_metrics(
        self, found: scoring.ScoringMeasured | scoring.ScoringFinished, so_far: bool = False
    ) -> None:
        """Show the metrics of a run, if its input has labels."""
        if found.metrics or found.unknown or (self.run is not None and self.run.truth):
            self._show_metrics(found, so_far=so_far)

    def _show_metrics(
        self,
        found: scoring.ScoringMeasured | scoring.ScoringFinished,
        *,
        so_far: bool = False,
        by_user: int = 0,
    ) -> None:
        if self.run is not None:
            self._panel.metrics.show_metrics(
                found.metrics,
                found.unknown,
                self.run.labels,
                unmeasured=found.unmeasured,
                so_far=so_far,
                by_user=by_user,
                doubtful=found.doubtful,
                doubtful_included=found.doubtful_included,
                undecided=self.run.label_rule.undecided_answer,
            )

    def _count(self, done: int, failed: int, total: int) -> None:
        self.done, self._failed_rows, self._total = done, failed, total

    def _show_summary(self, text: str) -> None:
        """Show the result of the job of the table."""
        self._summary = text, self.out
        self._panel.progress.show_summary(
            text,
            self._failed_rows,
            resumable=self._can_resume(self.out),
            saveable=self.done > 0,
        )

    def _can_resume(self, out: str) -> bool:
        request = self.request
        return (
            request is not None
            and request.out == out
            and bool(request.paths)
            and is_unfinished(out)
        )

    def _restore_shown(self) -> None:
        """Show the result of the current table again, after a job of another one failed."""
        text, out = self._summary
        if self.run is None or out != self.out:
            self._panel.progress.clear()
            self._panel.head.set_open(True)
        else:
            self._show_summary(text)

    def _restore_metrics(self) -> None:
        self._panel.metrics.restore()
        self._include_doubtful = self._panel.metrics.counts_doubtful

    def _succeeded(self, job: str, result: Any) -> None:
        if job == 'reopen':
            self._reopened = True
            self._annotation.set_complete(not is_unfinished(self.out))
            self._total = max(self.done, self._total)
            self._show_summary(scoring_messages.reopened_message(self.out, self.done, self._total))
            if is_unfinished(self.out) and not self._can_resume(self.out):
                self._panel.message.show_error(_UNKNOWN_REQUEST)
        elif job == 'measure':
            self._show_metrics(result, by_user=len(self._labels_by_user))
        elif job == 'score':
            self._panel.setup.propose_table()

    def _cancelled(self, job: str, rows: Any) -> None:
        if job == 'measure':
            self._restore_metrics()
        elif job == 'reopen':
            if self._on_screen:
                self._show_summary(scoring_messages.partly_read_message(self.out, self.done))
            else:
                self._restore_shown()
        elif self._on_screen:
            self._count(rows or self.done, self._failed_rows, self._total)
            self._show_summary(scoring_messages.stopped_message(self.done, self._total, self.out))
        else:
            # The current table stays, but Resume continues the one that was wanted last.
            out, self.request = self._pending
            self._panel.progress.show_summary(
                scoring_messages.stopped_message(rows or 0, expected_rows(out), out),
                self._failed_rows,
                resumable=self._can_resume(out),
                saveable=self.done > 0,
            )

    def _failed(self, job: str, failure: Failure) -> None:
        if job == 'measure':
            self._restore_metrics()
        elif not self._on_screen:
            self._restore_shown()
        elif job == 'reopen':
            self._show_summary(scoring_messages.partly_read_message(self.out, self.done))
        else:
            self._show_summary(scoring_messages.stopped_message(self.done, self._total, ''))
        self._panel.message.show_error(failure.text, failure.details)

    def _ended(self, job: str) -> None:
        if job == 'reopen' and self._reopened and self.run is not None and self.run.truth:
            self.measure({})
