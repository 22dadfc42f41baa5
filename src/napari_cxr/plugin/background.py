"""Background jobs of the docks: started, relayed, cancelled, and ended with their dock.

A job runs in another process and is followed from a thread of napari's pool, which may wait.
Nothing in the GUI thread ever does. A dock runs one job at a time; when the dock goes, whichever
way it goes, its job is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from threading import Event
from threading import Event as Cancelled
from typing import Any

from qtpy.QtCore import QObject, QThreadPool, Signal

from napari_cxr.plugin.classify_job import Failure, failure
from napari_cxr.workers.worker_process import WorkerProcess

__all__ = [
    'JobOutcome',
    'JobSession',
    'described',
    'enlarge_thread_pool',
    'follow_job',
    'when_destroyed',
]


class _DestroyedCallback:
    """One call, which is kept here until it is made."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        _CALLBACKS.add(self)

    def say(self) -> None:
        """Make the call."""
        _CALLBACKS.discard(self)
        self._act()


_CALLBACKS: set[_DestroyedCallback] = set()


def when_destroyed(thing: QObject, act: Callable[[], None]) -> None:
    """Call something once when a Qt object is destroyed.

    PyQt owns functions that are connected, as part of the sender: where the sender is garbage,
    Python's collector takes them from it first, and then `destroyed` crashes napari. Of a
    method it holds only a weak reference, so its object must be, and is, kept elsewhere.

    Parameters
    ----------
    thing : QObject
        Whose end matters.
    act : callable
        What to call; it must not hold `thing`, or that never goes.
    """
    thing.destroyed.connect(_DestroyedCallback(act).say)


#: Threads that wait for processes cost next to nothing.
_THREADS = 16


@cache
def enlarge_thread_pool() -> None:
    """Let more jobs be under way than there are cores.

    Qt's pool has as many threads as there are cores, for threads that compute. Ours wait for
    processes that do: scoring and training hold one each for hours, and with two cores nothing
    else would ever begin.
    """
    pool = QThreadPool.globalInstance()
    if pool is not None:
        pool.setMaxThreadCount(max(pool.maxThreadCount(), _THREADS))


class _Described(partial[Any]):
    """A function that prints as words; whether it is a generator can still be told."""

    words: str

    def __str__(self) -> str:
        return self.words


def described(words: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator, below `thread_worker`, that gives a job words for people.

    napari asks with them whether to close its window while the job runs: "Executing WORDS".
    """

    def decorate(job: Callable[..., Any]) -> Callable[..., Any]:
        named = _Described(job)
        named.words = words
        return named

    return decorate


@dataclass(frozen=True, eq=False)
class JobOutcome:
    """What a job came to.

    Parameters
    ----------
    result : object
        The job's own; of a cancelled one, what is left of it, or None.
    cancelled : bool
        Whether it was.
    """

    result: Any = None
    cancelled: bool = False


def follow_job(
    process: WorkerProcess, job: str, doing: str, cancelled: Event, **arguments: Any
) -> Generator[Any, None, JobOutcome | Failure]:
    """Pass on a job's events until it ends or is cancelled; for functions that may wait.

    Parameters
    ----------
    process : WorkerProcess
        Where it runs.
    job : str
        Its name there.
    doing : str
        What a person calls it, such as 'Training', for words about a failure.
    cancelled : threading.Event
        Ends the job when set.
    **arguments
        The job's.
    """
    try:
        with closing(process.run(job, **arguments)) as run:
            while not cancelled.is_set():
                try:
                    yield next(run)
                except StopIteration as stop:
                    return JobOutcome(stop.value)
    except Exception as error:
        return failure(error, doing)
    return JobOutcome(cancelled=True)


class JobSession(QObject):
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
        when_destroyed(self, partial(_set_all, self._jobs))
        self._worker: Any = None
        enlarge_thread_pool()

    def cancel(self) -> None:
        """End the job that is under way, in good order."""
        _set_all(self._jobs)

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


def _set_all(jobs: list[Cancelled]) -> None:
    for job in jobs:
        job.set()
