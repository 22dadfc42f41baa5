"""The dock that evaluates models by labelled images, and says what the result is worth."""

from __future__ import annotations

from pathlib import Path

from napari.components import ViewerModel
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices, QDragEnterEvent, QDropEvent, QKeySequence, QShortcut
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QWidget

from napari_cxr.evaluation.evaluation_events import (
    EvaluationFinished,
    EvaluationProgress,
    EvaluationWarned,
)
from napari_cxr.plugin.background import Failure
from napari_cxr.plugin.base_dock import Dock, dropped_files
from napari_cxr.plugin.docks import dock_signals, open_dock
from napari_cxr.plugin.evaluate.evaluation_jobs import evaluate_models, shared_evaluator
from napari_cxr.plugin.evaluate.evaluation_setup import EvaluationSetup
from napari_cxr.plugin.evaluate.evaluation_view import EvaluationView
from napari_cxr.plugin.job_session import JobSession
from napari_cxr.plugin.style import keep_space, quiet_label
from napari_cxr.plugin.widgets.sections import CollapsibleSection, fill_dock
from napari_cxr.plugin.widgets.text import InlineMessage, duration_text

__all__ = ['EvaluateDock']

_EVALUATING = 'the evaluation of a model. What is scored is kept, and not scored again'
_STOPPED = 'Stopped. What is scored is kept: Evaluate goes on with the rest.'
_START_TIP = 'Evaluate the ticked models (Ctrl+Shift+Return)'


