"""The folder through which a process and its worker pass arrays."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ['SharedFolder']

_PREFIX = 'napari-cxr-worker-'
#: Space that shared memory needs to be used at all; containers often have 64 MB, in bytes.
_ROOM = 1 << 30
#: A folder that is younger may be about to be locked, in seconds.
_YOUNG = 60.0


class SharedFolder:
    """A folder in memory, where there is room, for as long as this process wants it.

    Whoever ends last of a process and its worker removes it. Where both are killed at once,
    as by a batch system or for want of memory, images would stay in memory until the machine
    is started anew. So it is locked as long as its process lives, and the next process of
    the same person removes what nobody has locked.
    """

    def __init__(self) -> None:
        parent = _memory_directory() or tempfile.gettempdir()
        _remove_what_is_left(parent)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        self._lock = _locked(self.path)

    def remove(self) -> None:
        """Remove it, with what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


@cache
def _remove_what_is_left(parent: str) -> None:
    """Remove folders of processes that are gone; once in a process."""
    if fcntl is None:
        return
    for folder in Path(parent).glob(f'{_PREFIX}*'):
        with suppress(OSError):
            at = folder.lstat()
            if at.st_uid != os.getuid() or time.time() - at.st_mtime < _YOUNG:
                continue
            lock = _locked(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _locked(folder: Path) -> int | None:
    """Return a lock on a folder, which ends with this process; None if there is none."""
    if fcntl is None:
        return None
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _memory_directory() -> str | None:
    """Return a directory that lives in memory, where the system has one with room."""
    shm = '/dev/shm'
    if not (os.path.isdir(shm) and os.access(shm, os.W_OK)):
        return None
    return shm if shutil.disk_usage(shm).free > _ROOM else None
