"""The controller of the Batch dock: starts jobs on a table and shows how they go.

`ScoringSession` runs one job at a time that scores, reopens or measures a table;
`ScoringController` shows in the panel where the table on screen came from, how far it is, and
what can be done with it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event as Cancelled
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_cxr import scoring
from napari_cxr.plugin.annotation.annotation_controller import AnnotationController
from napari_cxr.plugin.background import Failure, JobOutcome, JobSession
from napari_cxr.plugin.batch import batch_jobs, scoring_messages
from napari_cxr.plugin.batch.batch_jobs import RowsArrived, scan_input
from napari_cxr.plugin.batch.batch_panel import BatchPanel
from napari_cxr.plugin.batch.input_scan import ImageCount
from napari_cxr.plugin.batch.metrics_view import METRICS_PENDING, NO_LABELS, NOT_MEASURED
from napari_cxr.plugin.batch.scoring_messages import expected_rows, is_unfinished
from napari_cxr.plugin.batch.scoring_request import ScoreRequest, load_request
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.scoring.input_summary import InputSummary
from napari_cxr.scoring.score_row import ScoringRun

__all__ = ['ScoringController', 'ScoringSession']


class ScoringSession(JobSession):
    """Starts jobs around a table: 'score', 'reopen' and 'measure'.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    #: Images were looked at: a `Looked`.
    looked = Signal(object)
    #: Images of a folder were counted: a `Counted`.
    counted = Signal(object)
    #: A table was saved: a `Saved`, or the `Failure`.
    saved = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(batch_jobs.shared_scorer(), parent)
        self._looker: Any = None
        self._looking = Cancelled()
        self._savers: list[Any] = []

    def score(self, request: ScoreRequest, *, resume: bool, shown: Sequence[int] = ()) -> None:
        """Score into a table, or go on with it; see `jobs.score`."""
        self._start('score', batch_jobs.score_images(request, resume, shown, self._new()))

    def reopen(self, table: str) -> None:
        """Read a table back."""
        self._start('reopen', batch_jobs.reopen_table(table, self._new()), process=False)

    def measure(self, table: str, truths: Mapping[str, str]) -> None:
        """Measure a table by the labels in it, or by those of a person."""
        self._start('measure', batch_jobs.measure_table(table, truths, self._new()))

    def get_ready(self) -> None:
        """Start the process before anyone clicks: torch takes its time."""
        with suppress(OSError):  # whoever clicks is told
            self._process.start()

    def look(self, paths: tuple[str, ...], out: str, *, counts: bool) -> None:
        """Look at images, and count them, while another job may be under way."""
        self.stop_looking()
        worker = self._looker = scan_input(paths, out, counts, self._looking)
        worker.yielded.connect(self._take_look)
        worker.start()

    def stop_looking(self) -> None:
        """Count no more images."""
        self._looking.set()
        self._looking = Cancelled()

    def save_as(self, table: str, path: str) -> None:
        """Write a table again under another name, while another job may be under way."""
        worker = batch_jobs.save_table_as(table, path)
        self._savers = [*self._savers[-3:], worker]
        worker.returned.connect(self._take_saved)
        worker.start()

    def _take_look(self, result: InputSummary | ImageCount) -> None:
        (self.looked if isinstance(result, InputSummary) else self.counted).emit(result)

    def _take_saved(self, result: JobOutcome | Failure) -> None:
        self.saved.emit(result.result if isinstance(result, JobOutcome) else result)


_WAITING = 'Waiting for other work to end'

_UNKNOWN_REQUEST = (
    'It is not known here what was scored into this table. To resume it, choose the same images, '
    'settings and table under “What to score”.'
)


