"""Files of lines that are only ever appended, each whole or not at all, by one process at a time.

A line is a CRC-32 in eight hexadecimal digits, a space and JSON in ASCII. Each is appended in
one piece, so that nothing but the last can be torn.
"""

from __future__ import annotations

import os
import sys
import zlib
from contextlib import suppress
from pathlib import Path

__all__ = ['InUse', 'Lines', 'content', 'line']


_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, 'O_BINARY', 0) | getattr(os, 'O_CLOEXEC', 0)


class InUse(Exception):
    """Another process has the file open for appending."""


def line(content: str) -> bytes:
    """Return what stands in a file for one line of JSON in ASCII."""
    encoded = content.encode('ascii')
    return b'%08x %s\n' % (zlib.crc32(encoded), encoded)


def content(line: bytes) -> str | None:
    """Return the JSON of a line; None where the line is not what was written."""
    encoded = line[9:-1]
    if line != b'%08x %s\n' % (zlib.crc32(encoded), encoded):
        return None
    return encoded.decode('ascii', 'replace')


class Lines:
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
            raise InUse(f'{self.path} is in use.') from None
        except OSError:  # a file system without locks
            return
