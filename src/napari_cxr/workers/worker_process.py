"""The primitive under every worker: start a process, run jobs in it, kill it, restart it.

`Child` is one start of the process, with everything that ends with it; `WorkerProcess` starts
a new one when it has ended.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import IO, Any

from napari_cxr.messages import Channel, SharedFolder
from napari_cxr.workers.memory_budget import given_limits

__all__ = ['HEARTBEAT', 'Child', 'JobFailed', 'WorkerDied', 'WorkerProcess']

#: How often a wait for a worker hands control back, in seconds.
HEARTBEAT = 0.1

#: How long a process that was killed may take to end, in seconds. One that waits for a
#: network disk that has gone away cannot even be killed, and must not keep this one.
_LAST = 5.0

#: How a process ends that was killed from outside: by the kernel for want of memory, by a batch
#: system, by a person. Windows has no signals; there it looks like any end with status 1.
_FROM_OUTSIDE = (1,) if os.name == 'nt' else (-signal.SIGKILL, -signal.SIGTERM)

#: Of what a worker writes, the last lines are kept, and as much of each, in bytes.
_STDERR_LINES, _LONGEST_LINE = 60, 4096

#: Environment of a process that gives way: `napari_cxr.workers` lowers its priority, and
#: its threads sleep while they wait for each other instead of keeping the processor busy.
_BACKGROUND = {'NAPARI_CXR_BACKGROUND': '1', 'OMP_WAIT_POLICY': 'PASSIVE'}

#: Environment of a decoder. There is one for each core, and products of matrices, as in the
#: lung field's network, would use all cores in each of them, with memory for every thread.
_ONE_THREAD = dict.fromkeys(
    ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'VECLIB_MAXIMUM_THREADS'), '1'
)


class JobFailed(Exception):
    """A job that raised an error in its worker, which is alive and well.

    Attributes
    ----------
    kind : str
        Name of the exception's class in the worker.
    details : str
        Its traceback.
    """

    def __init__(self, text: str, kind: str = '', details: str = '') -> None:
        super().__init__(text)
        self.kind = kind
        self.details = details


class WorkerDied(Exception):
    """A worker that ended in the middle of a job; the next job starts a new one.

    Attributes
    ----------
    details : str
        How it ended, and the last lines that it wrote.
    from_outside : bool
        Whether somebody else has killed it, so that it is not to blame.
    """

    def __init__(self, text: str, details: str = '', *, from_outside: bool = False) -> None:
        super().__init__(text)
        self.details = details
        self.from_outside = from_outside


class Child:
    """One start of the process, with everything that ends with it."""

    def __init__(self, role: str, grace: float, background: bool) -> None:
        self._role = role
        self._grace = grace
        shared = SharedFolder()
        try:
            self.process = _started(role, shared.path, background)
        except BaseException:
            shared.remove()
            raise
        assert self.process.stdin and self.process.stdout and self.process.stderr  # as asked for
        # However this object ends, dropped or with Python, process and folder end with it.
        self.clean = weakref.finalize(self, _clean, self.process, shared)
        #: Numbers of the jobs that the child has not answered.
        self.unfinished: set[int] = set()
        self._channel = Channel(self.process.stdout, self.process.stdin, shared.path, 'p')
        self._replies: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        # Nothing that it says can be used any more; and it is because its pipe has closed.
        self._ended, self._hung_up = threading.Event(), threading.Event()
        for target, parts in (
            (_drain, (self._channel, self._replies, self.unfinished, self._ended, self._hung_up)),
            (_collect, (self.process.stderr, self._stderr)),
        ):
            threading.Thread(target=target, args=parts, daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether it runs, and makes sense."""
        # A dying process is still there for a moment after its pipe has closed.
        return not self._ended.is_set() and self.process.poll() is None

    def run(
        self,
        number: int,
        job: str,
        timeout: float | None,
        total: float | None,
        arguments: dict[str, Any],
    ) -> Generator[Any, None, Any]:
        """See `WorkerProcess.run`, which lets one job in at a time."""
        began, waited = time.monotonic(), _waited_for_core(self.process.pid)
        self.unfinished.add(number)  # before the answer can come
        try:
            request = {'job': job, 'number': number, 'arguments': arguments}
            # It may have been started before they were changed, and have decoders of its own.
            self._channel.send(request | {'limits': given_limits(), 'folder': _working_folder()})
        except EOFError:
            raise self._death() from None
        except BaseException:
            self.unfinished.discard(number)
            raise
        try:
            while True:
                try:
                    reply = self._replies.get(timeout=HEARTBEAT)
                except queue.Empty:
                    if exceeded := self._exceeded(began, waited, timeout, total):
                        _kill(self.process)
                        raise WorkerDied(exceeded) from None
                    yield None
                    continue
                if reply is None:
                    raise self._death()
                if reply.get('number') != number:
                    continue  # the tail of a cancelled job
                if 'event' in reply:
                    yield reply['event']
                elif 'error' in reply:
                    raise JobFailed(reply['error'], reply['kind'], reply['details'])
                else:
                    return reply['result']
        except GeneratorExit:
            self._cancel(number)
            raise

    def _exceeded(
        self, began: float, waited: float, timeout: float | None, total: float | None
    ) -> str:
        """Return which limit of time is exceeded, in words; nothing while none is.

        On a busy machine a file of two seconds takes a minute, and must not be lost for that.
        """
        elapsed = time.monotonic() - began
        if total is not None and elapsed > total:
            return f'It took longer than {total:.0f} s, waits for the processor included.'
        if timeout is None or elapsed <= timeout:
            return ''
        had_core = elapsed - (_waited_for_core(self.process.pid) - waited)
        return f'It took longer than {timeout:.0f} s.' if had_core > timeout else ''

    def settle(self, grace: float) -> None:
        """Cancel the running job, and wait until it has ended."""
        for number in list(self.unfinished):
            self._cancel(number)
        deadline = time.monotonic() + grace
        while self.unfinished and self.alive and time.monotonic() < deadline:
            time.sleep(HEARTBEAT)

    def _cancel(self, number: int) -> None:
        """Ask the child to let go of this job; kill it if it is still at it after the grace."""
        try:
            self._channel.send({'cancel': number})
        except EOFError:
            return
        process, unfinished = self.process, self.unfinished

        def end_it() -> None:
            if number in unfinished:
                process.kill()

        timer = threading.Timer(self._grace, end_it)
        timer.daemon = True
        timer.start()

    def _death(self) -> WorkerDied:
        ours = not self.clean.alive  # closed while the job ran
        if self._hung_up.is_set():  # it is about to end, or has
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_LAST)
        ended = self.process.poll()
        _kill(self.process)  # it may be alive and talk nonsense
        details = '\n'.join([f'exit code {self.process.returncode}', *self._stderr])
        return WorkerDied(
            f'The {self._role} process ended unexpectedly.',
            details,
            from_outside=ended in _FROM_OUTSIDE and not ours,
        )


