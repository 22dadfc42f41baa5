"""Jobs in the background of the docks: started, relayed, cancelled, and ended with their dock.

A job is a generator. `run_job` runs it in a thread of napari's pool, where it may wait; nothing
in the GUI thread ever does. Most of its work is done in another process: a job hands control
back about ten times a second, so that it can be cancelled and napari can close. A dock runs one
job at a time; when the dock goes, whichever way it goes, its job is cancelled. A job that fails
does not raise: its outcome is a `Failure`, a sentence for the person with what to do next.
"""

from __future__ import annotations

import atexit
import traceback
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache, partial
from threading import Event
from typing import Any, TypeAlias, TypeVar

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, QThreadPool, QTimer, Signal

from napari_cxr.checkpoint import CheckpointError
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.workers.decoder_pool import Decoder
from napari_cxr.workers.worker_process import JobFailed, WorkerDied, WorkerProcess

__all__ = [
    'ActivityEntry',
    'Failure',
    'Job',
    'JobCancelled',
    'JobOutcome',
    'RunningJob',
    'end_worker',
    'enlarge_thread_pool',
    'failure',
    'run_job',
    'shared_torch',
    'when_destroyed',
]


class JobCancelled(GeneratorExit):
    """Raised where a cancelled job has just yielded.

    As with every `GeneratorExit`, what the job waits for with `yield from` is closed first, and
    that ends the work in the other process. Most jobs need not know of it. One that leaves
    something behind catches it, and may still yield and return its result.
    """


@dataclass(frozen=True, eq=False)
class JobOutcome:
    """The outcome of a job that did not fail.

    Parameters
    ----------
    result : object
        What the job returned; of a cancelled one, what is left of it, or None.
    cancelled : bool
        Whether it was cancelled before it had its result.
    """

    result: Any = None
    cancelled: bool = False


@dataclass(frozen=True)
class Failure:
    """Why a job has no result.

    Jobs return it instead of raising: napari would report what they raise a second
    time, in a toast that fades and on the terminal, with the values of all variables.

    Parameters
    ----------
    text : str
        One sentence or two for a person.
    details : str
        A traceback, or what the worker last wrote.
    """

    text: str
    details: str


Result = TypeVar('Result')

#: A job: it yields events, or None while there are none, and returns its result.
Job: TypeAlias = Generator[Any, None, Result]


#: Errors of workers whose message is already a sentence for people.
_READABLE_ERRORS = {
    'CheckpointError',
    'DatasetError',
    'DecisionError',
    'DeviceUnavailable',
    'DownloadFailed',
    'ForeignFileError',
    'ListingError',
    'OutOfMemory',
    'RecipeError',
    'RefusedImage',
    'ScoringError',
    'TrainingError',
    'UnreadableImage',
}


def failure(error: Exception, doing: str) -> Failure:
    """Return an error of a job as a sentence for a person, with what to do next.

    Parameters
    ----------
    error : Exception
        What a worker, or the handing over to it, has raised.
    doing : str
        The job as people call it, such as 'Classifying'.
    """
    if isinstance(error, JobFailed):
        if error.kind in _READABLE_ERRORS:
            return Failure(str(error), error.details)
        return Failure(
            f'{doing} failed because of an error in the program. '
            'The details below help its developers.',
            error.details,
        )
    if isinstance(error, WorkerDied) and error.from_outside:
        return Failure(
            f'{doing} failed because its process was ended from outside, most likely because '
            'memory ran out. napari is not affected: close other programs and start again.',
            f'{error}\n{error.details}',
        )
    if isinstance(error, WorkerDied):
        return Failure(
            f'{doing} failed because its process ended unexpectedly. napari is not affected: '
            'start again to get a new one.',
            f'{error}\n{error.details}',
        )
    details = ''.join(traceback.format_exception(error))
    known = isinstance(error, ValueError | UnreadableImage | CheckpointError)
    if known or type(error).__name__ in _READABLE_ERRORS:
        return Failure(str(error), details)
    if isinstance(error, MemoryError | OSError):
        return Failure(
            f'{doing} failed because there is not enough memory, or no process could be '
            'started. Close other programs or layers and try again.',
            details,
        )
    return Failure(f'{doing} failed because of an error in the program.', details)


