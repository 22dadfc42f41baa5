"""Lines that a person waits for, put on the disk at once, or soon by a thread.

On a network share a disk can take seconds to answer, and a window cannot wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread, main_thread

from napari_cxr.scoring.lines import Lines

__all__ = ['AtOnce', 'Later']

#: Seconds after which a list that shall be closed tries again to save what is left over.
_AGAIN = 1.0


class AtOnce:
    """Puts each line on the disk before it goes on.

    Parameters
    ----------
    lines : Lines
        The file; closed with this.
    """

    #: Lines that are not on the disk yet, and why, where something prevents it.
    unsaved = 0
    problem = ''

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._closed = False

    def put(self, line: bytes) -> None:
        """Append a line; raises OSError, and then it is not there."""
        _save(self._lines, line)

    def retry(self) -> None:
        """Do nothing: there is nothing left over."""

    def close(self, *, remove: bool) -> None:
        """Close the file, and take it away if it holds nothing."""
        _close(self._lines, remove)
        self._closed = True

    def wait(self, seconds: float) -> bool:
        """Return whether it is closed: nothing happens by itself."""
        return self._closed


class Later:
    """Puts lines on the disk in a thread, in order; what cannot be put there waits.

    The thread lives only while there is something to save, and Python waits for it at its
    end. Each further line tries those again that had no room. Once this was closed, the thread
    tries by itself, until all is saved or the program ends.

    Parameters
    ----------
    lines : Lines
        The file; closed after this was closed and all is saved.
    changed : callable
        Called in the thread when `unsaved` or `problem` has changed.
    """

    def __init__(self, lines: Lines, changed: Callable[[], None]) -> None:
        self._lines, self._changed = lines, changed
        self._lock = Lock()
        self._waiting: list[bytes] = []
        self._saving = False
        self._closed: bool | None = None
        self._again, self._ended = Event(), Event()
        self._problem = ''

    @property
    def unsaved(self) -> int:
        """Lines that are not on the disk yet."""
        return len(self._waiting)

    @property
    def problem(self) -> str:
        """Why they cannot be put there; empty while nothing is known to prevent it."""
        return self._problem

    def put(self, line: bytes) -> None:
        """Append a line soon."""
        with self._lock:
            self._waiting.append(line)
        self.retry()

    def retry(self) -> None:
        """Try again to save what is left over."""
        with self._lock:
            self._again.set()
            if self._saving or not self._waiting:
                return
            self._saving = True
        Thread(target=self._save, name='labels').start()

    def close(self, *, remove: bool) -> None:
        """Close the file when all is saved, and take it away if it holds nothing."""
        with self._lock:
            if self._closed is not None:
                return
            self._closed = remove
            if self._saving:
                return  # the thread does it
        if self._waiting:
            self.retry()
        else:
            self._end(remove)

    def wait(self, seconds: float) -> bool:
        """Wait until the file is closed, or so long; return whether others can open it."""
        return self._ended.wait(seconds)

    def _end(self, remove: bool) -> None:
        _close(self._lines, remove)
        self._ended.set()

    def _save(self) -> None:
        going_on = True
        while going_on:
            self._again.clear()
            batch, problem = list(self._waiting), ''
            try:
                _save(self._lines, b''.join(batch))
            except OSError as error:
                problem = error.strerror or str(error)
            with self._lock:
                self._problem = problem
                if not problem:
                    del self._waiting[: len(batch)]
                closed = self._closed
                # Nobody else tries any more once it was closed.
                trying = not problem or (closed is not None and main_thread().is_alive())
                self._saving = going_on = bool(self._waiting) and trying
            with suppress(RuntimeError):  # of a window that is gone
                self._changed()
            if going_on and problem:
                self._again.wait(_AGAIN)
        if closed is not None:
            self._end(closed and not self._waiting)


def _save(lines: Lines, content: bytes) -> None:
    end = lines.end
    try:
        lines.append(content)
        lines.sync()
    except OSError:
        with suppress(OSError):
            lines.go_on_at(end)  # what may not be on the disk is not taken as saved
        raise


def _close(lines: Lines, remove: bool) -> None:
    if remove:
        with suppress(OSError):  # an empty list is no harm
            lines.remove()
    lines.close()
