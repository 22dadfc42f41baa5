"""The one job at a time that a dock has under way."""

from __future__ import annotations

from functools import partial
from threading import Event as Cancelled
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_cxr.plugin.classifying import Failure
from napari_cxr.plugin.supervised import Done
from napari_cxr.plugin.threads import make_room
from napari_cxr.plugin.when_gone import when_gone
from napari_cxr.workers.process import WorkerProcess

__all__ = ['Session']


class Session(QObject):
    """Starts jobs, and tells what comes of them. When its dock goes, its job is cancelled.

    Parameters
    ----------
    process : WorkerProcess
        Where jobs run. Made in this thread, so that it is ended before Qt is.
    parent : QObject, optional
        Qt parent.
    """

    #: A job has begun: its name.
    began = Signal(str)
    #: The job waits for another one: of another dock, or one that is just stopping.
    waits = Signal()
    #: The job says something: an event, or words.
    told = Signal(object)
    #: A job has come to its result: which, and the result.
    succeeded = Signal(str, object)
    #: A job has failed: which, and the `Failure`.
    failed = Signal(str, object)
    #: A job was cancelled: which, and what is left of it.
    cancelled = Signal(str, object)
    #: No job is under way any more: which it was.
    ended = Signal(str)

    def __init__(self, process: WorkerProcess, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.job = ''
        self._process = process
        self._jobs: list[Cancelled] = []  # the last one is of the job under way
        when_gone(self, partial(_cancel, self._jobs))
        self._worker: Any = None
        make_room()

    def cancel(self) -> None:
        """End the job that is under way, in good order."""
        _cancel(self._jobs)

    def _new(self) -> Cancelled:
        self._jobs[:] = [Cancelled()]
        return self._jobs[-1]

    def _start(self, job: str, worker: Any, *, process: bool = True) -> None:
        """Start a job; `process` tells whether it is one of the process."""
        self.job = job
        waits = process and self._process.busy
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
            self.cancelled.emit(self.job, result.result)
        else:
            self.succeeded.emit(self.job, result.result)

    def _finish(self) -> None:
        job, self.job = self.job, ''
        self.ended.emit(job)


def _cancel(jobs: list[Cancelled]) -> None:
    for job in jobs:
        job.set()
