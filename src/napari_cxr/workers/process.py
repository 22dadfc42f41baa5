"""The one primitive under every worker: start a process, run jobs in it, kill it, restart it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Generator
from typing import Any

from napari_cxr.workers.child import HEARTBEAT, Child, JobFailed, WorkerDied

__all__ = ['JobFailed', 'WorkerDied', 'WorkerProcess']

#: How long a cancelled job may go on before its worker is killed, in seconds.
CANCEL_GRACE = 5.0


class WorkerProcess:
    """A child process that runs one job at a time, started anew when it has ended.

    Parameters
    ----------
    role : {'decoder', 'torch', 'downloader'}
        What the process is for; see `napari_cxr.workers.roles`.
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
        """Whether a job is under way, so that the next one waits for its turn."""
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
        self, job: str, *, timeout: float | None = None, **arguments: Any
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
            waited for a core, that does not count, up to five times as many in all.
        **arguments
            Numbers, strings, arrays, and the project's own types.

        Raises
        ------
        JobFailed
            If the job raised an error.
        WorkerDied
            If the worker ended, or was killed because of `timeout`.
        OSError
            If there is no room to hand the arguments over.
        """
        while not self._turn.acquire(timeout=HEARTBEAT):
            yield None
        try:
            while self.alive and self._child is not None and self._child.unfinished:
                time.sleep(HEARTBEAT / 10)  # a cancelled job that has not let go yet
                yield None
            return (yield from self._running().run(next(self._numbers), job, timeout, arguments))
        finally:
            self._turn.release()

    def call(self, job: str, *, timeout: float | None = None, **arguments: Any) -> Any:
        """Run a job to its end, dropping its events, and return its result; raises as `run`."""
        events = self.run(job, timeout=timeout, **arguments)
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