class EvaluateDock(Dock):
    """Choose models and labelled images, evaluate, and read what the result is worth.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.session = JobSession(shared_evaluator('inference'), self)
        shared_evaluator('torch')  # made in this thread, too
        self.finished: EvaluationFinished | None = None
        self._warnings: list[str] = []
        self._told = ''  # what is missing, as far as the status says it
        self._build()
        self._connect()
        self._update()

    def _build(self) -> None:
        self.setup = EvaluationSetup()
        self.head = CollapsibleSection('What to evaluate')
        self.head.add(self.setup)
        self.start = QPushButton('Evaluate')
        self.start.setObjectName('accent')
        self.start.setMinimumHeight(34)
        self.stop = QPushButton('Stop')
        self.stop.setToolTip('Stop now; what is scored is kept')
        self.stop.hide()
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(4)
        self.progress.setAccessibleName('How far the evaluation is')
        self.progress.hide()
        self.status = quiet_label()
        self.status.setIndent(0)
        keep_space(self.progress, self.stop)
        keep_space(self.status, lines=1)
        self.message = InlineMessage()
        self.results = EvaluationView(self.viewer.theme)
        self.open_report = QPushButton('Open report')
        self.open_report.setToolTip('Open the report in the browser')
        self.open_shortcuts = QPushButton('Shortcut tests')
        self.open_shortcuts.setToolTip('Open the page of the shortcut tests in the browser')
        self.open_folder = QPushButton('Open folder')
        self.open_folder.setToolTip('The report, metrics.json, predictions and scores')
        self.files = QWidget()
        row = QHBoxLayout(self.files)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.open_report)
        row.addWidget(self.open_shortcuts)
        row.addWidget(self.open_folder)
        row.addStretch(1)
        self.files.hide()
        doing = QWidget()
        line = QHBoxLayout(doing)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.status, 1)
        line.addWidget(self.stop)
        fill_dock(
            self,
            self.head,
            self.start,
            self.progress,
            doing,
            self.message,
            self.files,
            self.results,
        )
        self.setAcceptDrops(True)

    def _connect(self) -> None:
        session = self.session
        self.setup.changed.connect(self._update)
        self.start.clicked.connect(self.evaluate)
        self.stop.clicked.connect(session.cancel)
        session.started.connect(self._started)
        session.waits.connect(self._waits)
        session.progressed.connect(self._show_event)
        session.failed.connect(self._failed)
        session.cancelled.connect(self._cancelled)
        session.ended.connect(self._ended)
        self.open_report.clicked.connect(self._open_report)
        self.open_shortcuts.clicked.connect(self._open_shortcuts)
        self.open_folder.clicked.connect(self._open_folder)
        self.results.images_wanted.connect(self._read_images)
        QShortcut(QKeySequence('Ctrl+Shift+Return'), self).activated.connect(self.evaluate)

    @property
    def busy(self) -> bool:
        """Whether an evaluation runs."""
        return bool(self.session.job)

    # -- actions ------------------------------------------------------------------------

    def evaluate(self) -> None:
        """Start; returns at once. What was scored into the same folder is not scored again."""
        request = self.setup.request
        if self.busy or request is None:
            return
        self.setup.remember()
        self.message.clear()
        self._warnings = []
        self.session.start_job(
            'evaluate',
            evaluate_models(request),
            'Evaluating',
            description=_EVALUATING,
            fraction_done=_fraction_done,
        )

    def _open_report(self) -> None:
        if self.finished is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(self.finished.report))

    def _open_shortcuts(self) -> None:
        if self.finished is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(self.finished.shortcuts_page))

    def _open_folder(self) -> None:
        if self.finished is not None:
            folder = str(Path(self.finished.report).parent)
            QDesktopServices.openUrl(QUrl.fromLocalFile(folder))

    def _read_images(self, model: str, paths: list[str], title: str) -> None:
        """Open some images of a model's table as a reading list."""
        if self.finished is not None and model in self.finished.files:
            open_dock(self.viewer, 'Score a folder')
            table = self.finished.files[model]
            dock_signals().rows_requested.emit(self.viewer, table, tuple(paths), title)

    # -- reactions ----------------------------------------------------------------------

    def _started(self, _: str) -> None:
        self.status.setText('Starting…')
        self.progress.setRange(0, 0)
        self.progress.show()
        self.stop.show()
        self._update()

    def _waits(self) -> None:
        self.status.setText('Waiting for another evaluation to finish…')

    def _show_event(self, event: object) -> None:
        match event:
            case EvaluationProgress():
                left = ''
                if event.seconds_left >= 0:  # it may be NaN
                    left = f', {duration_text(event.seconds_left)} left'
                counted = f' {event.done:,} of {event.total:,}' if event.total else ''
                self.status.setText(f'{event.step}…{counted}{left}')
                self.progress.setRange(0, event.total)
                self.progress.setValue(event.done)
            case EvaluationWarned(text=text):
                self._warnings.append(text)
            case EvaluationFinished():
                self.finished = event
                self.results.show_result(event.result)
                self.files.show()
                self.open_shortcuts.setVisible(bool(event.shortcuts_page))
                self.head.set_open(False)
                self.status.setText(' '.join(['Finished.', *self._warnings]))

    def _failed(self, _: str, failure: Failure) -> None:
        self.message.show_error(failure.text, failure.details)
        self.status.clear()

    def _cancelled(self, _: str, __: object) -> None:
        self.status.setText(_STOPPED)

    def _ended(self, _: str) -> None:
        self.progress.hide()
        self.stop.hide()
        self._update()
        self.settled.emit()

    def _update(self) -> None:
        reason = self.setup.reason
        self.start.setEnabled(not reason and not self.busy)
        self.start.setToolTip(reason or _START_TIP)
        self.setup.setEnabled(not self.busy)
        names = ', '.join(Path(name).stem for name in self.setup.chosen_models)
        self.head.set_summary('' if self.head.is_open else names)
        if not self.busy and reason:
            self.status.setText(reason)
        elif not self.busy and self.status.text() == self._told:
            self.status.clear()
        self._told = reason

    # -- Qt -----------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Accept one folder or table."""
        if event is not None and len(dropped_files(event)) == 1 and not self.busy:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Take the folder or table that was dropped as the images."""
        paths = dropped_files(event) if event is not None else []
        if len(paths) == 1:
            self.head.set_open(True)
            self.setup.set_images(paths[0])

    def set_theme(self, theme: str) -> None:
        """Draw plots in the colours of a theme."""
        self.results.set_theme(theme)


def _fraction_done(event: object) -> float | None:
    if isinstance(event, EvaluationProgress) and event.total:
        return event.done / event.total
    return None