#: How long the end of Python waits for the threads of jobs, in milliseconds.
_EXIT_TIMEOUT = 5000


@cache
def shared_torch() -> WorkerProcess:
    """Return the torch process of this napari; it starts with its first job."""
    worker = WorkerProcess('torch')
    atexit.register(end_worker, worker)
    return worker


def end_worker(worker: WorkerProcess | Decoder, grace: float = 0.0) -> None:
    """Let the threads of jobs end before Qt does: a signal without its object aborts Python."""
    worker.retire(grace)
    pool = QThreadPool.globalInstance()
    if pool is not None:
        pool.waitForDone(_EXIT_TIMEOUT)


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
    """Let more jobs run than there are cores.

    Qt's pool has as many threads as there are cores, for threads that compute. Ours wait for
    processes that do: scoring and training hold one each for hours, and with two cores nothing
    else would ever start.
    """
    pool = QThreadPool.globalInstance()
    if pool is not None:
        pool.setMaxThreadCount(max(pool.maxThreadCount(), _THREADS))


def run_job(
    owner: QObject | None,
    job: Job[Any] | Callable[[], Any],
    doing: str,
    *,
    relay: Callable[[Any], None] | None = None,
    done: Callable[[Any], None] | None = None,
    ended: Callable[[], None] | None = None,
    description: str = '',
    fraction_done: Callable[[Any], float | None] | None = None,
) -> RunningJob:
    """Run a job in the background; returns at once.

    Parameters
    ----------
    owner : QObject or None
        Whose job it is: a dock or a controller. When it is destroyed, the job is cancelled and
        none of the callbacks is called any more. None for a job that nothing but itself ends.
    job : generator or callable
        A generator that yields events, or None about ten times a second while there are none,
        and returns the result: it may wait for processes with `yield from process.run(...)`.
        Or a function without arguments, which runs to its end once it has started. Both run
        in another thread and must not touch Qt or layers on screen. What they raise becomes a
        `Failure`; they may also return one.
    doing : str
        What a person calls it, such as 'Training', for the text of a failure.
    relay : callable, optional
        Called in the GUI thread with each event that is not None. Like the other callbacks it
        should be a bound method, of which Qt holds no reference that would keep the owner.
    done : callable, optional
        Called once with the `JobOutcome` or the `Failure`.
    ended : callable, optional
        Called last, in every case.
    description : str, optional
        What the job is, for napari's question whether to close its window meanwhile.
    fraction_done : callable, optional
        For jobs of minutes, which are then listed in napari's activity view. It gets each
        event and returns which fraction of the work is done, or None if the event tells nothing.

    Returns
    -------
    RunningJob
        Cancels it. Nobody needs to keep it.
    """
    enlarge_thread_pool()
    cancelled = Event()
    target = _Described(partial(_follow, job, doing, cancelled))
    target.description = description or doing
    worker = create_worker(target, _start_thread=False)
    running = RunningJob(owner, cancelled)
    if relay is not None:
        running.progressed.connect(relay)
    if done is not None:
        running.done.connect(done)
    if ended is not None:
        running.ended.connect(ended)
    if fraction_done is not None:
        ActivityEntry(running, doing, fraction_done)
    running.follow(worker)
    return running


def _follow(
    job: Job[Any] | Callable[[], Any], doing: str, cancelled: Event
) -> Generator[Any, None, JobOutcome | Failure]:
    """Run a job to its end, in its thread, and return its outcome."""
    yield None
    try:
        if not isinstance(job, Generator):
            return _outcome(job())
        with closing(job):
            cancelling = False
            while True:
                try:
                    if cancelled.is_set() and not cancelling:
                        cancelling = True
                        event = job.throw(JobCancelled())
                    else:
                        event = next(job)
                except StopIteration as end:
                    return _outcome(end.value, cancelled=cancelling)
                except JobCancelled:
                    return JobOutcome(cancelled=True)
                yield event
    except Exception as error:
        return failure(error, doing)


