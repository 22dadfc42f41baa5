"""The one job at a time that the Train dock has under way."""

from __future__ import annotations

from functools import partial
from threading import Event as Cancelled
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_cxr.plugin import training_jobs
from napari_cxr.plugin.classifying import Failure
from napari_cxr.plugin.threads import make_room
from napari_cxr.plugin.training_jobs import Done
from napari_cxr.plugin.when_gone import when_gone
from napari_cxr.training.recipe import Recipe

__all__ = ['TrainingSession']


class TrainingSession(QObject):
    """Starts jobs of the training process, and tells what comes of them.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    #: A job has begun: 'survey', 'preview', 'train' or 'networks'.
    began = Signal(str)
    #: The job waits for another one: of another dock, or one that is just stopping.
    waits = Signal()
    #: The job says something: an `Event` of training.
    told = Signal(object)
    #: A job has come to its result: which, and the result.
    succeeded = Signal(str, object)
    #: A job has failed: which, and the `Failure`.
    failed = Signal(str, object)
    #: A job was cancelled: which.
    cancelled = Signal(str)
    #: No job is under way any more: which it was.
    ended = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.job = ''
        self._jobs: list[Cancelled] = []  # the last one is of the job under way
        # A dock that is closed stops its run, which can be taken up again.
        when_gone(self, partial(_cancel, self._jobs))
        self._worker: Any = None
        make_room()
        # Made in this thread, so that it is ended before Qt is.
        self._trainer = training_jobs.shared_trainer()

    def list_networks(self) -> None:
        """Ask for the names of the networks."""
        self._start('networks', training_jobs.list_networks(self._new()))

    def survey(self, source: str, recipe: Recipe) -> None:
        """Look at a labelled folder."""
        self._start('survey', training_jobs.survey(source, recipe, self._new()))

    def preview(self, paths: list[str], labels: list[str], recipe: Recipe) -> None:
        """Draw samples with and without augmentation."""
        self._start('preview', training_jobs.preview(paths, labels, recipe, self._new()))

    def train(self, source: str, plan: str, out: str, device: str) -> None:
        """Train by a recipe or a sweep in TOML; an empty one takes up what `out` holds."""
        self._start('train', training_jobs.train(source, plan, out, device, self._new()))

    def cancel(self) -> None:
        """End the job that is under way, in good order."""
        _cancel(self._jobs)

    def _new(self) -> Cancelled:
        self._jobs[:] = [Cancelled()]
        return self._jobs[-1]

    def _start(self, job: str, worker: Any) -> None:
        self.job = job
        waits = self._trainer.busy
        self._worker = worker  # one that goes may take with it what it has just told
        worker.yielded.connect(self._tell)
        worker.returned.connect(self._take)
        worker.finished.connect(self._finish)
        worker.start()
        self.began.emit(job)
        if waits:
            self.waits.emit()

    def _tell(self, event: object) -> None:
        if event is not None:
            self.told.emit(event)

    def _take(self, result: Done | Failure) -> None:
        if isinstance(result, Failure):
            self.failed.emit(self.job, result)
        elif result.cancelled:
            self.cancelled.emit(self.job)
        else:
            self.succeeded.emit(self.job, result.result)

    def _finish(self) -> None:
        job, self.job = self.job, ''
        self.ended.emit(job)


def _cancel(jobs: list[Cancelled]) -> None:
    for job in jobs:
        job.set()
