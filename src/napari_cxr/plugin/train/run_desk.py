"""Runs of the Train dock: started, stopped, taken up again, and used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog

from napari_cxr.checkpoint import CheckpointError, read_card
from napari_cxr.plugin.card_dialog import CardDialog
from napari_cxr.plugin.classifying import Failure
from napari_cxr.plugin.runs.run_history import RunHistory
from napari_cxr.plugin.runs.run_panel import RunPanel
from napari_cxr.plugin.shared import shared
from napari_cxr.plugin.supervised import Done
from napari_cxr.plugin.train import jobs
from napari_cxr.plugin.train.session import TrainingSession
from napari_cxr.training.events import Event, Finished, RunsDone
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.sweep import Sweep

__all__ = ['RunDesk']


class RunDesk(QObject):
    """Keeps the run panel in step with the run under way.

    Parameters
    ----------
    panel : RunPanel
        Where the run is shown.
    session : TrainingSession
        Which does it.
    parent : QObject, optional
        Qt parent.
    """

    #: A run has been started or taken up again.
    started = Signal()
    #: The Classify dock shall be opened with this model: its name or file.
    classify_wanted = Signal(str)

    def __init__(
        self, panel: RunPanel, session: TrainingSession, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._panel, self._session = panel, session
        self._name = ''  # of the model that is under way
        self._added: dict[str, str] = {}  # names in the catalog, by the path of a run's model
        # Kept, because a worker that goes may take with it what it has just told.
        self._reader: Any = None
        self._keeper: Any = None
        session.told.connect(self._tell)
        session.succeeded.connect(self._finished)
        session.failed.connect(self._failed)
        session.cancelled.connect(self._stopped)
        session.ended.connect(self._ended)
        panel.stop_wanted.connect(self.stop)
        panel.classify_wanted.connect(self._classify)
        panel.card_wanted.connect(self._show_card)
        panel.folder_wanted.connect(self._open_folder)
        panel.compare_wanted.connect(self._compare)

    @property
    def busy(self) -> bool:
        """Whether a run is under way."""
        return self._session.job == 'train'

    def start(self, source: str, plan: Recipe | Sweep, folder: Path, device: str) -> None:
        """Start a run, or the runs of a sweep; returns at once."""
        self._name = '' if isinstance(plan, Sweep) else plan.card.name or plan.name
        self._panel.begin(folder, len(plan.runs) if isinstance(plan, Sweep) else 0)
        self.started.emit()
        self._session.train(source, plan.to_toml(), str(folder), device)

    def resume(self, source: str, folder: Path, device: str) -> None:
        """Take up again what a folder holds; returns at once."""
        self._name = ''
        shown = folder == self._panel.folder
        known = self._panel.history if shown else RunHistory(folder.name)
        self._panel.begin(folder, resumed=known)
        self.started.emit()
        self._session.train(source, '', str(folder), device)

    def stop(self) -> None:
        """End the run after its current step; what it has learnt is kept."""
        if self.busy:
            self._panel.stopping()
            self._session.cancel()

    # -- what the run says --------------------------------------------------------------

    def _tell(self, event: Event) -> None:
        if self.busy:
            self._panel.add(event)
            if isinstance(event, RunsDone):
                shared().run_done.emit(str(self._panel.folder), event)
            # Of several folds or runs, none is the model.
            if isinstance(event, Finished) and event.run == self._panel.folder.name and event.path:
                self._keeper = jobs.add_model(event.path, self._name)
                self._keeper.returned.connect(self._model_added)
                self._keeper.start()

    def _finished(self, job: str, _: object) -> None:
        if job == 'train':
            self._panel.finish()

    def _failed(self, job: str, failure: Failure) -> None:
        if job == 'train':
            self._panel.fail(failure.text, failure.details)

    def _stopped(self, job: str, _: object = None) -> None:
        if job == 'train':
            self._panel.stopped()

    def _ended(self, job: str) -> None:
        if job == 'train':
            shared().run_done.emit(str(self._panel.folder), None)

    def _model_added(self, result: Done | Failure) -> None:
        if isinstance(result, Failure):
            self._panel.message.show_error(result.text, result.details)
            return
        path, name = result.result
        self._added[path] = name
        shared().model_added.emit(name)

    # -- what the person wants ----------------------------------------------------------

    def _classify(self, path: str) -> None:
        self.classify_wanted.emit(self._added.get(path, path))

    def _show_card(self, path: str) -> None:
        try:
            CardDialog(read_card(path), self._panel).show()
        except CheckpointError as error:
            self._panel.message.show_error(str(error))

    def _open_folder(self, path: str) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(path))

    def _compare(self) -> None:
        """Lay the curves of another run over these."""
        path = QFileDialog.getExistingDirectory(
            self._panel, 'Choose the folder of another run', str(self._panel.folder.parent)
        )
        if path:
            self._reader = jobs.read_run(path)
            self._reader.returned.connect(self._show_other)
            self._reader.start()

    def _show_other(self, result: Done | Failure) -> None:
        if isinstance(result, Failure):
            self._panel.message.show_error(result.text, result.details)
        else:
            self._panel.compare_with(result.result)
