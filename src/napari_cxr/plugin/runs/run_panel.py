"""One training run: progress, result, actions, curves, and the images left out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.plugin.background import Failure, JobOutcome, run_job
from napari_cxr.plugin.plots.plot import class_color
from napari_cxr.plugin.runs import run_files, run_messages
from napari_cxr.plugin.runs.run_actions import RunButtons
from napari_cxr.plugin.runs.run_results import FoldsTableView, RunConfusionMatrix, RunCurves
from napari_cxr.plugin.runs.training_history import RunHistory, RunPhase, TrainingHistory
from napari_cxr.plugin.style import keep_space, quiet_label, theme_color
from napari_cxr.plugin.widgets.text import (
    InlineMessage,
    PlainLabel,
    SkippedFiles,
    clock_text,
    plain_tip,
)
from napari_cxr.training.training_events import (
    RunsDone,
    TrainingEvent,
    TrainingStarted,
)

__all__ = ['RunPanel', 'RunStatus']

_BAR_STEPS = 1000


class RunStatus(QWidget):
    """Shows the phase, progress of the run and of the epoch, speed and time.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.heading = PlainLabel()
        self.heading.setObjectName('heading')
        self.heading.setWordWrap(True)
        self.elapsed = PlainLabel()
        self.elapsed.setObjectName('quiet')
        self.elapsed.setToolTip('Elapsed time')
        self.elapsed.setAccessibleName('Elapsed time')
        self.overall = _create_bar('Progress of the run', 8)
        self.epoch = _create_bar('Progress of this epoch', 4)
        self.place = quiet_label()
        self.speed = quiet_label()
        keep_space(self.epoch)
        keep_space(self.place, lines=1)
        keep_space(self.speed, lines=2)  # in a narrow dock
        first = QHBoxLayout()
        first.addWidget(self.heading, 1)
        first.addWidget(self.elapsed, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        layout.addLayout(first)
        for widget in (self.overall, self.epoch, self.place, self.speed):
            layout.addWidget(widget)
        self.set_theme(theme)

    def set_theme(self, theme: str) -> None:
        """Change to another of napari's themes."""
        track, done = theme_color(theme, 'primary').name(), class_color(theme, 0).name()
        self.setStyleSheet(f"""
            QLabel {{ padding: 0; }}
            QLabel#heading {{ font-weight: bold; }}
            QProgressBar {{ border: 0; border-radius: 2px; background: {track}; }}
            QProgressBar::chunk {{ border-radius: 2px; background-color: {done}; }}
        """)

    def show_history(self, history: RunHistory) -> None:
        """Show the current state of a run."""
        self.heading.setText(run_messages.heading_text(history))
        seconds = history.elapsed
        self.elapsed.setText(clock_text(seconds) if seconds else '')
        working = history.at_work
        done = history.fraction
        self.overall.setRange(0, 0 if done is None else _BAR_STEPS)
        if done is not None:
            self.overall.setValue(round(_BAR_STEPS * done))
        self.overall.setVisible(working)
        training = history.current_training
        in_epoch = history.phase in (RunPhase.TRAINING, RunPhase.STOPPING) and training is not None
        self.epoch.setVisible(in_epoch)
        self.epoch.setValue(
            round(_BAR_STEPS * training.epoch_fraction) if training is not None else 0
        )
        for label, text in (
            (self.place, run_messages.position_text(history)),
            (self.speed, run_messages.speed_text(history) if working else ''),
        ):
            label.setText(text)
            # Stop is below: it stays where it is as long as there is something to stop.
            label.setVisible(working or bool(text))


def _create_bar(name: str, height: int) -> QProgressBar:
    bar = QProgressBar()
    bar.setTextVisible(False)
    bar.setRange(0, _BAR_STEPS)
    bar.setFixedHeight(height)
    bar.setToolTip(plain_tip(name))
    bar.setAccessibleName(name)
    return bar


#: Milliseconds between two repaints, so that the dock stays responsive to frequent events.
_REPAINT_INTERVAL = 100

_SECOND = 1000


class RunPanel(QWidget):
    """Shows a run from its events; it is independent of how the run is executed.

    The caller calls `begin`, then `add` for every event, and at the end one of `finish`,
    `stopped` and `fail`; all of them return at once.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: Stop was clicked.
    stop_requested = Signal()
    #: Resume was clicked.
    resume_requested = Signal()
    #: A checkpoint should be used in the Classify dock: its path.
    classify_requested = Signal(str)
    #: The card of a checkpoint should be shown: its path.
    card_requested = Signal(str)
    #: The folder of the run should be opened: its path.
    folder_requested = Signal(str)
    #: The curves of another run should be added, see `compare_with`.
    compare_requested = Signal()

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.history = RunHistory()
        self.folder = Path()
        self._chosen = ''  # of several runs; empty follows the current one
        self._drawn: tuple[object, ...] = ()
        self._resumed = False  # whether the run was resumed
        self._filled = False  # whether the epochs before a resume were added
        self._build(theme)
        self._paint = QTimer(self)
        self._paint.setSingleShot(True)
        self._paint.setInterval(_REPAINT_INTERVAL)
        self._paint.timeout.connect(self.refresh)
        self._second = QTimer(self)
        self._second.setInterval(_SECOND)
        self._second.timeout.connect(self._tick)
        self.buttons.stop_requested.connect(self._stop)
        self.buttons.resume_requested.connect(self.resume_requested)
        self.buttons.classify_requested.connect(self._classify)
        self.buttons.card_requested.connect(self._show_card)
        self.buttons.folder_requested.connect(self._open_folder)
        self.curves.compare_requested.connect(self.compare_requested)
        self.folds.chosen.connect(self._choose)
        self.refresh()

    def _build(self, theme: str) -> None:
        self.status = RunStatus(theme)
        self.kept = quiet_label()
        self.message = InlineMessage()
        self.result = PlainLabel()
        self.result.setObjectName('result')
        self.result.setWordWrap(True)
        self.result.setTextInteractionFlags(self.kept.textInteractionFlags())
        self.doubts = PlainLabel()
        self.doubts.setObjectName('caution')
        self.doubts.setWordWrap(True)
        self.doubts.setTextInteractionFlags(self.kept.textInteractionFlags())
        self.buttons = RunButtons()
        self.skipped = SkippedFiles(folds=True)
        self.folds = FoldsTableView()
        self.curves = RunCurves(theme)
        self.matrix = RunConfusionMatrix(theme)
        self.setStyleSheet('QLabel#result, QLabel#quiet { padding: 0; }')
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(10)
        for widget in (
            self.status,
            self.buttons,  # above messages, which come while a run is being stopped
            self.message,
            self.result,
            self.doubts,
            self.kept,
            self.skipped,
            self.folds,
            self.curves,
            self.matrix,
        ):
            layout.addWidget(widget)

    def set_theme(self, theme: str) -> None:
        """Change to another of napari's themes."""
        self.status.set_theme(theme)
        self.curves.set_theme(theme)
        self.matrix.set_theme(theme)

    # -- events -------------------------------------------------------------------------

    def begin(self, folder: str | Path, runs: int = 0, resumed: RunHistory | None = None) -> None:
        """Show that a run is starting.

        Parameters
        ----------
        folder : str or Path
            Folder of the run.
        runs : int
            Number of networks that it trains, if known.
        resumed : RunHistory, optional
            What is known of a resumed run, see `run_files.read_run_history`.
        """
        self.folder = Path(folder)
        self.history = resumed or RunHistory(self.folder.name, runs)
        self.history.total = runs or self.history.total
        self.history.begin()
        self._resumed = resumed is not None
        self._chosen, self._filled = '', False
        self.message.clear()
        self._second.start()
        self.refresh()

    def add(self, event: TrainingEvent) -> None:
        """Add an event; it is shown within a tenth of a second."""
        self.history.add(event)
        if (
            isinstance(event, TrainingStarted | RunsDone)
            and not self._filled
            and self._lacks(event)
        ):
            self._filled = True
            reading = partial(run_files.read_run_histories, [self.folder])
            run_job(self, reading, 'Reading the run', done=self._fill)
        if not self._paint.isActive():
            self._paint.start()

    def _lacks(self, event: TrainingStarted | RunsDone) -> bool:
        """Return whether a resumed run has epochs for which there were no events."""
        if isinstance(event, RunsDone):
            ended = [c for c in self.history.trainings.values() if c.finished is not None]
            return event.run == self.history.name and len(ended) < event.done
        training = self.history.current_training
        return training is not None and len(training.epochs) < event.epoch

    def _fill(self, outcome: JobOutcome | Failure) -> None:
        found = outcome.result if isinstance(outcome, JobOutcome) else {}
        before = found.get(self.folder)
        if isinstance(before, RunHistory):  # otherwise the curves start here
            self.history.fill(before)
            self._drawn = ()
            self.refresh()

    def stopping(self) -> None:
        """Show that the run is stopping."""
        self.history.phase = RunPhase.STOPPING
        self.refresh()

    def stopped(self) -> None:
        """Show that the run has stopped and can be resumed."""
        self._end(RunPhase.STOPPED)

    def fail(self, text: str, details: str = '') -> None:
        """Show why the run failed, in one sentence with what to do next."""
        self._end(RunPhase.FAILED)
        self.message.show_error(text, details)

    def finish(self) -> None:
        """Show the result."""
        best = self.history.best
        if self.history.sweep and best is not None and not self._chosen:
            self._chosen = best.name
        self._end(RunPhase.FINISHED)

    def show_history(self, history: RunHistory, folder: str | Path) -> None:
        """Show an earlier run."""
        self.history, self.folder = history, Path(folder)
        self._chosen, self._resumed = '', True
        self._second.stop()
        self.message.clear()
        self.refresh()

    def compare_with(self, other: RunHistory | None) -> None:
        """Add the curves of another run with dashed lines; None removes them."""
        training = other.current_training if other is not None else None
        if other is not None and training is None:
            self.message.show_error(
                f'{other.name} has no completed epochs, so there are no curves.'
            )
            return
        self.curves.set_other(training, other.name if other is not None else '')

    # -- display ------------------------------------------------------------------------

    @property
    def training(self) -> TrainingHistory | None:
        """The training whose curves are shown."""
        return self.history.trainings.get(self._chosen or self.history.current)

    @property
    def checkpoint(self) -> Path | None:
        """The best model of the training that is shown, if there is one."""
        training = self.training
        if training is None or training.best is None:
            return None
        if training.finished is not None and training.finished.path:
            return Path(training.finished.path)
        return self.folder / self.history.place_of(training) / 'best.safetensors'

    def refresh(self) -> None:
        """Update everything on screen."""
        self._paint.stop()
        history, training = self.history, self.training
        self.status.show_history(history)
        ended = history.phase is RunPhase.FINISHED
        _set_text(self.result, run_messages.result_text(history) if ended else '')
        _set_text(self.doubts, run_messages.warnings_text(history, ended))
        resumable = self._resumed or training is not None
        # The disk may be full, or the process may have been killed before it wrote the model.
        place = self.checkpoint
        has_model = place is not None and (history.phase is not RunPhase.FAILED or place.is_file())
        _set_text(self.kept, run_messages.next_step_text(history, resumable, has_model))
        name = run_messages.short_run_name(training.name) if training else ''
        which = name if history.has_several_trainings else ''
        self.buttons.offer(history.phase, has_model, which, resumable)
        self.skipped.show_files([(one.path, one.reason) for one in history.skipped])
        self.folds.setVisible(history.has_several_trainings and bool(history.trainings))
        self.folds.set_trainings(
            list(history.trainings.values()), training.name if training else ''
        )
        self.curves.setVisible(history.at_work or training is not None)
        # Batches are frequent and do not change the curves.
        best = not history.at_work
        now = (id(training), training.last, training.finished, best) if training else ()
        if now != self._drawn or training is None:
            self._drawn = now
            self.curves.set_training(training, name)
            self.matrix.set_training(training, best=best)

    def _tick(self) -> None:
        """Update the times between events."""
        if self.history.at_work:
            self.status.show_history(self.history)
        else:
            self._second.stop()

    def _end(self, phase: RunPhase) -> None:
        self.history.end(phase)
        self._second.stop()
        self.refresh()

    # -- actions ------------------------------------------------------------------------

    def _stop(self) -> None:
        self.stopping()
        self.stop_requested.emit()

    def _choose(self, name: str) -> None:
        self._chosen = '' if name == self.history.current and self.history.at_work else name
        self.refresh()

    def _classify(self) -> None:
        if self.checkpoint is not None:
            self.classify_requested.emit(str(self.checkpoint))

    def _show_card(self) -> None:
        if self.checkpoint is not None:
            self.card_requested.emit(str(self.checkpoint))

    def _open_folder(self) -> None:
        self.folder_requested.emit(str(self.folder))


def _set_text(label: QLabel, text: str) -> None:
    """Set a text, and hide the label if it is empty."""
    label.setText(text)
    label.setVisible(bool(text))