def _working_folder() -> str:
    """Return the folder in which relative paths begin; empty where it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ''


def _waited_for_core(pid: int) -> float:
    """Return for how long a process could have run and had no core; Linux tells, else 0."""
    try:
        # https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat
        return int(Path(f'/proc/{pid}/schedstat').read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _drain(
    channel: Channel,
    replies: queue.SimpleQueue[dict[str, Any] | None],
    unfinished: set[int],
    ended: threading.Event,
    hung_up: threading.Event,
) -> None:
    """Move replies from the pipe to a queue, which can be waited on with a time limit."""
    try:
        while True:
            reply = channel.receive()
            if 'event' not in reply:
                unfinished.discard(reply['number'])
            replies.put(reply)
    except Exception as error:
        if isinstance(error, EOFError):
            hung_up.set()
        # Ended, or sending nonsense: either way nothing that it says can be used any more.
        ended.set()
        unfinished.clear()
        replies.put(None)


def _collect(pipe: IO[bytes], lines: deque[str]) -> None:
    """Keep the last lines that the worker wrote, for the details of an error."""
    with contextlib.suppress(OSError, ValueError):
        for line in iter(partial(pipe.readline, _LONGEST_LINE), b''):
            lines.append(line.decode(errors='replace').rstrip())


def _started(role: str, shared: Path, background: bool) -> subprocess.Popen[bytes]:
    own = (_BACKGROUND if background else {}) | (_ONE_THREAD if role == 'decoder' else {})
    return subprocess.Popen(
        [sys.executable, '-P', '-m', 'napari_cxr.workers', role, str(shared)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **own},
        creationflags=getattr(subprocess, 'CREATE_NO_WINDOW', 0)
        | (getattr(subprocess, 'BELOW_NORMAL_PRIORITY_CLASS', 0) if background else 0),
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_LAST)


def _clean(process: subprocess.Popen[bytes], shared: SharedFolder) -> None:
    _kill(process)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    shared.remove()


#: How long a cancelled job may go on before its worker is killed, in seconds.
CANCEL_GRACE = 5.0


class WorkerProcess:
    """A child process that runs one job at a time, started anew when it has ended.

    Parameters
    ----------
    role : {'decoder', 'torch', 'downloader'}
        What the process is for; see `napari_cxr.workers.__main__`.
    grace : float
        Seconds that a cancelled job may take to let go, before the process is killed.
    background : bool
        Whether the process gives way to others, for work of minutes or hours.

    Notes
    -----
    The child is a fresh interpreter that runs ``python -m napari_cxr.workers``:
    nothing is forked, and the person's main script is not run again. It ends by
    itself when this process does, because its standard input closes.
    """

    def __init__(
        self, role: str, *, grace: float = CANCEL_GRACE, background: bool = False
    ) -> None:
        self.role = role
        self._grace = grace
        self._background = background
        self._child: Child | None = None
        self._retired = False
        self._turn = threading.Lock()
        self._starting = threading.Lock()
        self._numbers = itertools.count(1)

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._child is not None and self._child.alive

    @property
    def busy(self) -> bool:
        """Whether a job is running, so that the next one waits for its turn."""
        child = self._child
        return self._turn.locked() or bool(child is not None and child.alive and child.unfinished)

    @property
    def pid(self) -> int | None:
        """Its process number, or None."""
        child = self._child
        return child.process.pid if child is not None and child.alive else None

    def start(self) -> None:
        """Start the process unless it runs; returns at once, before it is ready."""
        self._running()

    def run(
        self,
        job: str,
        *,
        timeout: float | None = None,
        total: float | None = None,
        **arguments: Any,
    ) -> Generator[Any, None, Any]:
        """Run a job and yield its events; the generator's return value is the job's.

        While there is nothing to report it yields None about ten times a second,
        so that whoever drives it can close it at any moment. Closing it cancels
        the job; a worker whose job doesn't listen is killed after a grace.

        Parameters
        ----------
        job : str
            Name of a job of this worker's role.
        timeout : float, optional
            Seconds after which the worker is killed; where the system tells for how long it
            waited for a core, that does not count.
        total : float, optional
            The same by the clock.
        **arguments
            Numbers, strings, arrays, and the project's own types.

        Raises
        ------
        JobFailed
            If the job raised an error.
        WorkerDied
            If the worker ended, or was killed because of `timeout`.
        OSError
            If there is no space for the arguments.
        """
        while not self._turn.acquire(timeout=HEARTBEAT):
            yield None
        try:
            while self.alive and self._child is not None and self._child.unfinished:
                time.sleep(HEARTBEAT / 10)  # a cancelled job that has not let go yet
                yield None
            number = next(self._numbers)
            return (yield from self._running().run(number, job, timeout, total, arguments))
        finally:
            self._turn.release()

    def call(self, job: str, **arguments: Any) -> Any:
        """Run a job to its end, dropping its events, and return its result; see `run`."""
        events = self.run(job, **arguments)
        while True:
            try:
                next(events)
            except StopIteration as end:
                return end.value

    def close(self) -> None:
        """End the process at once and remove what it shared; the memory it held is free."""
        child, self._child = self._child, None
        if child is not None:
            child.clean()

    def retire(self, grace: float = 0.0) -> None:
        """End the process for good: jobs raise `WorkerDied` from now on.

        Parameters
        ----------
        grace : float
            Seconds that a job may take to let go; the one under way is cancelled.
        """
        self._retired = True
        if grace and self._child is not None:
            self._child.settle(grace)
        with self._starting:
            self.close()

    def _running(self) -> Child:
        with self._starting:
            if self._retired:
                raise WorkerDied('The program is ending.')
            if self._child is None or not self._child.alive:
                self.close()
                self._child = Child(self.role, self._grace, self._background)
            return self._child