class ScoringController(QObject):
    """Starts jobs of a session, and shows in a panel what they say.

    Parameters
    ----------
    panel : BatchPanel
        Where it is shown.
    session : BatchSession
        Whose jobs.
    desk : ReadingDesk
        Which learns of each row.
    parent : QObject
        Qt parent.

    Attributes
    ----------
    run : Run or None
        What the rows on show have in common.
    out : str
        Their table.
    request : ScoreRequest or None
        What Resume goes on with, if that is known: what was asked for when the table on show
        was made, or a table that was stopped before its first row came.
    done : int
        Rows that are done.
    """

    def __init__(
        self,
        panel: BatchPanel,
        session: ScoringSession,
        desk: AnnotationController,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._panel, self._session, self._desk = panel, session, desk
        self.run: ScoringRun | None = None
        self.out = ''
        self.request: ScoreRequest | None = None
        self.done = 0
        self._failed_rows = self._total = 0
        #: What takes the place of the table on show as soon as the job knows what it is of.
        self._next: tuple[str, ScoreRequest | None] = ('', None)
        self._came = self._started = False
        self._reopened = False
        self._summed: tuple[str, str] = ('', '')  # words for the table on show, and its path
        self._yours = 0  # labels of the person among those that are measured
        session.started.connect(self._began)
        session.waits.connect(self._wait)
        session.progressed.connect(self._tell)
        session.succeeded.connect(self._succeeded)
        session.cancelled.connect(self._cancelled)
        session.failed.connect(self._failed)
        session.ended.connect(self._ended)

    def score(self, request: ScoreRequest, *, resume: bool) -> None:
        """Score into a new table, or go on with one."""
        self._came = resume and self.out == request.out and self.run is not None
        self._next, self._started = (request.out, request), False
        shown = [row.number for row in self._panel.table.rows()] if self._came else []
        self._session.score(request, resume=resume, shown=shown)

    def open(self, table: str) -> None:
        """Show a table that was made earlier, also one that is not finished."""
        out = os.path.abspath(table.removesuffix('.journal'))
        self._came, self._next, self._reopened = False, (out, load_request(out)), False
        self._started = False
        self._session.reopen(out)

    def measure(self, truths: Mapping[str, str]) -> None:
        """Measure the table on show, with these labels by path in place of its own."""
        self._yours = len(truths)
        self._session.measure(self.out, truths)

    def _began(self, job: str) -> None:
        self._panel.tell('')
        if job == 'measure':
            self._panel.metrics.say_measuring()
            return
        self._panel.progress.clear()
        name = Path(self._next[0]).name
        self._panel.progress.say(
            'Starting torch, which computes the scores' if job == 'score' else f'Reading {name}'
        )

    def _wait(self) -> None:
        if self._session.job == 'measure':
            self._panel.metrics.say_measuring(_WAITING)
        else:
            self._panel.progress.say(_WAITING)

    def _tell(self, event: object) -> None:
        progress = self._panel.progress
        match event:
            case scoring.ScoringPreparing(text=text):
                progress.say(text)
            case ScoringRun():
                self._show_run(event)
            case scoring.ScoringStarted(run=run):
                self._show_run(run)
                self._started = True
                self._count(event.done, event.failed, event.total)
            case RowsArrived(rows=rows) if (
                self._came
            ):  # else they are of a table that is not on show
                self._panel.table.add(rows)
                self._desk.add(rows)
                if not self._started:
                    failed = sum(row.status == 'error' for row in rows)
                    self._count(self.done + len(rows), self._failed_rows + failed, self._total)
            case scoring.ScoringProgress():
                self._count(event.done, event.failed, event.total)
                progress.show_progress(event)
            case scoring.ScoringWarned(text=text):
                progress.warn(text)
            case scoring.ScoringMeasured():
                self._show_known(event, so_far=True)
            case scoring.ScoringFinished():
                self._count(event.total, event.failed, event.total)
                self._show_known(event)
                self._sum_up(scoring_messages.finished_message(event))

    def _show_run(self, run: ScoringRun) -> None:
        """Show another table, unless it is the one on show that goes on."""
        self.out, self.request = self._next
        request = self.request
        model = request.model if request is not None else run.model
        device = request.device if request is not None else preferences('batch').device
        if self._came:
            self._desk.use(model, device)
            return
        self._came, self.run = True, run
        save_preferences('batch', shown=self.out)
        self._count(0, 0, expected_rows(self.out))
        panel = self._panel
        panel.saved.clear()
        panel.table.start(run, self.out)
        panel.fold_setup()
        panel.show_table(True)
        panel.metrics.clear(self._without_figures(run))
        panel.tabs.setCurrentIndex(0)
        self._desk.start(run, self.out, model, device)

    def _without_figures(self, run: ScoringRun) -> str:
        """Return why there are no figures of the table on show yet."""
        if not run.truth:
            return NO_LABELS
        return METRICS_PENDING if self._session.job == 'score' else NOT_MEASURED

    def _show_known(
        self, found: scoring.ScoringMeasured | scoring.ScoringFinished, so_far: bool = False
    ) -> None:
        """Show figures of a run, if its listing gives labels."""
        if found.metrics or found.unknown or (self.run is not None and self.run.truth):
            self._show_metrics(found, so_far=so_far)

    def _show_metrics(
        self,
        found: scoring.ScoringMeasured | scoring.ScoringFinished,
        *,
        so_far: bool = False,
        yours: int = 0,
    ) -> None:
        if self.run is not None:
            self._panel.metrics.show_metrics(
                found.metrics,
                found.unknown,
                self.run.labels,
                unmeasured=found.unmeasured,
                so_far=so_far,
                yours=yours,
            )

    def _count(self, done: int, failed: int, total: int) -> None:
        self.done, self._failed_rows, self._total = done, failed, total

    def _sum_up(self, words: str) -> None:
        """Say what the table on show came to."""
        self._summed = words, self.out
        self._panel.progress.sum_up(
            words,
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

    def _leave_on_show(self) -> None:
        """Nothing came of another table: say again what is on show, if anything is."""
        words, out = self._summed
        if self.run is None or out != self.out:
            self._panel.progress.clear()
            self._panel.head.set_open(True)
        else:
            self._sum_up(words)

    def _succeeded(self, job: str, result: Any) -> None:
        if job == 'reopen':
            self._reopened = True
            self._total = max(self.done, self._total)
            self._sum_up(scoring_messages.reopened_message(self.out, self.done, self._total))
            if is_unfinished(self.out) and not self._can_resume(self.out):
                self._panel.message.show_error(_UNKNOWN_REQUEST)
        elif job == 'measure':
            self._show_metrics(result, yours=self._yours)
        elif job == 'score':
            self._panel.setup.propose_table()

    def _cancelled(self, job: str, rows: Any) -> None:
        if job == 'measure':
            self._panel.metrics.restore()
        elif job == 'reopen':
            if self._came:
                self._sum_up(scoring_messages.partly_read_message(self.out, self.done))
            else:
                self._leave_on_show()
        elif self._came:
            self._count(rows or self.done, self._failed_rows, self._total)
            self._sum_up(scoring_messages.stopped_message(self.done, self._total, self.out))
        else:
            # The table on show stays, but what was wanted last is what Resume goes on with.
            out, self.request = self._next
            self._panel.progress.sum_up(
                scoring_messages.stopped_message(rows or 0, expected_rows(out), out),
                self._failed_rows,
                resumable=self._can_resume(out),
                saveable=self.done > 0,
            )

    def _failed(self, job: str, failure: Failure) -> None:
        if job == 'measure':
            self._panel.metrics.restore()
        elif not self._came:
            self._leave_on_show()
        elif job == 'reopen':
            self._sum_up(scoring_messages.partly_read_message(self.out, self.done))
        else:
            self._sum_up(scoring_messages.stopped_message(self.done, self._total, ''))
        self._panel.message.show_error(failure.text, failure.details)

    def _ended(self, job: str) -> None:
        if job == 'reopen' and self._reopened and self.run is not None and self.run.truth:
            self.measure({})
