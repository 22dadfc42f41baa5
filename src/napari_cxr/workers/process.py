"""The one primitive under every worker: start a process, run jobs in it, kill it, start again."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Generator
from pathlib import Path
from typing import Any

from napari_cxr.workers.messages import Channel

__all__ = ['JobFailed', 'WorkerDied', 'WorkerProcess']

#: How often a wait for a worker hands control back, in seconds.
HEARTBEAT = 0.1
#: How long a cancelled job may go on before its worker is killed, in seconds.
CANCEL_GRACE = 5.0
_STDERR_LINES = 60
#: Space that shared memory needs to be used at all; containers often have 64 MB, in bytes.
_ROOM = 1 << 30


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
    """

    def __init__(self, text: str, details: str = '') -> None:
        super().__init__(text)
        self.details = details


class WorkerProcess:
    """A child process that runs one job at a time.

    Parameters
    ----------
    role : {'decoder', 'torch'}
        What the process is for; see `napari_cxr.workers.roles`.

    Notes
    -----
    The child is a fresh interpreter that runs ``python -m napari_cxr.workers``:
    nothing is forked, and the person's main script is not run again. It ends by
    itself when this process does, because its standard input closes.
    """

    def __init__(self, role: str) -> None:
        self.role = role
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._numbers = itertools.count(1)
        atexit.register(_close_if_alive, weakref.ref(self))

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Its process number, or None."""
        return self._process.pid if self.alive and self._process else None

    def start(self) -> None:
        """Start the process unless it runs; returns at once, before it is ready."""
        with self._starting:
            if self.alive:
                return
            self._forget()
            self._shared = Path(tempfile.mkdtemp(prefix='napari-cxr-', dir=_memory_directory()))
            self._process = subprocess.Popen(
                [sys.executable, '-P', '-m', 'napari_cxr.workers', self.role, str(self._shared)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                creationflags=getattr(subprocess, 'CREATE_NO_WINDOW', 0),
            )
            process = self._process
            assert process.stdin and process.stdout and process.stderr  # they are pipes
            self._channel = Channel(process.stdout, process.stdin, self._shared, 'p')
            self._replies: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
            self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
            self._unfinished: set[int] = set()
            threading.Thread(
                target=_drain, args=(self._channel, self._replies, self._unfinished), daemon=True
            ).start()
            threading.Thread(
                target=_collect, args=(process.stderr, self._stderr), daemon=True
            ).start()

    def run(
        self, job: str, *, timeout: float | None = None, **arguments: Any
    ) -> Generator[Any, None, Any]:
        """Run a job and yield its events; the generator's return value is the job's.

        While there is nothing to report it yields None about ten times a second,
        so that whoever drives it can close it at any moment. Closing it cancels
        the job; a job that doesn't listen is killed before the next one.

        Parameters
        ----------
        job : str
            Name of a job of this worker's role.
        timeout : float, optional
            Seconds after which the worker is killed.
        **arguments
            Numbers, strings, arrays, and the project's own types.

        Raises
        ------
        JobFailed
            If the job raised an error.
        WorkerDied
            If the worker ended, or was killed because of `timeout`.
        """
        while not self._lock.acquire(timeout=HEARTBEAT):
            yield None
        while self.alive and self._unfinished:  # a cancelled job that has not let go yet
            time.sleep(HEARTBEAT / 10)
            yield None
        number = next(self._numbers)
        finished = False
        try:
            self.start()
            deadline = None if timeout is None else time.monotonic() + timeout
            self._unfinished.add(number)
            try:
                self._channel.send({'job': job, 'number': number, 'arguments': arguments})
            except OSError:
                finished = True
                raise self._death() from None
            while True:
                try:
                    reply = self._replies.get(timeout=HEARTBEAT)
                except queue.Empty:
                    if deadline is not None and time.monotonic() > deadline:
                        finished = True
                        self.kill()
                        raise WorkerDied(f'It took longer than {timeout:.0f} s.') from None
                    yield None
                    continue
                if reply is None:
                    finished = True
                    raise self._death()
                if reply['number'] != number:
                    continue  # the tail of a cancelled job
                if 'event' in reply:
                    yield reply['event']
                    continue
                finished = True
                if 'error' in reply:
                    raise JobFailed(reply['error'], reply['kind'], reply['details'])
                return reply['result']
        finally:
            if not finished and self.alive:
                self._cancel(number)
            self._lock.release()

    def call(self, job: str, *, timeout: float | None = None, **arguments: Any) -> Any:
        """Run a job to its end, dropping its events, and return its result; raises as `run`."""
        events = self.run(job, timeout=timeout, **arguments)
        while True:
            try:
                next(events)
            except StopIteration as end:
                return end.value

    def kill(self) -> None:
        """End the process at once; the memory it held is free afterwards."""
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()

    def close(self) -> None:
        """End the process and remove what it shared."""
        self.kill()
        self._forget()

    def _cancel(self, number: int) -> None:
        """Ask the worker to let go of this job; kill it if it is still at it after the grace."""
        process = self._process
        try:
            self._channel.send({'cancel': number})
        except OSError:
            return

        def end_it() -> None:
            if number in self._unfinished and process is not None:
                process.kill()

        timer = threading.Timer(CANCEL_GRACE, end_it)
        timer.daemon = True
        timer.start()

    def _death(self) -> WorkerDied:
        process = self._process
        code = process.wait() if process is not None else None
        details = '\n'.join([f'exit code {code}', *self._stderr])
        return WorkerDied(f'The {self.role} process ended unexpectedly.', details)

    def _forget(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        shutil.rmtree(self._shared, ignore_errors=True)


def _drain(
    channel: Channel, replies: queue.SimpleQueue[dict[str, Any] | None], unfinished: set[int]
) -> None:
    """Move replies from the pipe to a queue, which can be waited on with a time limit."""
    try:
        while True:
            reply = channel.receive()
            if 'event' not in reply:
                unfinished.discard(reply['number'])
            replies.put(reply)
    except (EOFError, OSError, ValueError, LookupError, TypeError):
        # Ended, or sending nonsense: either way nothing that it says can be used any more.
        unfinished.clear()
        replies.put(None)


def _collect(pipe: Any, lines: deque[str]) -> None:
    """Keep the last lines that the worker wrote, for the details of an error."""
    try:
        for line in pipe:
            lines.append(line.decode(errors='replace').rstrip())
    except (OSError, ValueError):
        pass


def _memory_directory() -> str | None:
    """Return a directory that lives in memory, where the system has one."""
    shm = '/dev/shm'
    if not (os.path.isdir(shm) and os.access(shm, os.W_OK)):
        return None
    return shm if shutil.disk_usage(shm).free > _ROOM else None


def _close_if_alive(reference: weakref.ref[WorkerProcess]) -> None:
    worker = reference()
    if worker is not None:
        worker.close()
