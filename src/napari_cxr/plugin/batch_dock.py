"""The dock that scores a folder: a row for each image, figures, and a list to read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import QTimer, Signal
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_cxr import scoring
from napari_cxr.plugin import score_words
from napari_cxr.plugin.batch_panel import BatchPanel
from napari_cxr.plugin.batch_session import BatchSession
from napari_cxr.plugin.card_dialog import CardDialog
from napari_cxr.plugin.classifying import Failure
from napari_cxr.plugin.docks import TabsTogether
from napari_cxr.plugin.reading_desk import ReadingDesk
from napari_cxr.plugin.score_filter import Filter, Which
from napari_cxr.plugin.score_problems import is_begun, total_of
from napari_cxr.plugin.score_request import ScoreRequest, recall
from napari_cxr.plugin.score_target import FORMS, with_ending
from napari_cxr.plugin.scoring_jobs import Rows
from napari_cxr.plugin.settings import preferences, remember
from napari_cxr.plugin.theme import style_sheet
from napari_cxr.scoring.row import Run

__all__ = ['BatchDock']

#: How long changes gather before the images are looked at again, in milliseconds.
_PAUSE = 200
_WAITS = 'Waiting for the work of another Batch dock to end'
_TABLES = 'Tables of scores (*.csv *.jsonl *.parquet *.journal);;All files (*)'


class BatchDock(QWidget):
    """Choose a folder; score it; watch rows arrive; read them.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    #: A job has ended: scoring, reading a table back, or measuring one.
    settled = Signal()

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = napari_viewer
        TabsTogether(self)
        self.session = BatchSession(self)
        self.run: Run | None = None
        #: The table on show, and what was asked for when it was made.
        self.out = ''
        self._request: ScoreRequest | None = None
        self._done = self._failed_rows = self._total = 0
        self._yours = 0  # labels of the person among those that are measured
        self._build()
        self.desk = ReadingDesk(self.viewer, self.panel.table, self.panel.reading, self)
        self._connect()
        self._recall()
        self._update()
        self._look()

    def _build(self) -> None:
        self.panel = BatchPanel(self.viewer.theme)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.panel)
        self.setStyleSheet(style_sheet(self.viewer.theme))
        self.setAcceptDrops(True)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_PAUSE)

    def _connect(self) -> None:
        panel, session = self.panel, self.session
        self._later.timeout.connect(self._look)
        panel.setup.changed.connect(self._update)
        panel.setup.look_wanted.connect(self._later.start)
        panel.setup.card_wanted.connect(self.show_card)
        panel.start.clicked.connect(self.score)
        panel.open_wanted.connect(self.choose_table)
        panel.progress.stop_wanted.connect(self.stop)
        panel.progress.resume_wanted.connect(self.resume)
        panel.progress.failures_wanted.connect(self._show_failures)
        panel.progress.save_wanted.connect(self.save_as)
        panel.metrics.measure_wanted.connect(self.measure)
        panel.metrics.cell_chosen.connect(self._show_cell)
        session.began.connect(self._began)
        session.waits.connect(lambda: panel.progress.say(_WAITS))
        session.told.connect(self._tell)
        session.succeeded.connect(self._succeeded)
        session.cancelled.connect(self._cancelled)
        session.failed.connect(self._failed)
        session.ended.connect(self._ended)
        session.looked.connect(panel.setup.take_look)
        session.saved.connect(self._saved)
        self.desk.failed.connect(panel.message.show_error)
        self.desk.labelled.connect(self._update)
        self.desk.saved.connect(panel.tell)
        self.desk.busy.connect(lambda words: panel.opening.setText(words and f'{words}…'))
        self.viewer.events.theme.connect(self._theme_changed)

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return bool(self.session.job)

    # -- what the person does -----------------------------------------------------------

    def score(self) -> None:
        """Score what is chosen, or go on with the table that is named; returns at once."""
        request = self.panel.setup.request()
        if self.busy or request is None:
            return
        self.panel.message.clear()
        self.panel.setup.keep()
        remember('batch', table=request.out)
        self._begin(request, resume=self.panel.setup.resumes)

    def stop(self) -> None:
        """Stop now; every row that is done is kept."""
        self.session.cancel()

    def resume(self) -> None:
        """Go on with the table on show."""
        request = self._request
        if self.busy or request is None:
            return
        self.panel.message.clear()
        self.panel.setup.show_request(request)
        self._begin(request, resume=True)

    def open_table(self, path: str) -> None:
        """Show a table that was made earlier, also one that is not finished."""
        if self.busy:
            self.panel.message.show_error('Stop scoring first, or wait until it has ended.')
            return
        self.panel.message.clear()
        self.out = os.path.abspath(path.removesuffix('.journal'))
        self._request = recall(self.out)
        self.session.reopen(self.out)

    def choose_table(self) -> None:
        """Ask for a table that was made earlier."""
        place = str(Path(self.out or self.panel.setup.target.path).parent)
        path, _ = QFileDialog.getOpenFileName(self, 'Open a table of scores', place, _TABLES)
        if path:
            self.open_table(path)

    def save_as(self) -> None:
        """Ask for another name or form, and write the table on show again."""
        path, _ = QFileDialog.getSaveFileName(self, 'Save the table', self.out, FORMS)
        if path:
            self.session.save_as(self.out, str(with_ending(Path(path))))

    def measure(self) -> None:
        """Measure the table on show by the labels that the person gave."""
        truths = self.desk.truths()
        if not self.busy and truths:
            self._yours = len(truths)
            self.session.measure(self.out, truths)

    def show_card(self) -> CardDialog | None:
        """Open the card of the chosen model in a window of its own."""
        card = self.panel.setup.current_card
        if card is None:
            self.panel.message.show_error('Its card comes with its download, at the first use.')
            return None
        dialog = CardDialog(card, self)
        dialog.show()
        return dialog

    def _begin(self, request: ScoreRequest, *, resume: bool) -> None:
        shown: list[int] = []
        if resume and self.out == request.out and self.run is not None:
            shown = [row.number for row in self.panel.table.rows()]
        else:
            self.run = None
            self.panel.show_table(False)
        self._request, self.out = request, request.out
        self.session.score(request, resume=resume, shown=shown)

    # -- what jobs say ------------------------------------------------------------------

    def _look(self) -> None:
        setup = self.panel.setup
        if setup.images.paths:
            self.session.look(setup.images.paths, setup.target.path)

    def _began(self, job: str) -> None:
        progress = self.panel.progress
        self.panel.tell('')
        if job == 'score':
            progress.clear()
            progress.say('Starting')
        elif job == 'reopen':
            progress.clear()
            progress.say(f'Reading {Path(self.out).name}')
        else:
            self.panel.metrics.say_measuring()
        self._update()

    def _tell(self, event: object) -> None:
        panel = self.panel
        match event:
            case scoring.Preparing(text=text):
                panel.progress.say(text)
            case Run():
                self._show_run(event)
            case Rows(rows=rows):
                panel.table.add(rows)
                self.desk.add(rows)
                if self.session.job == 'reopen':
                    self._done += len(rows)
                    self._failed_rows += sum(row.status == 'error' for row in rows)
            case scoring.Started():
                self._done, self._failed_rows = event.done, event.failed
                self._total = event.total
            case scoring.Progress():
                self._done, self._failed_rows = event.done, event.failed
                self._total = event.total
                panel.progress.show_progress(event)
            case scoring.Warned(text=text):
                panel.progress.warn(text)
            case scoring.Measured(metrics=metrics, unknown=unknown):
                self._show_metrics(metrics, unknown, so_far=True)
            case scoring.Finished():
                self._show_metrics(event.metrics, event.unknown)
                self._done, self._failed_rows = event.total, event.failed
                self._total = event.total
                self._sum_up(score_words.finished(event))

    def _show_run(self, run: Run) -> None:
        """Show another table, unless it is the one on show that goes on."""
        if self.session.job == 'score' and self.run is not None:
            return
        self.run = run
        self._done = self._failed_rows = self._total = 0
        request = self._request
        self.panel.table.start(run)
        self.panel.head.set_open(False)
        self.panel.show_table(True)
        self.panel.metrics.clear()
        self.panel.tabs.setCurrentIndex(0)
        model = request.model if request is not None else run.model
        device = request.device if request is not None else preferences('batch').device
        self.desk.start(run, self.out, model, device)

    def _show_metrics(self, metrics: dict[str, Any], unknown: Any, so_far: bool = False) -> None:
        if self.run is not None and (metrics or unknown or self.run.truth):
            self.panel.metrics.show_metrics(metrics, unknown, self.run.labels, so_far=so_far)

    def _sum_up(self, words: str) -> None:
        self.panel.progress.sum_up(
            words,
            self._failed_rows,
            resumable=is_begun(self.out) and self._request is not None,
            saveable=self._done > 0,
        )

    def _succeeded(self, job: str, result: Any) -> None:
        if job == 'reopen':
            self._total = max(self._done, total_of(self.out))
            self._sum_up(score_words.reopened(self.out, self._done, self._total))
            if is_begun(self.out) and self._request is None:
                self.panel.message.show_error(
                    'What was scored into this table is not known here, so it cannot be '
                    'resumed: choose the same images, settings and table above.'
                )
        elif job == 'measure' and self.run is not None:
            metrics, unknown = result
            self.panel.metrics.show_metrics(metrics, unknown, self.run.labels, yours=self._yours)
        elif job == 'score':
            self.panel.setup.propose_table()

    def _cancelled(self, job: str, rows: Any) -> None:
        if job == 'score':
            self._done = rows if isinstance(rows, int) else self._done
            self._sum_up(score_words.stopped(self._done, self._total, self.out))
        elif job == 'reopen':
            self._sum_up(score_words.reopened(self.out, self._done, 0))

    def _failed(self, job: str, failure: Failure) -> None:
        if self.run is None or job == 'reopen':
            self.panel.progress.clear()
            self.panel.head.set_open(True)
        else:
            self._sum_up(score_words.stopped(self._done, self._total, self.out))
        self.panel.message.show_error(failure.text, failure.details)

    def _ended(self, job: str) -> None:
        if job == 'reopen' and self.run is not None and self.run.truth:
            self._yours = 0
            self.session.measure(self.out, {})
        self._update()
        self._later.start()
        self.settled.emit()

    def _saved(self, result: str | Failure) -> None:
        if isinstance(result, Failure):
            self.panel.message.show_error(result.text, result.details)
        else:
            self.panel.tell(f'Saved to {result}')

    # -- what follows ---------------------------------------------------------------------

    def _recall(self) -> None:
        """Offer to go on with what was under way when napari was closed."""
        table = preferences('batch').table
        request = recall(table) if is_begun(table) else None
        if request is not None:
            self.panel.setup.show_request(request)

    def _update(self) -> None:
        """Make the button, and what stands beside the folded setup, say what can be done."""
        setup, panel = self.panel.setup, self.panel
        reason = 'A job is under way.' if self.busy else setup.reason
        panel.start.setText('Resume' if setup.resumes else 'Score')
        panel.start.setEnabled(not reason)
        panel.start.setToolTip(reason or 'Score the images into a table with a row for each')
        panel.open.setEnabled(not self.busy)
        setup.setEnabled(not self.busy)
        table = Path(self.out or setup.target.path).name
        panel.head.set_summary(f'{setup.images.name} → {table}' if setup.images.name else '')
        panel.metrics.offer_measuring(not self.busy and bool(self.desk.truths()))

    def _show_failures(self) -> None:
        """Show only the files that could not be scored."""
        self.panel.table.show_only(Filter(which=Which.ERRORS))

    def _show_cell(self, label: str, called: str) -> None:
        """Show only the rows with this label that were called so."""
        self.panel.table.show_only(Filter(truth=label, answer=called))

    # -- Qt -------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Take folders and files that are dragged here."""
        if event is not None and not self.busy and _dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Score what was dropped."""
        paths = _dropped(event) if event is not None else []
        if paths:
            self.panel.head.set_open(True)
            self.panel.setup.set_images(*paths)

    def _theme_changed(self, event: Any) -> None:
        self.setStyleSheet(style_sheet(event.value))
        self.panel.set_theme(event.value)


def _dropped(event: QDropEvent) -> list[str]:
    """Return the files and folders that are dragged, if all are on this machine."""
    mime = event.mimeData()
    urls = mime.urls() if mime is not None else []
    return [url.toLocalFile() for url in urls] if all(u.isLocalFile() for u in urls) else []