def _outcome(result: Any, cancelled: bool = False) -> JobOutcome | Failure:
    return result if isinstance(result, Failure) else JobOutcome(result, cancelled)


#: Workers and jobs that run: one that nobody holds may go before its result arrives.
_RUNNING: set[Any] = set()


class RunningJob(QObject):
    """A job that `run_job` has started.

    Parameters
    ----------
    owner : QObject or None
        See `run_job`.
    cancelled : threading.Event
        Ends the job when set.
    """

    #: The job's events.
    progressed = Signal(object)
    #: Its `JobOutcome`, or its `Failure`.
    done = Signal(object)
    #: It runs no more; comes last.
    ended = Signal()

    def __init__(self, owner: QObject | None, cancelled: Event) -> None:
        super().__init__(owner)
        self._cancelled = cancelled
        if owner is None:
            _RUNNING.add(self)
        else:
            when_destroyed(self, cancelled.set)

    @property
    def cancelled(self) -> bool:
        """Whether somebody has cancelled it."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ask the job to end; `ended` says when it has. Does nothing after that."""
        self._cancelled.set()

    def follow(self, worker: Any) -> None:
        """Start the thread of the job and relay what comes from it."""
        worker.yielded.connect(self._relay)
        worker.returned.connect(self._take)
        worker.finished.connect(self._finish)
        _RUNNING.add(worker)
        worker.finished.connect(partial(_RUNNING.discard, worker))
        worker.start()

    def _relay(self, event: object) -> None:
        if event is not None:
            self.progressed.emit(event)

    def _take(self, outcome: object) -> None:
        self.done.emit(outcome)

    def _finish(self) -> None:
        self.ended.emit()
        _RUNNING.discard(self)
        with suppress(RuntimeError):  # it may have gone with its owner just now
            self.deleteLater()


class _Described(partial[Any]):
    """A function that prints as its description; whether it is a generator can still be seen."""

    description: str

    def __str__(self) -> str:
        return self.description


#: Milliseconds between two looks at how far a job is.
_ACTIVITY_INTERVAL = 250


class ActivityEntry(QObject):
    """A job in napari's activity view; until a fraction is known, its bar shows none.

    That view lets Qt process events whenever a bar is made or moves. A slot that is called by
    a job must not be interrupted so; the bar is therefore drawn by a timer of its own.
    """

    def __init__(
        self,
        job: RunningJob,
        title: str,
        fraction_done: Callable[[Any], float | None],
        cancel: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(job)
        self._title, self._fraction_done, self._cancel = title, fraction_done, cancel
        self._fraction: float | None = None
        self._shown: list[Any] = []  # the one progress bar, once it is made
        self._drawing = False
        job.progressed.connect(self._look)
        when_destroyed(self, partial(_close_all, self._shown))
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._draw)
        self._timer.start(_ACTIVITY_INTERVAL)

    def _look(self, event: object) -> None:
        if (fraction := self._fraction_done(event)) is not None:
            self._fraction = fraction

    def _draw(self) -> None:
        if self._drawing:  # the view processes events, this timer's too
            return
        self._drawing = True
        shown, percent = self._shown, round(100 * (self._fraction or 0))
        total = 0 if self._fraction is None else 100
        if not shown:
            shown.append(_bar(self._title, total, self._cancel))
        if total > shown[0].total:
            shown[0].total = total
        if percent > shown[0].n:
            shown[0].update(percent - shown[0].n)
        self._drawing = False


def _bar(title: str, total: int, cancel: Callable[[], None] | None) -> Any:
    from napari.utils.progress import cancelable_progress, progress

    # As one of a window: without one there is nothing to draw, on a terminal neither.
    bar = (progress if cancel is None else cancelable_progress)(total=total, desc=title, gui=True)
    if cancel is not None:
        bar.cancel = cancel  # napari's own waits for the next step of a loop
    return bar


def _close_all(bars: list[Any]) -> None:
    for bar in bars:
        bar.close()
    bars.clear()
