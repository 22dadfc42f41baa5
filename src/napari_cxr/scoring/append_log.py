"""Files of lines that are only ever appended, each whole or not at all, by one process at a time.

A line is a CRC-32 in eight hexadecimal digits, a space and JSON in ASCII. Each is appended in
one piece, so that nothing but the last can be torn. Lines that a person waits for are put on
the disk at once, or soon by a thread: on a network share a disk can take seconds to answer,
and a window cannot wait for it.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread, main_thread

__all__ = [
    'AppendLog',
    'BackgroundAppender',
    'LogInUse',
    'SyncAppender',
    'decode_line',
    'encode_line',
]

_FLAGS = (
    os.O_RDWR
    | os.O_CREAT
    | getattr(os, 'O_BINARY', 0)
    | getattr(os, 'O_CLOEXEC', 0)
    | getattr(os, 'O_NONBLOCK', 0)  # a named pipe or a device is refused, not waited for
)


class LogInUse(Exception):
    """Another process has the file open for appending."""


def encode_line(content: str) -> bytes:
    """Return what stands in a file for one line of JSON in ASCII."""
    encoded = content.encode('ascii')
    return b'%08x %s\n' % (zlib.crc32(encoded), encoded)


def decode_line(line: bytes) -> str | None:
    """Return the JSON of a line; None where the line is not what was written."""
    encoded = line[9:-1]
    if line != b'%08x %s\n' % (zlib.crc32(encoded), encoded):
        return None
    return encoded.decode('ascii', 'replace')


class AppendLog:
    """A file, open for appending and locked; a new one is empty.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    InUse
        If another process has it open.
    OSError
        If it cannot be written.

    Attributes
    ----------
    end : int
        Where the next line goes, in bytes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.end = 0
        self._dirty = False
        self._file = -1
        try:
            # Who had it before may have removed it before it was locked here.
            while self._file < 0 or not self._is_there():
                self.close()
                self._file = os.open(path, _FLAGS, 0o644)
                if not stat.S_ISREG(os.fstat(self._file).st_mode):
                    raise OSError(errno.EINVAL, 'it is not a file', str(path))
                self._lock()
        except BaseException:
            self.close()
            raise

    def go_on_at(self, end: int) -> None:
        """Drop what stands after `end`, such as the half of a line."""
        os.ftruncate(self._file, end)
        os.lseek(self._file, end, os.SEEK_SET)
        self.end = end

    def append(self, lines: bytes) -> None:
        """Append whole lines; after this a kill cannot take them away.

        Raises
        ------
        OSError
            If the disk is full; then none of them is there.
        """
        left = memoryview(lines)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            with suppress(OSError):  # the half of a line would be dropped later as well
                self.go_on_at(self.end)
            raise
        self.end += len(lines)
        self._dirty = True

    def sync(self) -> None:
        """See to it that a power cut cannot take away what was appended; raises OSError."""
        if self._dirty:
            os.fsync(self._file)
            self._dirty = False

    def sync_folder(self) -> None:
        """See to it that a power cut cannot take away the name of a new file."""
        if hasattr(os, 'O_DIRECTORY'):
            handle = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def close(self) -> None:
        """Let others open it; may be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file, self._dirty = -1, False

    def remove(self) -> None:
        """Take the file away while nobody else can have it, and close it."""
        try:
            self.path.unlink(missing_ok=True)
        except PermissionError:  # Windows removes no file that is open
            self.close()
            self.path.unlink(missing_ok=True)
        finally:
            self.close()

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _lock(self) -> None:
        try:
            if sys.platform == 'win32':
                import msvcrt

                os.lseek(self._file, 1 << 40, os.SEEK_SET)  # beyond whatever is read
                msvcrt.locking(self._file, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise LogInUse(f'{self.path} is in use.') from None
        except OSError:  # a file system without locks
            return


#: Seconds after which a list that shall be closed tries again to save what is left over.
_RETRY_AFTER = 1.0


class SyncAppender:
    """Puts each line on the disk before it goes on.

    Parameters
    ----------
    lines : Lines
        The file; closed with this.
    """

    #: Lines that are not on the disk yet, and why, where something prevents it.
    unsaved = 0
    problem = ''

    def __init__(self, lines: AppendLog) -> None:
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


class BackgroundAppender:
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

    def __init__(self, lines: AppendLog, changed: Callable[[], None]) -> None:
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
                self._again.wait(_RETRY_AFTER)
        if closed is not None:
            self._end(closed and not self._waiting)


def _save(lines: AppendLog, content: bytes) -> None:
    end = lines.end
    try:
        lines.append(content)
        lines.sync()
    except OSError:
        with suppress(OSError):
            lines.go_on_at(end)  # what may not be on the disk is not taken as saved
        raise


def _close(lines: AppendLog, remove: bool) -> None:
    if remove:
        with suppress(OSError):  # an empty list is no harm
            lines.remove()
    lines.close()
