"""The process that reads small pictures for lists, and the job that supervises it.

It is not the decoder that opens what a person clicks: a list never makes an image wait.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Generator, Sequence
from contextlib import suppress
from functools import cache

import numpy as np
from napari.qt.threading import thread_worker

from napari_cxr.plugin.classifying import end
from napari_cxr.scoring import reopening
from napari_cxr.workers.process import JobFailed, WorkerDied, WorkerProcess

__all__ = ['Wishes', 'read_thumbnails', 'shared_reader']

#: Seconds that one file may take; a picture is not worth more.
_PATIENCE = 15.0


class Wishes:
    """Files whose pictures are wanted; the list may change while it is worked off."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: list[str] = []
        self._table = ''

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._paths)

    def set(self, paths: Sequence[str], table: str) -> None:
        """Want these of a table now, the first one first, and no others."""
        with self._lock:
            self._paths, self._table = list(paths), table

    def next(self) -> tuple[str, str] | None:
        """Return the next one with its table, then no wish any more; None if there is none."""
        with self._lock:
            return (self._paths.pop(0), self._table) if self._paths else None


@cache
def shared_reader() -> WorkerProcess:
    """Return the process that reads small pictures; it starts with the first one."""
    worker = WorkerProcess('decoder')
    atexit.register(end, worker)
    return worker


@thread_worker
def read_thumbnails(
    wishes: Wishes, side: int
) -> Generator[tuple[str, str, np.ndarray | None] | None, None, None]:
    """Read pictures until no more are wanted.

    Parameters
    ----------
    wishes : Wishes
        Which.
    side : int
        Pixels of their longer side.

    Yields
    ------
    tuple or None
        A path as its table has it, that table, and the picture, shape (rows, columns) of
        uint8, or None where the file gives none; None while one is read.
    """
    while (wish := wishes.next()) is not None:
        picture, file = None, reopening.file_of(*wish)
        with suppress(JobFailed, WorkerDied, OSError):  # the list shows that there is none
            picture = yield from shared_reader().run(
                'thumbnail', timeout=_PATIENCE, path=file, side=side
            )
        yield *wish, picture
