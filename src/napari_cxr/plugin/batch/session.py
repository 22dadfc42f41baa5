"""The jobs that the Batch dock has under way: one at a time that scores or reads a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from threading import Event as Cancelled
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_cxr.plugin.batch import jobs
from napari_cxr.plugin.batch.jobs import Done
from napari_cxr.plugin.batch.request import ScoreRequest
from napari_cxr.plugin.classifying import Failure
from napari_cxr.plugin.threads import make_room
from napari_cxr.plugin.when_gone import when_gone
from napari_cxr.scoring.looking import Looked

__all__ = ['BatchSession']


class BatchSession(QObject):
    """Starts jobs, and tells what comes of them.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    #: A job has begun: 'score', 'reopen' or 'measure'.
    began = Signal(str)
    #: The job waits for another one: of another dock, or one that is just stopping.
    waits = Signal()
    #: The job says something: an event of scoring, `Arrived`, a `Run`, or words.
    told = Signal(object)
    #: A job has come to its result: which, and the result.
    succeeded = Signal(str, object)
    #: A job has failed: which, and the `Failure`.
    failed = Signal(str, object)
    #: A job was cancelled: which, and what is left of it.
    cancelled = Signal(str, object)
    #: No job is under way any more: which it was.
    ended = Signal(str)
    #: Images were looked at: a `Looked`.
    looked = Signal(object)
    #: A table was saved: its path, or the `Failure`.
    saved = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.job = ''
        self._jobs: list[Cancelled] = []  # the last one is of the job under way
        # A dock that is closed stops its run, which can be resumed.
        when_gone(self, partial(_cancel, self._jobs))
        self._worker: Any = None
        self._looker: Any = None
        self._savers: list[Any] = []
        make_room()
        # Made in this thread, so that it is ended before Qt is.
        self._scorer = jobs.shared_scorer()

    def score(self, request: ScoreRequest, *, resume: bool, shown: Sequence[int] = ()) -> None:
        """Score into a table, or go on with it; see `jobs.score`."""
        self._start('score', jobs.score(request, resume, shown, self._new()))

    def reopen(self, table: str) -> None:
        """Read a table back."""
        self._start('reopen', jobs.reopen(table, self._new()), process=False)

    def measure(self, table: str, truths: Mapping[str, str]) -> None:
        """Measure a table by the labels in it, or by those of a person."""
        self._start('measure', jobs.measure(table, truths, self._new()))

    def look(self, paths: tuple[str, ...], out: str) -> None:
        """Look for labels in images, while another job may be under way."""
        worker = self._looker = jobs.look(paths, out)
        worker.returned.connect(self._take_look)
        worker.start()

    def save_as(self, table: str, path: str) -> None:
        """Write a table again under another name, while another job may be under way."""
        worker = jobs.save_as(table, path)
        self._savers = [*self._savers[-3:], worker]
        worker.returned.connect(self._take_saved)
        worker.start()

    def cancel(self) -> None:
        """End the job that is under way, in good order."""
        _cancel(self._jobs)

    def _new(self) -> Cancelled:
        self._jobs[:] = [Cancelled()]
        return self._jobs[-1]

    def _start(self, job: str, worker: Any, *, process: bool = True) -> None:
        self.job = job
        waits = process and self._scorer.busy
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

    def _take_look(self, result: Looked | Failure) -> None:
        if isinstance(result, Looked):
            self.looked.emit(result)

    def _take_saved(self, result: Done | Failure) -> None:
        self.saved.emit(result.result if isinstance(result, Done) else result)

    def _finish(self) -> None:
        job, self.job = self.job, ''
        self.ended.emit(job)


def _cancel(jobs: list[Cancelled]) -> None:
    for job in jobs:
        job.set()
