"""One job at a time of a dock whose parts all follow the same jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_cxr.plugin.background import Failure, Job, JobOutcome, RunningJob, run_job
from napari_cxr.workers.worker_process import WorkerProcess

__all__ = ['JobSession']


class JobSession(QObject):
    """One job at a time of a dock, and signals about it.

    A dock with one kind of job calls `run_job` itself. When the session goes with its dock, its
    job is cancelled.

    Parameters
    ----------
    process : WorkerProcess
        Where jobs run. Made in this thread, so that it is ended before Qt is.
    parent : QObject, optional
        Qt parent.

    Attributes
    ----------
    job : str
        Name of the job that runs; empty if there is none.
    """

    #: A job has started: its name.
    started = Signal(str)
    #: The job waits for another one: of another dock, or one that is just stopping.
    waits = Signal()
    #: The job's events.
    progressed = Signal(object)
    #: A job has its result: which, and the result.
    succeeded = Signal(str, object)
    #: A job has failed: which, and the `Failure`.
    failed = Signal(str, object)
    #: A job was cancelled: which, and what is left of it.
    cancelled = Signal(str, object)
    #: A job runs no more: which.
    ended = Signal(str)

    def __init__(self, process: WorkerProcess, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.job = ''
        self._process = process
        self._running: RunningJob | None = None

    def cancel(self) -> None:
        """Ask the job that runs to end."""
        if self._running is not None:
            self._running.cancel()

    def start_job(
        self,
        name: str,
        job: Job[Any] | Callable[[], Any],
        doing: str,
        *,
        in_process: bool = True,
        description: str = '',
        fraction_done: Callable[[Any], float | None] | None = None,
    ) -> None:
        """Run a job, see `run_job`.

        Parameters
        ----------
        name : str
            The job's, for the signals.
        job, doing, description, fraction_done
            As `run_job` takes them.
        in_process : bool
            Whether it needs the session's process, and so may have to wait for another job.
        """
        self.job = name
        waits = in_process and self._process.busy
        self._running = run_job(
            self,
            job,
            doing,
            relay=self._relay,
            done=self._take,
            ended=self._finish,
            description=description,
            fraction_done=fraction_done,
        )
        self.started.emit(name)
        if waits:
            self.waits.emit()

    def _relay(self, event: object) -> None:
        if event is not None:
            self.progressed.emit(event)

    def _take(self, result: JobOutcome | Failure) -> None:
        if isinstance(result, Failure):
            self.failed.emit(self.job, result)
        elif result.cancelled:
            self.cancelled.emit(self.job, result.result)
        else:
            self.succeeded.emit(self.job, result.result)

    def _finish(self) -> None:
        job, self.job = self.job, ''
        self.ended.emit(job)
